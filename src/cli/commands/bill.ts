import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";
import type { Bill } from "../../lambda/metering/bill.ts";
import { table } from "../table.ts";

/** A month's usage per function, with AWS's published prices. */
export async function bill(options: Options, write: (text: string) => void): Promise<void> {
  const { client } = connect(options);
  const month = options["month"];
  const query = typeof month === "string" ? `?month=${encodeURIComponent(month)}` : "";
  const response = await client.send("lambda", { method: "GET", target: `/_hornero/bill${query}` });
  if (options["json"] === true) {
    write(`${response.body.toString("utf8")}\n`);
    return;
  }
  const made = JSON.parse(response.body.toString("utf8")) as Bill;
  if (made.rows.length === 0) {
    write(`Nothing was invoked in ${made.month}: nothing is billed.\n`);
    return;
  }
  const rows = made.rows.map((row) => [
    row.functionName,
    row.version,
    row.requests.toLocaleString("en"),
    row.gbSeconds.toFixed(3),
    dollars(row.total),
  ]);
  const total = ["total", "", "", "", dollars(made.total)];
  write(
    table(
      ["FUNCTION", "VERSION", "REQUESTS", "GB-SECONDS", `USD ${made.month}`],
      [...rows, total],
      [2, 3, 4],
    ),
  );
}

/** Fractions of a cent count: a request costs 0.0000002. */
function dollars(amount: number): string {
  return amount.toFixed(6);
}
