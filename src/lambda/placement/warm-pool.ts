/**
 * Sandboxes with a booted but generic runtime that wait for a function: a cold start then only mounts the code, sets
 * limits and loads the handler. Kept per kind (runtime and, where the interpreter is told its heap at boot, memory size).
 *
 * How many of a kind should wait is pool-demand.ts. Refilling waits until nobody waits for a cold start: a refill that
 * competes with a burst makes the burst many times longer.
 */
import type { Clock } from "../../kernel/clock.ts";
import { coerceError, deferred } from "../../kernel/deferred.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { LinkConnection } from "../environment/link-connection.ts";
import { SandboxError, type Sandbox, type SandboxDriver, type SandboxSpec } from "../sandbox/sandbox.ts";
import { PoolDemand } from "./pool-demand.ts";

/** A sandbox whose runtime is booting or has booted, and belongs to nobody yet. */
export interface Generic {
  readonly sandbox: Sandbox;
  readonly connection: LinkConnection;
}

/** How to make one: everything of a spec but its id. */
export interface GenericKind {
  readonly key: string;
  readonly spec: Omit<SandboxSpec, "id">;
  /** Sandboxes of this kind that wait in quiet times, at the most; absent: as the pool is told. */
  readonly waitingMax?: number;
}

export interface WarmPoolOptions {
  readonly driver: SandboxDriver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nextId: () => string;
  /** Sandboxes that wait per kind in quiet times; 0 switches the pool off. */
  readonly sizePerKind: number;
  /** Sandboxes that wait in all. */
  readonly sizeTotalMax: number;
}

/** After bursts, a kind has at most so many times `sizePerKind` in stock. */
const BURST_SIZE_FACTOR = 16;
/** A generic runtime that has not booted by then never will: tens of times what a loaded machine takes. */
const BOOT_TIMEOUT_MS = 30_000;
/** How often what nobody needs any more is given back. */
const TIDY_MS = 60_000;
/** After the last cold start, before the refill begins. */
const QUIET_MS = 50;

interface Shelf {
  readonly kind: GenericKind;
  readonly waiting: Generic[];
  readonly demand: PoolDemand;
}

export class WarmPool {
  readonly #options: WarmPoolOptions;
  readonly #shelves = new Map<string, Shelf>();
  /** Cold starts that are under way: refilling waits for them. */
  #coldStarts = 0;
  #refilling: Promise<void> | undefined;
  /** The sandbox that the refill waits for. */
  #booting: Sandbox | undefined;
  #cancelRefill: (() => void) | undefined;
  #cancelTidy: (() => void) | undefined;
  #closed = false;

  constructor(options: WarmPoolOptions) {
    this.#options = options;
  }

