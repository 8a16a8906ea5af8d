/**
 * Whose environment is built next, when the machine and not a limit decides: only so many are built at once, and of the
 * functions that wait the one with the fewest under way has its turn, the one that has waited longest among equals. A burst of
 * one function delays another one's cold start by what is being built at that moment, however long the burst.
 *
 * While the machine is short of memory, only functions without any environment have one built, one after the other: they get
 * on, and the others share what they have. Who finds nothing in a while is told that there is too much to do.
 *
 * An entry is a fleet, not an invocation: what is built is decided when its turn comes, by how many still wait.
 */
import type { Clock } from "../../kernel/clock.ts";

/** What waits for environments. */
export interface Startable {
  /** Environments that have to be started so that everybody who waits will have one. */
  readonly missing: number;
  /** Whether any environment of it is there or under way. */
  readonly hasAny: boolean;
  /** Turns are taken by function, not by version: whatever is the same for all versions of one. */
  readonly functionKey: object;
}

export interface StartQueueOptions<Fleet extends Startable> {
  readonly clock: Clock;
  readonly isShortOfMemory: () => boolean;
  /** Begins to start one, and calls `built` once, when what it needs of the machine is done. It makes `missing` less. */
  readonly start: (fleet: Fleet, built: () => void) => void;
  /** Refuses everybody for whom nothing is under way. */
  readonly refuse: (fleet: Fleet) => void;
  /** Default: STARTS_MAX. */
  readonly startsMax?: number;
}

/** Built at once: more than that keeps no machine busier, and is what a newcomer waits for. */
const STARTS_MAX = 32;
/** How long somebody waits for memory. */
const HELD_MS_MAX = 10_000;

export class StartQueue<Fleet extends Startable> {
  readonly #options: StartQueueOptions<Fleet>;
  /** Who misses environments; who was served last at the end. */
  readonly #hungry = new Set<Fleet>();
  /** By function: being built. */
  readonly #underWay = new Map<object, number>();
  #building = 0;
  /** By fleet that waits for memory: cancels the end of its wait. */
  readonly #held = new Map<Fleet, () => void>();

  constructor(options: StartQueueOptions<Fleet>) {
    this.#options = options;
  }

  /** Fleets that wait for their turn. */
  get waiting(): number {
    return this.#hungry.size;
  }

  /** `fleet` misses environments. */
  want(fleet: Fleet): void {
    this.#hungry.add(fleet);
    this.next();
  }

  /** To be called when there may be room: memory has become free, or an environment has ended. */
  next(): void {
    if (this.#hungry.size === 0) return;
    const { startsMax = STARTS_MAX, isShortOfMemory } = this.#options;
    const isShort = isShortOfMemory();
    const max = isShort ? 1 : startsMax;
    while (this.#building < max) {
      const fleet = this.#choose(isShort);
      if (!fleet) break;
      this.#hungry.delete(fleet);
      this.#hungry.add(fleet);
      this.#start(fleet);
    }
    if (isShort) for (const fleet of this.#hungry) this.#hold(fleet);
    else for (const fleet of this.#held.keys()) this.#letGo(fleet);
  }

  /** Nothing more is started: everybody who waits for it is refused. */
  stop(): void {
    for (const fleet of this.#hungry) this.#options.refuse(fleet);
    this.#hungry.clear();
    for (const fleet of this.#held.keys()) this.#letGo(fleet);
  }

  /** As many as there are hungry fleets at the most: each is of another version. */
  #choose(isShort: boolean): Fleet | undefined {
    let [chosen, least]: [Fleet | undefined, number] = [undefined, Infinity];
    for (const fleet of this.#hungry) {
      if (fleet.missing === 0) {
        this.#hungry.delete(fleet);
        this.#letGo(fleet);
        continue;
      }
      if (isShort && fleet.hasAny) continue;
      const underWay = this.#underWay.get(fleet.functionKey) ?? 0;
      if (underWay < least) [chosen, least] = [fleet, underWay];
      if (least === 0) break;
    }
    return chosen;
  }

  #start(fleet: Fleet): void {
    const { functionKey } = fleet;
    this.#building += 1;
    this.#underWay.set(functionKey, (this.#underWay.get(functionKey) ?? 0) + 1);
    let isBuilt = false;
    this.#options.start(fleet, () => {
      if (isBuilt) return;
      isBuilt = true;
      this.#building -= 1;
      const left = (this.#underWay.get(functionKey) ?? 1) - 1;
      if (left > 0) this.#underWay.set(functionKey, left);
      else this.#underWay.delete(functionKey);
      this.next();
    });
  }

  #hold(fleet: Fleet): void {
    if (this.#held.has(fleet)) return;
    const cancel = this.#options.clock.after(HELD_MS_MAX, () => {
      this.#held.delete(fleet);
      this.#hungry.delete(fleet);
      this.#options.refuse(fleet);
    });
    this.#held.set(fleet, cancel);
  }

  #letGo(fleet: Fleet): void {
    this.#held.get(fleet)?.();
    this.#held.delete(fleet);
  }
}
