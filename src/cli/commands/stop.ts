import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { connectRunning } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { CliError, EXIT } from "../errors.ts";

const ASK_AGAIN_MS = 50;
/** The server lets running invocations finish for --drain seconds, 900 at the most. */
const WAIT_MS_MAX = 960_000;

/** Asks the running server to end, and waits until it has. */
export async function stop(options: Options, write: (text: string) => void): Promise<void> {
  const { server } = await connectRunning(options);
  const { pid } = server;
  if (!isServer(pid)) throw new CliError("no server runs with this data folder", { exitCode: EXIT.noServer });
  try {
    process.kill(pid, "SIGTERM");
  } catch (error) {
    throw new CliError(`may not stop process ${pid}`, {
      hint: "Another user started it: ask that user, or root",
      cause: error,
    });
  }
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  while (isServer(pid)) {
    if (performance.now() > deadlineMs) throw new CliError(`process ${pid} has not ended`);
    await pause(ASK_AGAIN_MS);
  }
  write("stopped\n");
}

/** Whether that process is a server of ours: its number may be another's by now. */
function isServer(pid: number): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    return line.includes("\0start") && /cli[/\\]main\.(ts|js)/.test(line);
  } catch {
    return false;
  }
}
