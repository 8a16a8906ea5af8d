/** For tests: work over a store that ends as with kill -9, in memory. */
import type { Store } from "./store.ts";

/** Never settles: whoever waits for it is dead. */
const never = (): Promise<never> => new Promise<never>(() => undefined);

/** One life of a process: until it is killed. */
export class Life {
  #dead = false;

  /** Nothing that was under way comes to an end, nothing more is written. */
  kill(): void {
    this.#dead = true;
  }

  /** The same outcome, unless the process dies first. */
  async while<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      if (this.#dead) await never();
    }
  }

  /** The store as this process sees it, its queues included. */
  store(store: Store): Store {
    return this.#guard(store);
  }

  #guard<Target extends object>(target: Target): Target {
    return new Proxy(target, {
      get: (_, member) => {
        const value: unknown = Reflect.get(target, member, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          if (member === "queue") return this.#guard(Reflect.apply(value, target, args) as object);
          if (this.#dead) return never();
          return this.while(Reflect.apply(value, target, args) as Promise<unknown>);
        };
      },
    });
  }
}
