/** Work on the same key takes turns, in the order in which it was asked for; work on different keys does not wait. */
export class KeyedMutex {
  /** The last piece of work on each key. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` after what was asked of the same key before. Rejects with its error only. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const turn = (async () => {
      // Whoever asked for it hears of its error.
      await before?.catch(() => undefined);
      return work();
    })();
    this.#last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }

  /** Keys on which something is under way. */
  get size(): number {
    return this.#last.size;
  }
}
