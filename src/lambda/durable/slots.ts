/**
 * Who may run when not all can: a bounded number of slots, given to functions in turn, so that one with a thousand
 * executions to resume does not stand before all others. Memory holds the jobs that wait.
 */

interface Line {
  readonly jobs: (() => Promise<void>)[];
  running: number;
}

/** Of all slots, one function may have so much: whoever comes later still finds some. */
const SHARE_MAX = 0.8;

export class Slots {
  readonly #max: number;
  readonly #lines = new Map<string, Line>();
  #running = 0;
  #stopped = false;

  constructor(max: number) {
    this.#max = max;
  }

  get running(): number {
    return this.#running;
  }

  /** Runs the job when it is the turn of its function. It must not reject. */
  submit(functionName: string, job: () => Promise<void>): void {
    const line = this.#lines.get(functionName) ?? { jobs: [], running: 0 };
    this.#lines.set(functionName, line);
    line.jobs.push(job);
    this.#pump();
  }

  /** What waits is forgotten; what runs goes on. */
  stop(): void {
    this.#stopped = true;
    this.#lines.clear();
  }

  #pump(): void {
    if (this.#stopped) return;
    const shareMax = Math.max(1, Math.floor(this.#max * SHARE_MAX));
    for (const [functionName, line] of this.#lines) {
      if (this.#running >= this.#max) return;
      if (line.running >= shareMax) continue;
      const job = line.jobs.shift();
      if (!job) continue;
      // To the end of the line of functions.
      this.#lines.delete(functionName);
      this.#lines.set(functionName, line);
      void this.#run(functionName, line, job);
    }
  }

  async #run(functionName: string, line: Line, job: () => Promise<void>): Promise<void> {
    line.running += 1;
    this.#running += 1;
    await job();
    line.running -= 1;
    this.#running -= 1;
    if (line.running === 0 && line.jobs.length === 0) this.#lines.delete(functionName);
    this.#pump();
  }
}
