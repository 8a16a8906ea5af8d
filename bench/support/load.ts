import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Job, LoadReply, LoadResult } from "./load-jobs.ts";
import { SCRUBBED } from "./processes.ts";

/** The load generator's process, seen from here. One job at a time. */
export class LoadGenerator {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(join(import.meta.dirname, "load-process.ts"), {
      env: SCRUBBED,
      execArgv: [],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  /** Rejects with the first answer that did not count, or when the generator ended. */
  run(job: Job): Promise<LoadResult> {
    const child = this.#child;
    const { promise, resolve, reject } = Promise.withResolvers<LoadResult>();
    const onMessage = (reply: LoadReply) => {
      if ("error" in reply) reject(new Error(reply.error));
      else resolve(reply.result);
    };
    const onExit = () => reject(new Error("the load generator ended"));
    child.once("message", onMessage).once("exit", onExit);
    child.send(job);
    return promise.finally(() => child.off("message", onMessage).off("exit", onExit));
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}
