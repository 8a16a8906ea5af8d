import type { FunctionConfiguration, ListFunctionsResponse } from "@aws-sdk/client-lambda";
import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { table } from "../table.ts";

/** Lists the functions. */
export async function ls(options: Options, write: (text: string) => void): Promise<void> {
  const { client } = connect(options);
  const functions: FunctionConfiguration[] = [];
  let marker: string | undefined;
  do {
    const query = marker === undefined ? "" : `?Marker=${encodeURIComponent(marker)}`;
    const page = await client.lambda<ListFunctionsResponse>("GET", `/2015-03-31/functions${query}`);
    functions.push(...(page.Functions ?? []));
    marker = page.NextMarker;
  } while (marker !== undefined && marker !== "");
  if (options["json"] === true) {
    write(`${JSON.stringify(functions, undefined, 2)}\n`);
    return;
  }
  if (functions.length === 0) {
    write("No functions. Deploy one: npx hornero deploy DIR\n");
    return;
  }
  const rows = functions.map((one) => [
    one.FunctionName ?? "",
    one.Runtime ?? "",
    `${one.MemorySize} MB`,
    `${one.Timeout} s`,
    (one.LastModified ?? "").slice(0, 19).replace("T", " "),
  ]);
  write(table(["FUNCTION", "RUNTIME", "MEMORY", "TIMEOUT", "MODIFIED (UTC)"], rows));
}
