/**
 * The meter: what each invocation used, exactly once, whatever ends the process.
 *
 * record() writes a journal record before it returns, and invoke calls it before it answers the client. So:
 *  - what was answered is metered, after kill -9 too; an invocation whose process died between record() and the answer
 *    is metered without having been answered;
 *  - after a loss of power, up to SYNC_INTERVAL_MS of records can be missing.
 *
 * Every FOLD_INTERVAL_MS the journal is folded into the Store's counters: a new journal is begun, then one transaction
 * adds the old one's totals and notes its sequence as folded, then the old file is deleted. A journal whose sequence is
 * noted is never folded again, one whose is not is folded at the next start: the order of the three steps makes it
 * exactly once. When the Store refuses, records go on into the journals and folding is tried again.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { invalidParameterValue } from "../../errors.ts";
import { assert } from "../../kernel/assert.ts";
import type { Clock } from "../../kernel/clock.ts";
import { RevisionConflict, type Change, type Store } from "../../store/store.ts";
import { silentLogger, type Logger } from "../../telemetry/logger.ts";
import { makeBill, type Bill } from "./bill.ts";
import { Journal, parseJournalName, readJournal } from "./journal.ts";
import { AWS_PRICES, type Prices } from "./prices.ts";
import { amountsOf, usageKey, type Usage, type UsageTotals } from "./usage.ts";

/** How long a record can wait for the disk, if not for the kernel. */
const SYNC_INTERVAL_MS = 1000;
const FOLD_INTERVAL_MS = 5000;
/** A journal with totals of so many keys is folded at once. */
const JOURNAL_KEYS_MAX = 10_000;
/** Counters older than this are deleted: thirteen months, so that a year can be compared with the one before. */
const KEEP_MS = 396 * 86_400_000;
const PRUNE_INTERVAL_MS = 86_400_000;
const PAGE_RECORDS = 1000;

const HOUR_MS = 3_600_000;
const USAGE_KIND = "meter.usage";
const STATE_KIND = "meter.state";
const STATE_KEY = "journal";

interface JournalState {
  /** Journals up to this sequence are in the counters. */
  readonly folded: number;
}

export interface Meter {
  /**
   * Meters one invocation. Synchronous, a few microseconds; durable against the end of the process when it returns.
   * Does not throw when the disk fails: the usage is kept in memory until the next fold, and a line is logged.
   */
  record(usage: Usage): void;
  /** Everything recorded so far in a month (`2026-11`, UTC). Throws InvalidParameterValueException for another form. */
  bill(options: { month: string; prices?: Prices }): Promise<Bill>;
}

export interface MeterOptions {
  /** A folder for the journals, of its own. Made when missing. */
  readonly directory: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger?: Logger;
}

/** Folds what an earlier process left, then meters. close() folds the rest; the Store must still be open. */
export async function createMeter(options: MeterOptions): Promise<Meter & { close(): Promise<void> }> {
  return await JournalledMeter.open(options);
}

/** Totals on their way into the Store. */
interface Fold {
  readonly sequence: number;
  readonly totals: readonly (readonly [string, UsageTotals])[];
  readonly remove: () => Promise<void>;
}

class JournalledMeter implements Meter {
  readonly #directory: string;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #journal: Journal;
  /** Journals that are not written any more and not folded yet, oldest first. */
  readonly #unfolded: Fold[];
  #folding: Promise<void> | undefined;
  #cancelTimers = { sync: () => {}, fold: () => {}, prune: () => {} };
  #hour = { startMs: -Infinity, text: "" };
  #closed = false;

  private constructor(options: MeterOptions, unfolded: Fold[], nextSequence: number) {
    this.#directory = options.directory;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#logger = options.logger ?? silentLogger;
    this.#unfolded = unfolded;
    this.#journal = new Journal(options.directory, nextSequence);
    this.#repeat("sync", SYNC_INTERVAL_MS, () => this.#journal.sync());
    this.#repeat("fold", FOLD_INTERVAL_MS, () => this.#fold());
    this.#repeat("prune", PRUNE_INTERVAL_MS, () => this.#prune());
  }

  static async open(options: MeterOptions): Promise<JournalledMeter> {
    const { directory, store } = options;
    await mkdir(directory, { recursive: true });
    const state = await store.get<JournalState>(STATE_KIND, STATE_KEY);
    let lastSequence = state?.value.folded ?? 0;
    const unfolded: Fold[] = [];
    for (const name of (await readdir(directory)).sort()) {
      const sequence = parseJournalName(name);
      if (sequence === undefined) continue;
      const path = `${directory}/${name}`;
      const remove = () => rm(path, { force: true });
      if (state && sequence <= state.value.folded) await remove();
      else unfolded.push({ sequence, totals: [...(await readJournal(path))], remove });
      lastSequence = Math.max(lastSequence, sequence);
    }
    const meter = new JournalledMeter(options, unfolded, lastSequence + 1);
    await meter.#fold();
    await meter.#prune();
    return meter;
  }

