/** Compare-and-set against a store that others write to as well. */
import { RevisionConflict } from "../../store/store.ts";

/** Lost races of one change before it gives up: each lost one means that another change won. Ours. */
const CONFLICTS_MAX = 32;

/** Calls `attempt`, which reads what is there and writes, until it loses no race. Throws `exhausted()` after too many. */
export async function retryConflicts<T>(
  attempt: () => Promise<T>,
  exhausted: () => Error,
  lostAlready = 0,
): Promise<T> {
  for (let conflicts = lostAlready; conflicts < CONFLICTS_MAX; conflicts += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
    }
  }
  throw exhausted();
}

/**
 * Changes to several records at a time that have lost a race go on one after the other: many that all need one record, a capacity
 * provider's for example, would each lose to all the others before it wins.
 */
export class RetryLine {
  #last: Promise<unknown> = Promise.resolve();

  /** As `retryConflicts`. `attempt` must not wait for another change in the same line. */
  async run<T>(attempt: () => Promise<T>, exhausted: () => Error): Promise<T> {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
    }
    const turn = this.#last.then(() => retryConflicts(attempt, exhausted, 1));
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
