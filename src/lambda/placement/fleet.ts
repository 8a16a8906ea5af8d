/** The environments of one function version at one revision, and the invocations that wait for one of them. */
import type { Environment } from "../environment/environment.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { VersionAccount } from "./admission.ts";
import { Heat } from "./hot-queue.ts";
import type { Provisioned } from "./provisioner.ts";
import type { Scaling } from "./managed-fleets.ts";
import { FunctionUsage } from "./usage.ts";

/** An invocation that nobody serves yet; whoever takes it settles it. */
export interface Waiter {
  readonly invocation: Invocation;
  readonly resolve: (outcome: InvocationOutcome | Promise<InvocationOutcome>) => void;
  readonly reject: (error: Error) => void;
  /** Told when it is served. */
  readonly onServed?: (() => void) | undefined;
}

export class Fleet {
  readonly version: FunctionVersion;
  /** Where its invocations are counted. */
  readonly account: VersionAccount;
  /** How it is used: for keep-alive. */
  readonly usage: FunctionUsage;
  /** How soon it answers: for those who wait for an environment that is at work. */
  readonly heat = new Heat();
  readonly all = new Set<Environment>();
  /** IDLE or FROZEN, the one used last at the end. */
  readonly idle: Environment[] = [];
  /** As `idle`, of provisioned concurrency: used before the others. */
  readonly provisionedIdle: Environment[] = [];
  /** What is configured and what there is of it; absent: nothing ever was. */
  provisioned: Provisioned | undefined;
  /** On Managed Instances: between how many environments it scales; undefined: to none. */
  scaling: Scaling | undefined;
  /** Invocations that one environment takes at a time. */
  readonly slots: number;
  /** First come, first served; never more than admission lets in. */
  readonly #waiting: Waiter[] = [];
  /** Of those, the ones that wait for an environment that is at work: none is started for them. */
  readonly #patient = new Set<Waiter>();
  /** Environments that are being started for whoever waits when they are ready. */
  starting = 0;
  /** A newer revision has taken over, or the version is gone: it serves those who wait for it, and nobody else. */
  isRetired = false;

  /** `before`: the fleet of the version's last revision, whose usage goes over. */
  constructor(version: FunctionVersion, account: VersionAccount, before?: Fleet) {
    this.version = version;
    this.account = account;
    this.slots = version.concurrencyMax ?? 1;
    const { memoryMb } = version;
    this.usage = before ? before.usage.succeed(memoryMb) : new FunctionUsage(memoryMb);
  }

  /** Has `invocation` served by the next environment that becomes idle or by whoever takes it first. */
  wait(invocation: Invocation): Promise<InvocationOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<InvocationOutcome>();
    this.#waiting.push({ invocation, resolve, reject });
    return promise;
  }

  /** As `wait`, for an environment that is at work, until `hurry`. `onServed` is told when that is over, unless it is refused. */
  waitPatiently(invocation: Invocation, onServed: () => void): Promise<InvocationOutcome> {
    const { promise, resolve, reject } = Promise.withResolvers<InvocationOutcome>();
    const waiter = { invocation, resolve, reject, onServed };
    this.#waiting.push(waiter);
    this.#patient.add(waiter);
    return promise;
  }

  /** Those who wait for an environment that is at work do with any other from now on. */
  hurry(): void {
    this.#patient.clear();
  }

  /** Whoever has waited longest, to be served. */
  take(): Waiter | undefined {
    const waiter = this.#waiting.shift();
    if (!waiter) return undefined;
    this.#patient.delete(waiter);
    waiter.onServed?.();
    return waiter;
  }

  /** Of those for whom environments are started, whoever has waited for the shortest time. */
  takeNewest(): Waiter | undefined {
    return this.#takeAt(this.#waiting.findLastIndex((one) => !this.#patient.has(one)));
  }

  /** An environment could not be started: whoever has waited longest of those for whom none is under way any more. */
  takeMissing(): Waiter | undefined {
    if (this.missing === 0) return undefined;
    const waiter = this.#takeAt(this.#waiting.findIndex((one) => !this.#patient.has(one)));
    waiter?.onServed?.();
    return waiter;
  }

  #takeAt(index: number): Waiter | undefined {
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  /** An idle environment: the one that has waited longest runs on it, from this turn on. */
  offer(environment: Environment): void {
    if (this.isManaged) return this.#offerPlaces(environment);
    const waiter = this.take();
    if (waiter) waiter.resolve(environment.invoke(waiter.invocation));
    else if (environment.isProvisioned) this.provisionedIdle.push(environment);
    else this.idle.push(environment);
  }

  /** On Managed Instances, where environments are in no list: whoever takes one looks for the one with most room. */
  #offerPlaces(environment: Environment): void {
    while (environment.canTake) {
      const waiter = this.take();
      if (!waiter) return;
      waiter.resolve(environment.invoke(waiter.invocation));
    }
  }

  get isManaged(): boolean {
    return this.version.concurrencyMax !== undefined;
  }

  /** The environment with the fewest invocations that can take one more; of several the first, so that the others may end. */
  leastLoaded(): Environment | undefined {
    let found: Environment | undefined;
    for (const environment of this.all) {
      if (!environment.canTake || (found && environment.inFlight >= found.inFlight)) continue;
      found = environment;
      if (found.inFlight === 0) break;
    }
    return found;
  }

  /** IDLE or FROZEN, the one used last of the provisioned ones, else of the others; it is not in the list any more. */
  nextIdle(): Environment | undefined {
    return this.provisionedIdle.pop() ?? this.idle.pop();
  }

  /** It has ended. */
  remove(environment: Environment): void {
    this.all.delete(environment);
    this.provisioned?.all.delete(environment);
    const idle = environment.isProvisioned ? this.provisionedIdle : this.idle;
    const at = idle.indexOf(environment);
    if (at >= 0) idle.splice(at, 1);
  }

  /** Whoever has waited longest, and goes on waiting. */
  get oldest(): Waiter | undefined {
    return this.#waiting[0];
  }

  /** Environments that have an invocation, or end. */
  get atWork(): number {
    return this.all.size - this.starting - this.idle.length - this.provisionedIdle.length;
  }

  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Environments that have to be started so that everybody who waits for one that is idle will have one. */
  get missing(): number {
    const hurried = this.#waiting.length - this.#patient.size;
    return Math.max(0, Math.ceil(hurried / this.slots) - this.starting);
  }

  /** Whether any environment is there or under way. */
  get hasAny(): boolean {
    return this.all.size > 0;
  }

  /** Cold starts are fair between functions, not versions. */
  get functionKey(): object {
    return this.account.of;
  }

  /** Whether environments that have answered, and will be idle in a moment, are as many as are missing. */
  get isAboutToServe(): boolean {
    let answered = 0;
    for (const environment of this.all) if (environment.hasAnswered) answered += 1;
    return answered >= this.missing;
  }
}
