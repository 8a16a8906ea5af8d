/** Compare-and-set against a store that others write to as well. */
import { RevisionConflict } from "../../store/store.ts";

/** Lost races of one change before it gives up: each lost one means that another change won. Ours. */
const CONFLICTS_MAX = 32;

/** Calls `attempt`, which reads what is there and writes, until it loses no race. Throws `exhausted()` after too many. */
export async function retryConflicts<T>(attempt: () => Promise<T>, exhausted: () => Error): Promise<T> {
  for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
    }
  }
  throw exhausted();
}
