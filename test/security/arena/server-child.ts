/**
 * A whole server as a process of its own, for a test that attacks it: tells its endpoint, root key and walls over the
 * IPC channel, answers what it holds in memory, and closes when the channel does.
 */
import { readConfiguration } from "../../../src/cli/configuration.ts";
import { removeServerFile, writeServerFile } from "../../../src/cli/server-file.ts";
import { systemClock } from "../../../src/kernel/clock.ts";
import type { AccessKey } from "../../../src/iam/credentials.ts";
import type { Walls } from "../../../src/lambda/sandbox/sandbox.ts";
import { startServer } from "../../../src/main.ts";
import { createLogger } from "../../../src/telemetry/logger.ts";

export interface ServerFacts {
  readonly endpoint: string;
  readonly rootKey: AccessKey;
  readonly walls: Walls;
}

const [data = "", auth = ""] = process.argv.slice(2);
const configuration = readConfiguration(
  { data, auth, port: "0", pool: "1", drain: "0", logLevel: "warn", driver: "bubblewrap" },
  {},
);
const logger = createLogger({
  level: configuration.logLevel,
  format: "pretty",
  clock: systemClock,
  sink: (line) => process.stderr.write(line),
});
const server = await startServer(configuration, logger);
const { endpoint, rootKey, driver } = server;
writeServerFile(data, {
  ...rootKey,
  endpoint,
  pid: process.pid,
  region: configuration.region,
  accountId: configuration.accountId,
});
process.on("disconnect", () => {
  void server.close().then(() => {
    removeServerFile(data);
    process.exit(0);
  });
});
process.send?.({ endpoint, rootKey, walls: driver.walls } satisfies ServerFacts);