  /** How many sandboxes wait, by kind. */
  sizes(): Record<string, number> {
    return Object.fromEntries([...this.#shelves].map(([key, shelf]) => [key, shelf.waiting.length]));
  }

  /** Makes the pool keep `kind` warm, as when a function of it was created. */
  expect(kind: GenericKind): void {
    this.#shelf(kind);
    this.#scheduleRefill();
  }

  /** One of that kind: a waiting one, or a new one that is still booting. Rejects with SandboxError. */
  async take(kind: GenericKind): Promise<Generic> {
    const shelf = this.#shelf(kind);
    shelf.demand.taken(this.#options.clock.monotonicMs());
    return shelf.waiting.pop() ?? this.create(kind.spec);
  }

  /** A new one, past the pool. */
  async create(spec: Omit<SandboxSpec, "id">): Promise<Generic> {
    const sandbox = await this.#options.driver.create({ ...spec, id: this.#options.nextId() });
    if (!sandbox.link) {
      await sandbox.destroy("it has no link");
      throw new Error("the sandbox driver gave no fast link");
    }
    return { sandbox, connection: new LinkConnection(sandbox.link) };
  }

  /**
   * Resolves when the runtime of `generic` has booted. Rejects with SandboxError when it ended before or takes too long;
   * the sandbox is the caller's to destroy.
   */
  async booted({ connection }: Generic): Promise<void> {
    const late = deferred();
    const cancel = this.#options.clock.after(BOOT_TIMEOUT_MS, () =>
      late.reject(new Error(`no word from the runtime for ${BOOT_TIMEOUT_MS} ms`)),
    );
    try {
      await Promise.race([connection.booted, late.promise]);
    } catch (cause) {
      throw new SandboxError("boot", `the runtime did not boot: ${coerceError(cause).message}`, { cause });
    } finally {
      cancel();
    }
  }

  coldStartBegins(): void {
    this.#coldStarts += 1;
    this.#cancelRefill?.();
    this.#cancelRefill = undefined;
  }

  coldStartEnded(): void {
    this.#coldStarts -= 1;
    if (this.#coldStarts === 0) this.#scheduleRefill();
  }

  /** Gives back what waits of a kind that nobody will ask for again. */
  forget(key: string): void {
    const shelf = this.#shelves.get(key);
    this.#shelves.delete(key);
    for (const { sandbox } of shelf?.waiting.splice(0) ?? [])
      void this.#discard(sandbox, "not used any more");
  }

  /** Gives back `count` waiting sandboxes, under memory pressure. Resolves with how many went. */
  async shrink(count: number): Promise<number> {
    const going: Generic[] = [];
    for (const shelf of this.#shelves.values()) going.push(...shelf.waiting.splice(0, count - going.length));
    await Promise.all(going.map(({ sandbox }) => this.#discard(sandbox, "memory pressure")));
    return going.length;
  }

  /** Resolves when none of its sandboxes is left, the one that a refill is making included. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRefill?.();
    this.#cancelTidy?.();
    const all = [...this.#shelves.values()].flatMap((shelf) => shelf.waiting.splice(0));
    const sandboxes = all.map(({ sandbox }) => sandbox);
    if (this.#booting) sandboxes.push(this.#booting);
    await Promise.all(sandboxes.map((sandbox) => this.#discard(sandbox, "the server stops")));
    await this.#refilling;
  }

  #shelf(kind: GenericKind): Shelf {
    let shelf = this.#shelves.get(kind.key);
    if (!shelf) {
      const { clock, sizePerKind, sizeTotalMax } = this.#options;
      const sizeMax = Math.min(sizeTotalMax, sizePerKind * BURST_SIZE_FACTOR);
      const demand = new PoolDemand(
        { sizeMin: Math.min(sizePerKind, sizeMax, kind.waitingMax ?? Infinity), sizeMax },
        clock.monotonicMs(),
      );
      shelf = { kind, waiting: [], demand };
      this.#shelves.set(kind.key, shelf);
      this.#scheduleTidy();
    }
    return shelf;
  }

  #scheduleRefill(): void {
    if (this.#closed || this.#refilling || this.#cancelRefill || this.#coldStarts > 0) return;
    this.#cancelRefill = this.#options.clock.after(QUIET_MS, () => {
      this.#cancelRefill = undefined;
      this.#refilling = this.#refill().finally(() => (this.#refilling = undefined));
    });
  }

  #scheduleTidy(): void {
    if (this.#closed || this.#cancelTidy || this.#shelves.size === 0) return;
    this.#cancelTidy = this.#options.clock.after(TIDY_MS, () => {
      this.#cancelTidy = undefined;
      this.#tidy();
      this.#scheduleTidy();
    });
  }

  /** One at a time, so that a cold start that comes meanwhile waits for one creation at the most. */
  async #refill(): Promise<void> {
    try {
      for (let shelf = this.#hungriest(); shelf && this.#coldStarts === 0; shelf = this.#hungriest()) {
        this.#place(shelf, await this.#createBooted(shelf.kind.spec));
      }
    } catch (error) {
      if (this.#closed) return;
      // The next cold start tries again, and tells its caller when it fails too.
      this.#options.logger.warn("cannot refill the pool of waiting sandboxes", { error: coerceError(error) });
    }
  }

  async #createBooted(spec: GenericKind["spec"]): Promise<Generic> {
    const generic = await this.create({ ...spec, background: true });
    if (this.#closed) {
      await this.#discard(generic.sandbox, "the server stops");
      throw new Error("the pool is closed");
    }
    this.#booting = generic.sandbox;
    try {
      await this.booted(generic);
      return generic;
    } catch (error) {
      await this.#discard(generic.sandbox, "did not boot");
      throw error;
    } finally {
      this.#booting = undefined;
    }
  }

  #place(shelf: Shelf, generic: Generic): void {
    // Forgotten while this one was being made: nobody would find it there.
    if (this.#shelves.get(shelf.kind.key) !== shelf)
      return void this.#discard(generic.sandbox, "not used any more");
    shelf.waiting.push(generic);
    void generic.sandbox.exited.then(() => {
      const at = shelf.waiting.indexOf(generic);
      if (at < 0) return;
      shelf.waiting.splice(at, 1);
      void this.#discard(generic.sandbox, "ended while waiting");
    });
  }

  async #discard(sandbox: Sandbox, reason: string): Promise<void> {
    try {
      await sandbox.destroy(reason);
    } catch (error) {
      this.#options.logger.error("a sandbox could not be removed", { error: coerceError(error) });
    }
  }

  /** Forgets kinds that nobody uses any more, and gives back what a burst has left over. */
  #tidy(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [key, shelf] of this.#shelves) {
      if (!shelf.demand.isUsed(nowMs)) this.#shelves.delete(key);
      const surplus = shelf.waiting.length - shelf.demand.target(nowMs);
      if (surplus <= 0) continue;
      // The ones that have waited longest.
      for (const { sandbox } of shelf.waiting.splice(0, surplus))
        void this.#discard(sandbox, "not used any more");
    }
  }

  /** The shelf that misses most of its target. */
  #hungriest(): Shelf | undefined {
    if (this.#closed) return undefined;
    const nowMs = this.#options.clock.monotonicMs();
    let total = 0;
    let found: Shelf | undefined;
    let missingMost = 0;
    for (const shelf of this.#shelves.values()) {
      total += shelf.waiting.length;
      const missing = shelf.demand.target(nowMs) - shelf.waiting.length;
      if (missing > missingMost) [found, missingMost] = [shelf, missing];
    }
    return total < this.#options.sizeTotalMax ? found : undefined;
  }
}
