/**
 * The first thing a server does: starts what needs root and takes its time, the spawner and the search for interpreters.
 * Loaded before the rest of the server and without it: the spawner boots while the other modules load, and is forked
 * from a process that is still small.
 */
import { join } from "node:path";
import { systemClock } from "../kernel/clock.ts";
import { createRuntimeCatalogue, type RuntimeCatalogue } from "../lambda/runtimes/catalogue.ts";
import { startSurvey } from "../lambda/runtimes/start-survey.ts";
import { chooseDriver } from "../lambda/sandbox/drivers.ts";
import type { EnvironmentNetwork, SandboxDriver } from "../lambda/sandbox/sandbox.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Configuration } from "./configuration.ts";
import { becomeServerUser, prepareDataDirectory } from "./privileges.ts";

export interface Launched {
  /** Where unpacked code is kept; made, and the server's user's. Absolute. */
  readonly codeDirectory: string;
  readonly runtimes: RuntimeCatalogue;
  /** Settles once the driver is ready; its processes have been started already. Rejects with SandboxError. */
  readonly choosing: Promise<{ driver: SandboxDriver; network: EnvironmentNetwork }>;
}

/** As root: still root afterwards, but for `--driver process`. Throws when the data folder cannot be used. */
export function launch(configuration: Configuration, logger: Logger): Launched {
  const { dataDirectory, runtimesDirectory, driver } = configuration;
  const clock = systemClock;
  const codeDirectory = join(dataDirectory, "code");
  prepareDataDirectory(dataDirectory, [runtimesDirectory, codeDirectory]);
  const runtimes = createRuntimeCatalogue({
    cacheDirectory: runtimesDirectory,
    clock,
    logger,
    ...(process.getuid?.() === 0
      ? { survey: startSurvey((error) => logger.warn("cannot look for interpreters as root", { error })) }
      : {}),
  });
  // Without walls there is nothing that needs root: the processes themselves must not have it.
  if (driver === "process") becomeServerUser(dataDirectory);
  const choosing = chooseDriver({
    ...configuration,
    codeDirectory,
    runtimesDirectories: [runtimesDirectory, ...runtimes.folders()],
    clock,
    logger,
  });
  // Told to whoever awaits it, which may be later.
  choosing.catch(() => undefined);
  return { codeDirectory, runtimes, choosing };
}
