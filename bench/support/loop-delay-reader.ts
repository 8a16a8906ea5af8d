/** The other side of loop-delay.ts. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

export const LOOP_DELAY_FILE = "loop-delay.txt";

/** For the server's node: what it needs to be asked. */
export const LOOP_DELAY_FLAGS = ["--import", new URL("loop-delay.ts", import.meta.url).href];

const ANSWER_MS_MAX = 5000;
const ASK_AGAIN_MS = 2;

/** The longest delay of the server's event loop since this was last asked, in milliseconds. Rejects when it does not tell. */
export async function takeLoopDelayMs({ pid, home }: { pid: number; home: string }): Promise<number> {
  const path = join(home, LOOP_DELAY_FILE);
  const before = await lines(path);
  process.kill(pid, "SIGUSR2");
  const deadlineMs = performance.now() + ANSWER_MS_MAX;
  for (;;) {
    const now = await lines(path);
    if (now.length > before.length) return Number(now.at(-1));
    if (performance.now() > deadlineMs) throw new Error("the server does not tell its event loop's delay");
    await pause(ASK_AGAIN_MS);
  }
}

async function lines(path: string): Promise<string[]> {
  return (await readFile(path, "utf8")).split("\n").slice(0, -1);
}
