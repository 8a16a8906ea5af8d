/**
 * `npm run fuzz`: calls operations at random, made from their models, against a server of its own, until the time is over.
 *   --seconds N     default 300
 *   --seed S        repeats a run; default: another each time
 *   --service X     lambda, iam, sts, cloudwatch or logs
 *   --operation Y   one operation of it
 */
import { parseArgs } from "node:util";
import { sharedRuntimes } from "../support/functions.ts";
import { startTestServer } from "../support/server.ts";
import { SERVICES, type ServiceName } from "./caller.ts";
import { fuzz, printFinding, type FuzzResult } from "./fuzz.ts";
import { faultsLogged } from "./server-log.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "300" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    service: { type: "string" },
    operation: { type: "string" },
  },
});
const service = values.service as ServiceName | undefined;
if (service !== undefined && !SERVICES.includes(service))
  throw new Error(`--service: one of ${SERVICES.join(", ")}`);
const seconds = Number(values.seconds);
const seed = Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) throw new Error("--seconds and --seed: numbers");
const endMs = performance.now() + seconds * 1000;

console.log(`seed ${values.seed}`);
const server = await startTestServer({
  args: [
    "--pool",
    "0",
    "--keep-alive",
    "5",
    "--log-format",
    "json",
    "--log-level",
    "warn",
    ...sharedRuntimes,
  ],
});
const { endpoint, region, accessKeyId, secretAccessKey } = server.file;
let result: FuzzResult;
try {
  result = await fuzz({
    endpoint,
    region,
    accessKeyId,
    secretAccessKey,
    seed,
    calls: Infinity,
    isOver: () => performance.now() > endMs,
    ...(service ? { services: [service] } : {}),
    ...(values.operation === undefined ? {} : { operations: [values.operation] }),
    onCall: (_, finding) => {
      if (finding) console.log(`${printFinding(finding)}\n`);
    },
  });
} finally {
  await server.stop();
}
const faults = faultsLogged(server.stderr());
for (const fault of faults) console.log(`the server's log: ${fault}\n`);
console.log(
  `${result.calls} calls, ${result.findings.length} findings, ${faults.length} faults in the server's log.`,
);
console.log(
  `${result.succeeded.length} operations succeeded. Never: ${result.refused.join(", ") || "none"}.`,
);
process.exitCode = result.findings.length + faults.length > 0 ? 1 : 0;