  record(usage: Usage): void {
    assert(!this.#closed, "nothing is metered after the meter was closed");
    assert(usage.billedMs >= 0, "a billed duration is a number");
    try {
      this.#journal.add(usageKey(this.#hourNow(), usage), amountsOf(usage));
    } catch (error) {
      this.#logger.error("a meter journal cannot be written: usage is kept in memory until it is folded", {
        error,
      });
      this.#foldInBackground();
    }
    if (this.#journal.size >= JOURNAL_KEYS_MAX) this.#foldInBackground();
  }

  async bill(options: { month: string; prices?: Prices }): Promise<Bill> {
    const { month, prices = AWS_PRICES } = options;
    if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month))
      throw invalidParameterValue("The month must have the form YYYY-MM.");
    await this.#fold();
    const usage: [string, UsageTotals][] = [];
    let after: string | undefined;
    for (;;) {
      const page = await this.#store.list<UsageTotals>(USAGE_KIND, {
        prefix: `${month}-`,
        limit: PAGE_RECORDS,
        ...(after !== undefined && { after }),
      });
      for (const { key, value } of page) usage.push([key, value]);
      after = page.at(-1)?.key;
      if (page.length < PAGE_RECORDS) return makeBill(month, usage, prices);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const cancel of Object.values(this.#cancelTimers)) cancel();
    await this.#fold();
    await this.#journal.remove();
  }

  /** `2026-11-30T13`; made once an hour. */
  #hourNow(): string {
    const nowMs = this.#clock.nowMs();
    const sinceMs = nowMs - this.#hour.startMs;
    if (sinceMs < 0 || sinceMs >= HOUR_MS) {
      const startMs = nowMs - (nowMs % HOUR_MS);
      this.#hour = { startMs, text: new Date(startMs).toISOString().slice(0, 13) };
    }
    return this.#hour.text;
  }

  /** Resolves when everything that was recorded before the call is in the Store. One at a time. */
  async #fold(): Promise<void> {
    while (this.#folding) await this.#folding.catch(() => undefined); // Its caller was told.
    this.#folding = this.#foldNow();
    try {
      await this.#folding;
    } finally {
      this.#folding = undefined;
    }
  }

  async #foldNow(): Promise<void> {
    if (this.#journal.size > 0) this.#beginJournal();
    for (let fold = this.#unfolded[0]; fold; fold = this.#unfolded[0]) {
      await this.#foldOne(fold);
      this.#unfolded.shift();
      await fold.remove();
    }
  }

  #beginJournal(): void {
    const full = this.#journal;
    this.#journal = new Journal(this.#directory, full.sequence + 1);
    this.#unfolded.push({
      sequence: full.sequence,
      totals: full.totals(),
      remove: () => full.remove(),
    });
  }

  async #foldOne(fold: Fold): Promise<void> {
    const state = await this.#store.get<JournalState>(STATE_KIND, STATE_KEY);
    // The transaction of an earlier attempt was committed although its answer got lost.
    if (state && state.value.folded >= fold.sequence) return;
    const changes: Change[] = [
      {
        op: "put",
        kind: STATE_KIND,
        key: STATE_KEY,
        value: { folded: fold.sequence } satisfies JournalState,
        expect: state?.revision ?? "absent",
      },
    ];
    for (const [key, totals] of fold.totals)
      changes.push({ op: "add", kind: USAGE_KIND, key, amounts: totals });
    await this.#store.write(changes);
  }

  #foldInBackground(): void {
    if (this.#folding) return;
    this.#fold().catch((error: unknown) => this.#reportFault(error));
  }

  /** Deletes the counters that are too old; the oldest come first in the Store. */
  async #prune(): Promise<void> {
    const oldest = new Date(this.#clock.nowMs() - KEEP_MS).toISOString().slice(0, 13);
    for (;;) {
      const page = await this.#store.list(USAGE_KIND, { limit: PAGE_RECORDS });
      const old = page.filter(({ key }) => key < oldest);
      if (old.length === 0) return;
      await this.#store.write(old.map(({ key }) => ({ op: "delete", kind: USAGE_KIND, key })));
      if (old.length < PAGE_RECORDS) return;
    }
  }

  #repeat(name: "sync" | "fold" | "prune", intervalMs: number, task: () => Promise<void>): void {
    this.#cancelTimers[name] = this.#clock.after(intervalMs, () => {
      task()
        .catch((error: unknown) => this.#reportFault(error))
        .finally(() => {
          if (!this.#closed) this.#repeat(name, intervalMs, task);
        });
    });
  }

  #reportFault(error: unknown): void {
    this.#logger.error(
      error instanceof RevisionConflict
        ? "somebody else writes the meter's state: two servers on one data directory?"
        : "the meter could not do its work, trying again",
      { error },
    );
  }
}
