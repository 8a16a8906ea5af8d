/** What memory holds of an execution that has not ended: little while it waits, all of it while something works on it. */
import type { CheckpointDurableExecutionResponse } from "@aws-sdk/client-lambda";
import { AwsError } from "../../errors.ts";
import type { Deferred } from "../../kernel/deferred.ts";
import type { Execution } from "./execution.ts";
import type { ExecutionRecord, OperationRecord } from "./records.ts";

/** How an execution ended. */
export interface Ended {
  readonly record: ExecutionRecord;
  readonly root: OperationRecord;
}

/** The invocation that may checkpoint now. It dies with the process, so its tokens need no place on disk. */
export interface RunningInvocation {
  readonly id: string;
  /** Of the token that is good now. */
  turn: number;
  /** The last checkpoint, for who did not get the answer and asks again. */
  last?: {
    readonly token: string;
    readonly clientToken: string;
    readonly response: CheckpointDurableExecutionResponse;
  };
}

export class Entry {
  readonly key: string;
  /** When it goes on by itself, as the timers know it. */
  dueMs = Infinity;
  state: "waiting" | "queued" | "running" = "waiting";
  invocation: RunningInvocation | undefined;
  /** Its function was deleted: nothing of it is on disk, and nothing is to come there. */
  isRemoved = false;
  #waiters: Deferred<Ended>[] | undefined;
  #execution: Execution | undefined;
  /** Undefined while nobody works on it. */
  #tail: Promise<unknown> | undefined;
  #users = 0;

  constructor(key: string) {
    this.key = key;
  }

  get functionName(): string {
    return this.key.slice(0, this.key.indexOf("/"));
  }

  /** Whether a synchronous caller waits for its end. */
  get isAwaited(): boolean {
    return this.#waiters !== undefined;
  }

  /** A synchronous caller waits. */
  await(waiter: Deferred<Ended>): void {
    this.#waiters ??= [];
    this.#waiters.push(waiter);
  }

  /** Those who wait; from now on they are the caller's to tell. */
  takeWaiters(): readonly Deferred<Ended>[] {
    const waiters = this.#waiters ?? [];
    this.#waiters = undefined;
    return waiters;
  }

  /**
   * Works on the execution, after whoever came before has finished: changes of one execution are in one order, on disk as
   * in memory. `load` is called when memory has let go of it.
   */
  async exclusively<T>(
    load: () => Promise<Execution>,
    work: (execution: Execution) => Promise<T> | T,
  ): Promise<T> {
    this.#users += 1;
    const before = this.#tail;
    const done = (async () => {
      await before;
      this.#execution ??= await load();
      try {
        return await work(this.#execution);
      } catch (error) {
        // A refusal comes before anything has changed; after anything else only the disk knows what is true.
        if (!(error instanceof AwsError)) this.forget();
        throw error;
      }
    })();
    // The next one's turn comes whether this one succeeds or not; its failure is told to its own caller.
    this.#tail = done.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await done;
    } finally {
      this.#users -= 1;
      this.release();
    }
  }

  /** Takes a new execution in. */
  hold(execution: Execution): void {
    this.#execution = execution;
  }

  /** Lets go of what nobody works on. */
  release(): void {
    if (this.#users > 0) return;
    this.#tail = undefined;
    if (this.state !== "running") this.#execution = undefined;
  }

  /** What memory has is not what the disk has: the next one reads it again. */
  forget(): void {
    this.#execution = undefined;
  }
}
