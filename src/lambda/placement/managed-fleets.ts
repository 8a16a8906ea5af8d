/**
 * The environments of versions on Managed Instances. Each takes several invocations at a time; a new one is started when all that
 * there are have no room, up to the version's ceiling and its capacity provider's vCPUs. As many as configured are always there: the
 * provisioner sees to it. The others end when they have been idle for a while, and all of them at their greatest age.
 */
import type { Clock } from "../../kernel/clock.ts";
import type { Environment } from "../environment/environment.ts";
import type { ManagedScaling } from "./concurrency.ts";
import type { Fleet } from "./fleet.ts";

/** What is configured for a version; all of it is 0 when it is gone or deactivated. */
export type Scaling = Omit<ManagedScaling, "version">;

/** How often a version's environments are looked at. */
const LOOK_MS = 10_000;
/** One beyond the minimum that has been idle for so long ends. */
const SCALE_IN_MS = 60_000;

export class ManagedFleets {
  readonly #clock: Clock;
  readonly #ageMsMax: number;
  /** Versions that scale, by function. */
  readonly #fleets = new Map<string, Set<Fleet>>();
  /** By capacity provider: vCPUs of the environments that there are. */
  readonly #vcpus = new Map<string, number>();
  readonly #looks = new Map<Fleet, () => void>();

  constructor(options: { clock: Clock; ageMsMax: number }) {
    this.#clock = options.clock;
    this.#ageMsMax = options.ageMsMax;
  }

  /** How each of a function's fleets scales from now on; those that are not named, to nothing. */
  configure(functionArn: string, scalings: ReadonlyMap<Fleet, Scaling>): void {
    for (const fleet of this.#fleets.get(functionArn) ?? []) if (!scalings.has(fleet)) this.#end(fleet);
    if (scalings.size > 0) this.#fleets.set(functionArn, new Set(scalings.keys()));
    else this.#fleets.delete(functionArn);
    for (const [fleet, scaling] of scalings) {
      fleet.scaling = scaling;
      this.#tidy(fleet);
    }
  }

  /** Whether one environment more would be too much. */
  isAtCeiling({ scaling, all }: Fleet): boolean {
    if (!scaling) return true;
    const { max, vcpus, provider } = scaling;
    return all.size >= max || (this.#vcpus.get(provider.name) ?? 0) + vcpus > provider.vcpusMax;
  }

  /** One more is there, until it has ended. */
  started(fleet: Fleet, environment: Environment): void {
    const { vcpus = 0, provider } = fleet.scaling ?? {};
    if (!provider) return;
    const { name } = provider;
    this.#vcpus.set(name, (this.#vcpus.get(name) ?? 0) + vcpus);
    void environment.gone.then(() => {
      const left = (this.#vcpus.get(name) ?? 0) - vcpus;
      if (left > 0) this.#vcpus.set(name, left);
      else this.#vcpus.delete(name);
    });
    this.#watch(fleet);
  }

  stop(): void {
    for (const cancel of this.#looks.values()) cancel();
    this.#looks.clear();
  }

  #end(fleet: Fleet): void {
    fleet.scaling = undefined;
    for (const environment of [...fleet.all]) environment.retire("its version is not there any more");
  }

  #watch(fleet: Fleet): void {
    if (this.#looks.has(fleet)) return;
    const cancel = this.#clock.after(LOOK_MS, () => {
      this.#looks.delete(fleet);
      this.#tidy(fleet);
      if (fleet.all.size > 0) this.#watch(fleet);
    });
    this.#looks.set(fleet, cancel);
  }

  #tidy(fleet: Fleet): void {
    const { min = 0, max = 0 } = fleet.scaling ?? {};
    const nowMs = this.#clock.monotonicMs();
    let left = fleet.all.size;
    for (const environment of [...fleet.all]) {
      const isOld = nowMs - environment.createdMs >= this.#ageMsMax;
      const isIdle = environment.state === "IDLE";
      const isSurplus =
        isIdle && (left > max || (left > min && nowMs - environment.idleSinceMs >= SCALE_IN_MS));
      if (!isOld && !isSurplus) continue;
      left -= 1;
      environment.retire(isOld ? "reached its greatest age" : "scaled in");
      // One at a look, and those that never idle with it: its place is taken before the next one goes.
      if (isOld) break;
    }
  }
}
