/** Which driver a server uses: what was asked for, or bubblewrap; never no walls without having been asked. */
import type { Clock } from "../../kernel/clock.ts";
import { PORT_DEFAULT } from "../../limits.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { createBubblewrapDriver } from "./bubblewrap/driver.ts";
import { SandboxError, type EnvironmentNetwork, type SandboxDriver } from "./sandbox.ts";

export interface DriverChoice {
  readonly driver: "auto" | "bubblewrap" | "process";
  /** The address that the server listens on. */
  readonly host: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly codeDirectory: string;
  readonly runtimesDirectories: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOPBACK = new Set(["127.0.0.1", "localhost", "::1"]);
const WITHOUT_WALLS = "run without walls around functions, for code of your own only: --driver process";

/**
 * Starts the driver; whatever needs root has been started when this returns, before it resolves. Rejects with
 * SandboxError when the machine cannot do what was asked for; the hint says what helps.
 */
export async function chooseDriver(
  choice: DriverChoice,
): Promise<{ driver: SandboxDriver; network: EnvironmentNetwork }> {
  const driver = choice.driver === "process" ? await processDriver(choice) : bubblewrapDriver(choice);
  try {
    return { driver, network: await driver.start() };
  } catch (error) {
    await driver.close();
    if (!(error instanceof SandboxError) || choice.driver !== "auto") throw error;
    const hint = [error.hint, WITHOUT_WALLS].filter((one) => one !== undefined).join("; or ");
    throw new SandboxError(error.step, error.message, { hint, cause: error });
  }
}

function bubblewrapDriver({ port, ...options }: DriverChoice): SandboxDriver {
  // Environments reach the endpoint in a network of their own: there every port is free, also when 0 asked for any here.
  return createBubblewrapDriver({
    ...options,
    node: process.execPath,
    endpointPort: port === 0 ? PORT_DEFAULT : port,
  });
}

async function processDriver({ host, clock, dataDirectory, logger }: DriverChoice): Promise<SandboxDriver> {
  if (!LOOPBACK.has(host))
    throw new SandboxError("driver", `functions without walls are for loopback only, not for ${host}`, {
      hint: "use the bubblewrap driver, or listen on 127.0.0.1",
    });
  logger.warn("functions run WITHOUT walls: they can do whatever this user can");
  const { createProcessDriver } = await import("./process/driver.ts");
  return createProcessDriver({ clock, dataDirectory });
}
