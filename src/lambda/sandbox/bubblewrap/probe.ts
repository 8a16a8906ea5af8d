/** Finds out, by doing it, what the bubblewrap driver can promise on this machine. */
import { SandboxError, type Walls } from "../sandbox.ts";
import type { BubblewrapDriver } from "./driver.ts";

const PROGRAM = ["/bin/sh", "-c", "exit 0"];
const SMALLEST = { memoryMb: 128, ephemeralStorageMb: 512 };

/**
 * Starts `driver`, runs one command behind its walls, and closes it. Rejects with SandboxError, whose hint says what
 * helps, when no sandbox can be made here at all.
 */
export async function probeWalls(driver: BubblewrapDriver): Promise<Walls> {
  try {
    await driver.start();
    const sandbox = await driver.create({
      id: "probe",
      root: { key: "probe" },
      command: PROGRAM,
      environment: {},
      ...SMALLEST,
      link: false,
    });
    const exit = await sandbox.exited;
    const said = (await sandbox.output.toArray()).join("").trim();
    if (exit.code !== 0) {
      throw new SandboxError(
        "probe",
        `a command in a sandbox ended with ${exit.code ?? exit.signal}: ${said}`,
      );
    }
    return driver.walls;
  } finally {
    await driver.close();
  }
}
