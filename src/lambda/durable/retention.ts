/** What has ended is kept for its retention period, and then removed; with its function, at once. */
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ExecutionStore } from "./execution-store.ts";
import {
  EXECUTION_KIND,
  EXPIRY_KIND,
  timeDigits,
  type ExecutionRecord,
  type ExpiryRecord,
} from "./records.ts";

/** No timer of Node's waits for ninety days. */
const LOOK_MS_MAX = 60 * 60_000;
/** After a fault of the store. */
const FAULT_PAUSE_MS = 60_000;

export interface RetentionOptions {
  readonly clock: Clock;
  readonly disk: ExecutionStore;
  readonly logger: Logger;
  readonly identity: (functionName: string) => string | undefined;
  readonly track: (work: Promise<void>) => void;
}

export class Retention {
  readonly #options: RetentionOptions;
  #looksAtMs = Infinity;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  open(): void {
    this.#lookAt(this.#options.clock.nowMs());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** An execution has ended. */
  expect({ endMs = 0, retentionMs }: ExecutionRecord): void {
    this.#lookAt(endMs + retentionMs);
  }

  /** Removes what has ended of it; what has not is ended by its owner. */
  functionDeleted(functionName: string): void {
    this.#options.track(this.#removeFunction(functionName));
  }

  #lookAt(ms: number): void {
    if (this.#stopped || ms >= this.#looksAtMs) return;
    const { clock, track } = this.#options;
    this.#cancel();
    const nowMs = clock.nowMs();
    this.#looksAtMs = Math.min(ms, nowMs + LOOK_MS_MAX);
    this.#cancel = clock.after(Math.max(0, this.#looksAtMs - nowMs), () => {
      this.#looksAtMs = Infinity;
      track(this.#sweep());
    });
  }

  /** Removes what is due, and comes back when the next one is. */
  async #sweep(): Promise<void> {
    const { clock, disk, logger } = this.#options;
    try {
      for await (const { key: expiryKey, value } of disk.all<ExpiryRecord>(EXPIRY_KIND)) {
        if (this.#stopped) return;
        if (expiryKey > timeDigits(clock.nowMs())) {
          this.#lookAt(Number(expiryKey.slice(0, expiryKey.indexOf("/"))));
          return;
        }
        const record = await disk.record(value.key);
        if (record) await disk.remove(value.key, record);
        await disk.write([{ op: "delete", kind: EXPIRY_KIND, key: expiryKey }]);
      }
    } catch (error) {
      if (this.#stopped) return;
      logger.error("ended durable executions could not be removed", { error: coerceError(error) });
      this.#lookAt(clock.nowMs() + FAULT_PAUSE_MS);
    }
  }

  async #removeFunction(functionName: string): Promise<void> {
    const { disk, identity, logger } = this.#options;
    try {
      for await (const { key, value } of disk.all<ExecutionRecord>(EXECUTION_KIND, `${functionName}/`)) {
        if (this.#stopped) return;
        if (value.status !== "RUNNING" && value.identity !== identity(functionName))
          await disk.remove(key, value);
      }
    } catch (error) {
      // Their retention period removes them all the same, and no list shows them meanwhile.
      if (!this.#stopped)
        logger.error("executions of a deleted function could not be removed", {
          function: functionName,
          error: coerceError(error),
        });
    }
  }
}
