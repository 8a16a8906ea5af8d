/**
 * Spreads work over turns of the event loop: of a burst that arrives at once, so much begins in a turn, and in between the
 * loop reads its sockets. Answers go out while others still wait, and who comes with something else does not wait for all.
 */
export class Turns {
  readonly #perTurn: number;
  #left: number;
  #isCounting = false;
  /** First come, first served. */
  readonly #waiting: (() => void)[] = [];

  constructor(perTurn: number) {
    this.#perTurn = perTurn;
    this.#left = perTurn;
  }

  /** Calls `work` at once when fewer than so many have begun in this turn of the event loop, else in a later one. It must not throw. */
  run(work: () => void): void {
    if (!this.#isCounting) {
      this.#isCounting = true;
      setImmediate(this.#nextTurn);
    }
    if (this.#left === 0) {
      this.#waiting.push(work);
      return;
    }
    this.#left -= 1;
    work();
  }

  /** Resolves when `run` would call. */
  take(): Promise<void> {
    return new Promise((resolve) => this.run(resolve));
  }

  readonly #nextTurn = (): void => {
    const begin = this.#waiting.splice(0, this.#perTurn);
    this.#left = this.#perTurn - begin.length;
    this.#isCounting = begin.length > 0;
    if (this.#isCounting) setImmediate(this.#nextTurn);
    for (const work of begin) work();
  };
}
