/** A compressed slice of a trace against a real server: its answers tell whether an invocation had to wait for an environment. */
import { setTimeout as pause } from "node:timers/promises";
import { Connection, invokeTarget, SignedRequests } from "../support/client.ts";
import type { Subject } from "../support/context.ts";
import { createFunction, newNames } from "../support/functions.ts";
import { familySize } from "../support/processes.ts";
import { median } from "../support/statistics.ts";
import type { Trace } from "./trace.ts";

export interface SliceResult {
  readonly invocations: number;
  /** Invocations whose code was loaded after they had been sent. */
  readonly cold: number;
  /** Median time of their answers. */
  readonly coldMs: number;
  /** Mean number of environments. */
  readonly environments: number;
}

const MEMORY_MB = 128;
const SAMPLE_MS = 250;
const nowMs = () => performance.timeOrigin + performance.now();

/** A server that has the trace's functions. Its pool is empty, so that all processes that come are environments. */
export class Slice {
  readonly #subject: Subject;
  readonly #requests: readonly SignedRequests[];
  /** Processes of the server alone, and those that one environment has. */
  readonly #base: number;
  readonly #perEnvironment: number;
  readonly #free: Connection[] = [];

  private constructor(subject: Subject, names: readonly string[], base: number, perEnvironment: number) {
    this.#subject = subject;
    this.#requests = names.map((name) => new SignedRequests(subject.endpoint, "POST", invokeTarget(name)));
    this.#base = base;
    this.#perEnvironment = perEnvironment;
  }

  static async open(subject: Subject, functions: number): Promise<Slice> {
    const names = newNames(functions + 1);
    for (const name of names) await createFunction(subject.endpoint, "node-cold", name, undefined, MEMORY_MB);
    const pid = subject.pid ?? 0;
    const base = familySize(pid);
    const [probe = "", ...others] = names;
    const slice = new Slice(subject, [probe], base, 1);
    await slice.#invoke(0);
    const perEnvironment = Math.max(1, familySize(pid) - base);
    slice.close();
    return new Slice(subject, others, base, perEnvironment);
  }

  /** Sends every arrival at its time, whatever the answers do. Rejects with the first one that is not as it should be. */
  async run({ arrivals, durationMs }: Trace): Promise<SliceResult> {
    const startMs = performance.now();
    const running = new Set<Promise<void>>();
    const coldMs: number[] = [];
    let failed: unknown;
    const sampling = this.#sample(startMs + durationMs);
    for (const { atMs, function: number } of arrivals) {
      const waitMs = startMs + atMs - performance.now();
      if (waitMs > 0) await pause(waitMs);
      const one = this.#invoke(number)
        .then(({ wasCold, tookMs }) => void (wasCold && coldMs.push(tookMs)))
        .catch((error: unknown) => void (failed ??= error))
        .finally(() => running.delete(one));
      running.add(one);
    }
    await Promise.all(running);
    const environments = await sampling;
    if (failed !== undefined) throw failed;
    return { invocations: arrivals.length, cold: coldMs.length, coldMs: median(coldMs), environments };
  }

  close(): void {
    for (const connection of this.#free.splice(0)) connection.close();
  }

  async #invoke(number: number): Promise<{ wasCold: boolean; tookMs: number }> {
    const request = this.#requests[number]?.make("{}");
    if (request === undefined) throw new Error("an arrival of no function");
    const sentMs = nowMs();
    const connection = this.#free.pop() ?? (await Connection.open(this.#subject.endpoint));
    const answer = await connection.exchange(request);
    this.#free.push(connection);
    const { loadedMs } = JSON.parse(answer.body) as { loadedMs?: number };
    if (answer.status !== 200 || loadedMs === undefined) throw new Error(`${answer.status} ${answer.body}`);
    return { wasCold: loadedMs > sentMs, tookMs: nowMs() - sentMs };
  }

  async #sample(untilMs: number): Promise<number> {
    const sizes: number[] = [];
    while (performance.now() < untilMs) {
      sizes.push((familySize(this.#subject.pid ?? 0) - this.#base) / this.#perEnvironment);
      await pause(SAMPLE_MS);
    }
    return sizes.reduce((sum, size) => sum + size, 0) / Math.max(1, sizes.length);
  }
}
