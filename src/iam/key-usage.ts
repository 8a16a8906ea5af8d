/** When and for what long-term access keys were used last: noted in memory on every request, written down now and then. */
import type { Clock } from "../kernel/clock.ts";
import type { Store } from "../store/store.ts";

export interface KeyUse {
  readonly atMs: number;
  /** `lambda` */
  readonly service: string;
  readonly region: string;
}

const KIND = "iam/key-use";
/** A key's use is written at most so often: AWS's own figure is that old, too. */
const WRITE_EVERY_MS = 15 * 60_000;

export class KeyUsage {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #onFault: (error: unknown) => void;
  readonly #uses = new Map<string, KeyUse>();
  readonly #writtenAtMs = new Map<string, number>();
  readonly #writes = new Set<Promise<unknown>>();

  private constructor(store: Store, clock: Clock, onFault: (error: unknown) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#onFault = onFault;
  }

  static async open(store: Store, clock: Clock, onFault: (error: unknown) => void): Promise<KeyUsage> {
    const usage = new KeyUsage(store, clock, onFault);
    for (const { key, value } of await store.list<KeyUse>(KIND)) {
      usage.#uses.set(key, value);
      usage.#writtenAtMs.set(key, value.atMs);
    }
    return usage;
  }

  /** Temporary keys are not kept: there would be no end of them. */
  note(accessKeyId: string, service: string, region: string): void {
    if (!accessKeyId.startsWith("AKIA")) return;
    const use: KeyUse = { atMs: this.#clock.nowMs(), service, region };
    this.#uses.set(accessKeyId, use);
    if (use.atMs - (this.#writtenAtMs.get(accessKeyId) ?? -WRITE_EVERY_MS) < WRITE_EVERY_MS) return;
    this.#writtenAtMs.set(accessKeyId, use.atMs);
    this.#track(this.#store.write([{ op: "put", kind: KIND, key: accessKeyId, value: use }]));
  }

  lastUse(accessKeyId: string): KeyUse | undefined {
    return this.#uses.get(accessKeyId);
  }

  async forget(accessKeyId: string): Promise<void> {
    this.#uses.delete(accessKeyId);
    this.#writtenAtMs.delete(accessKeyId);
    await this.#store.write([{ op: "delete", kind: KIND, key: accessKeyId }]);
  }

  /** Waits for the writes that are under way. */
  async close(): Promise<void> {
    await Promise.all(this.#writes);
  }

  #track(write: Promise<unknown>): void {
    const tracked = write.catch(this.#onFault).finally(() => this.#writes.delete(tracked));
    this.#writes.add(tracked);
  }
}
