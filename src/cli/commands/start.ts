import type { Command } from "commander";
import { systemClock } from "../../kernel/clock.ts";
import type { RunningServer } from "../../main.ts";
import { createLogger, type Logger } from "../../telemetry/logger.ts";
import { banner } from "../banner.ts";
import { readConfiguration, type Configuration, type Options } from "../configuration.ts";
import { launch } from "../launch.ts";
import { removeServerFile, writeServerFile } from "../server-file.ts";

const HELD_MS = 60_000;

/** Runs the server until a signal; resolves when everything is down. */
export async function start(options: Options, _command: Command): Promise<void> {
  const configuration = readConfiguration(options, process.env);
  const logger = createLogger({
    level: configuration.logLevel,
    format: configuration.logFormat,
    clock: systemClock,
    sink: (line) => process.stderr.write(line),
  });
  const startedMs = performance.now();
  const stopped = stopSignal();
  const launched = launch(configuration, logger);
  const { startServer } = await import("../../main.ts");
  const server = await startServer(configuration, logger, launched);
  publish(configuration, server);
  const readyMs = performance.now() - startedMs;
  const example = configuration.example ? await tryExample(server, configuration, logger) : undefined;
  process.stdout.write(banner({ configuration, server, example, readyMs, colour: process.stdout.isTTY }));
  await stopped;
  logger.info("stopping: running invocations may finish", { seconds: configuration.drainMs / 1000 });
  await closeWhole(server);
  removeServerFile(configuration.dataDirectory);
}

/** The clock's timers do not keep a process alive, and neither does an idle store; what closes may wait for either. */
async function closeWhole(server: RunningServer): Promise<void> {
  const held = setInterval(() => undefined, HELD_MS);
  try {
    await server.close();
  } finally {
    clearInterval(held);
  }
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = () => {
      signals += 1;
      if (signals > 1) process.exit(130);
      resolve();
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  });
}

function publish(
  { dataDirectory, region, accountId }: Configuration,
  { endpoint, rootKey }: RunningServer,
): void {
  const { accessKeyId, secretAccessKey } = rootKey;
  writeServerFile(dataDirectory, {
    endpoint,
    pid: process.pid,
    region,
    accountId,
    accessKeyId,
    secretAccessKey,
  });
}

async function tryExample(
  server: RunningServer,
  configuration: Configuration,
  logger: Logger,
): Promise<string | undefined> {
  try {
    const { deployExample } = await import("../example.ts");
    return await deployExample(server, configuration);
  } catch (error) {
    logger.warn("the example function could not be deployed", { error });
    return undefined;
  }
}
