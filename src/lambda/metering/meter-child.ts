/** The process that meter.test.ts kills: records without an end, and after each record writes one byte to its output. */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../kernel/clock.ts";
import { openSqliteStore } from "../../store/sqlite/sqlite-store.ts";
import { createMeter } from "./meter.ts";

const directory = process.argv[2] ?? "";
const store = await openSqliteStore({ directory, clock: systemClock, port: 0 });
const meter = await createMeter({ directory: join(directory, "meter"), store, clock: systemClock });
for (let count = 1; ; count += 1) {
  meter.record({
    functionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
    version: "$LATEST",
    billedMs: 1,
    memoryMb: 128,
    ephemeralStorageMb: 512,
  });
  writeSync(1, ".");
  // Now and then a fold starts, and records go on beside it.
  if (count % 500 === 0) void meter.bill({ month: "2023-11" });
  if (count % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
}
