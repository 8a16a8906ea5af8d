/**
 * Admission: how many invocations may run at once. An account's concurrency is a hard ceiling: beyond it a synchronous
 * invocation is refused at once, as on AWS; nothing queues.
 */
import { tooManyRequests } from "../../errors.ts";

export class Admission {
  readonly #accountMax: number;
  #running = 0;

  constructor(accountMax: number) {
    this.#accountMax = accountMax;
  }

  get running(): number {
    return this.#running;
  }

  /** Counts one in, or throws TooManyRequestsException with its Reason. */
  enter(): void {
    if (this.#running >= this.#accountMax) throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    this.#running += 1;
  }

  leave(): void {
    this.#running -= 1;
  }
}
