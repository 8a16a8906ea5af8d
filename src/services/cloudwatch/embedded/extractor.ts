/**
 * Takes embedded metrics out of what is logged. Whoever logs pays for one look at the end of a line, and for a search in
 * those that end as JSON does; lines are read later, a few in a turn of the event loop, and what they tell is written once a
 * second. When the process dies, the last second's values are lost; their lines are not.
 */
import type { Clock } from "../../../kernel/clock.ts";
import { coerceError } from "../../../kernel/deferred.ts";
import type { LogEvent } from "../../../telemetry/log-sink.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { EMBEDDED_WAITING_CHARS_MAX, FLUSH_INTERVAL_MS, PENDING_BUCKETS_MAX } from "../limits.ts";
import { Bucket } from "../metrics/bucket.ts";
import type { Contribution, MetricStore } from "../metrics/metric-store.ts";
import { metricKey, type Series } from "../metrics/series.ts";
import { extract, mayBeEmbedded, type EmbeddedValues } from "./document.ts";

interface Line {
  readonly group: string;
  readonly message: string;
}

/** What is read in one turn of the event loop, a few hundred microseconds: so many lines, and no further one after so many characters. */
const LINES_PER_TURN = 32;
const CHARS_PER_TURN = 32 * 1024;

export class EmbeddedMetrics {
  readonly #metrics: MetricStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #waiting: Line[] = [];
  #waitingChars = 0;
  #isReading = false;
  /** What has been read, one for each series and time. */
  #gathered = new Map<string, Contribution>();
  #lost = 0;
  #flushing: Promise<void> | undefined;
  #cancel = () => {};

  constructor(options: { metrics: MetricStore; clock: Clock; logger: Logger }) {
    this.#metrics = options.metrics;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#plan();
  }

  /** Events of a log group, as they are taken. Never throws and never waits. */
  readonly see = (group: string, events: readonly LogEvent[]): void => {
    for (const { message } of events) if (mayBeEmbedded(message)) this.#take({ group, message });
  };

  #take(line: Line): void {
    if (this.#waitingChars + line.message.length > EMBEDDED_WAITING_CHARS_MAX) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingChars += line.message.length;
    if (this.#isReading) return;
    this.#isReading = true;
    setImmediate(this.#readSome);
  }

  readonly #readSome = (): void => {
    this.#read(LINES_PER_TURN);
    this.#isReading = this.#waiting.length > 0;
    if (this.#isReading) setImmediate(this.#readSome);
  };

  /** Reads as much as a turn may, at most so many lines; how many there were. */
  #read(linesMax: number): number {
    let count = 0;
    let chars = 0;
    while (count < Math.min(linesMax, LINES_PER_TURN, this.#waiting.length) && chars < CHARS_PER_TURN) {
      chars += this.#waiting[count]?.message.length ?? 0;
      count += 1;
    }
    this.#waitingChars -= chars;
    const lines = this.#waiting.splice(0, count);
    for (const { group, message } of lines) {
      const found = extract(message, this.#clock.nowMs());
      if (found.kind === "unparsable") this.#error("EMFParsingErrors", group);
      if (found.kind !== "values") continue;
      if (!found.isValid) this.#error("EMFValidationErrors", group);
      for (const values of found.values) this.#gather(values);
    }
    return count;
  }

  /** AWS's metrics of lines that were meant to hold metrics. */
  #error(name: string, group: string): void {
    const dimensions = [["LogGroupName", group]] as const;
    const series: Series = { namespace: "AWS/Logs", name, dimensions, unit: "Count" };
    this.#gather({ series, atMs: this.#clock.nowMs(), isFine: false, values: [1] });
  }

  #gather({ series, atMs, isFine, values }: EmbeddedValues): void {
    const secondS = Math.floor(atMs / 1000);
    const atS = isFine ? secondS : secondS - (secondS % 60);
    const key = `${metricKey(series)} ${series.unit} ${atS} ${isFine}`;
    let known = this.#gathered.get(key);
    if (!known) {
      if (this.#gathered.size >= PENDING_BUCKETS_MAX) {
        this.#lost += 1;
        return;
      }
      this.#gathered.set(key, (known = { series, atS, isFine, bucket: new Bucket() }));
    }
    for (const value of values) known.bucket.add(value);
  }

  /** Reads what waits now and writes it. Never rejects; one at a time. */
  async flush(): Promise<void> {
    while (this.#flushing) await this.#flushing;
    this.#flushing = this.#flushNow().finally(() => (this.#flushing = undefined));
    await this.#flushing;
  }

  async #flushNow(): Promise<void> {
    // What comes meanwhile is for the next one: whoever logs without a pause keeps nobody's values from being written.
    for (let left = this.#waiting.length; left > 0 && this.#waiting.length > 0;) {
      left -= this.#read(left);
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    if (this.#gathered.size > 0) {
      const gathered = this.#gathered;
      this.#gathered = new Map();
      try {
        this.#lost += await this.#metrics.append([...gathered.values()], "spare");
      } catch (error) {
        this.#putBack(gathered);
        this.#logger.warn("embedded metrics cannot be written, trying again", { error: coerceError(error) });
      }
    }
    if (this.#lost === 0) return;
    this.#logger.warn("embedded metrics were dropped: there are too many", { lost: this.#lost });
    this.#lost = 0;
  }

  #putBack(gathered: ReadonlyMap<string, Contribution>): void {
    for (const [key, contribution] of gathered) {
      const known = this.#gathered.get(key);
      if (known) known.bucket.merge(contribution.bucket);
      else if (this.#gathered.size < PENDING_BUCKETS_MAX) this.#gathered.set(key, contribution);
      else this.#lost += 1;
    }
  }

  #plan(): void {
    this.#cancel = this.#clock.after(FLUSH_INTERVAL_MS, () => {
      if (this.#waiting.length > 0 || this.#gathered.size > 0 || this.#lost > 0) void this.flush();
      this.#plan();
    });
  }

  /** Writes the rest. */
  async close(): Promise<void> {
    this.#cancel();
    await this.flush();
  }
}
