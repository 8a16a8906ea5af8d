/**
 * Placement: which environment gets an invocation. An idle environment of the same function version, the one used last
 * first (so that the others grow old and go); a frozen one; else a cold start. Everything here is soft state in memory.
 */
import { availableParallelism } from "node:os";
import { AwsError, serviceException, tooManyRequests } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import type { LogSink } from "../../telemetry/log-sink.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Gauge } from "../../telemetry/metrics.ts";
import { Environment } from "../environment/environment.ts";
import { EnvironmentLog } from "../environment/environment-log.ts";
import { entrypointOutcome } from "../environment/failures.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import { Admission, type AdmissionOptions } from "./admission.ts";
import type { FunctionConcurrency, ProvisionedState } from "./concurrency.ts";
import { concurrencyGauges } from "./concurrency-gauges.ts";
import { Fleet, type Waiter } from "./fleet.ts";
import { HotQueue } from "./hot-queue.ts";
import { ManagedFleets } from "./managed-fleets.ts";
import { KeepAlive } from "./keep-alive.ts";
import { InvalidEntrypoint, type Occupier } from "./occupier.ts";
import { logStreamName, platformLines } from "./log-stream.ts";
import { Provisioner } from "./provisioner.ts";
import { StartQueue } from "./start-queue.ts";
import type { WarmPool } from "./warm-pool.ts";

export interface PlacementOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sink: LogSink;
  /** Whether the function's role may write to that group; asked for each new environment. Everybody's may when left out. */
  readonly mayLog?: (version: FunctionVersion, stream: string) => boolean;
  readonly occupier: Occupier;
  readonly pool: WarmPool;
  readonly region: string;
  readonly accountConcurrency: number;
  /** Limits of rates. Default: AWS's. */
  readonly rates?: Omit<AdmissionOptions, "accountConcurrency">;
  readonly keepAlive: KeepAlive;
  /** CPUs that environments share. Default: this machine's. */
  readonly cpus?: number;
}

/** Who asks for an invocation: a caller that waits for its answer, or the queue of asynchronous events. */
export type InvocationOrigin = "caller" | "queue";

/**
 * An invocation waits for environments that have answered and are about to be idle, before it starts one more: without it, a
 * client that calls again at once would find its environment busy with its log lines, and start another. How often it
 * looks counts, not only how long: a server that has no CPU for a while has not heard from its environments either.
 */
const ABOUT_TO_SERVE_LOOK_MS = 5;
const ABOUT_TO_SERVE_LOOKS_MAX = 4;
/** What AWS says of a version that cannot be initialised. */
const FUNCTION_INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE";
/** The words of a status that no operation tells: an environment of somebody else's has to end first. */
const CEILING_REACHED = "CAPACITY_PROVIDER_SCALING_LIMIT_EXCEEDED";
/** Environments that are started ahead of time at once: whoever waits for one has most of the machine. */
const PREWARMS_MAX = 2;

/** As on AWS, a function whose role may not write logs has none; what it prints is read and thrown away. */
const NO_LOG: LogSink = { append: () => true, drained: () => Promise.resolve() };

export class Placement {
  readonly #options: PlacementOptions;
  readonly #admission: Admission;
  /** By functionArn:version. */
  readonly #fleets = new Map<string, Fleet>();
  readonly #byVersion = new WeakMap<FunctionVersion, Fleet>();
  /** Every environment that is not gone yet, those of dissolved fleets included. */
  readonly #environments = new Set<Environment>();
  readonly #provisioner: Provisioner;
  readonly #managed: ManagedFleets;
  readonly #starts: StartQueue<Fleet>;
  readonly #hot: HotQueue;
  /** Environments that are being started ahead of time. */
  #prewarming = 0;
  /** No further invocation is let in. */
  #closed = false;
  /** No further environment is started: those who still wait are refused. */
  #stopped = false;

  constructor(options: PlacementOptions) {
    this.#options = options;
    const { accountConcurrency, rates } = options;
    this.#admission = new Admission({ ...rates, accountConcurrency });
    this.#provisioner = new Provisioner({
      clock: options.clock,
      isShortOfMemory: () => options.keepAlive.isShortOfMemory,
      start: (fleet) => this.#startProvisioned(fleet),
    });
    this.#managed = new ManagedFleets({ clock: options.clock, ageMsMax: options.keepAlive.ageMsMax });
    this.#starts = new StartQueue({
      clock: options.clock,
      isShortOfMemory: () => options.keepAlive.isShortOfMemory,
      start: (fleet, built) => this.#startMissing(fleet, built),
      refuse: (fleet) =>
        this.#refuseMissing(
          fleet,
          this.#stopped ? stopping() : tooManyRequests("ConcurrentInvocationLimitExceeded"),
        ),
    });
    const { clock, cpus = availableParallelism() } = options;
    this.#hot = new HotQueue({ clock, cpus, release: (fleet) => this.#release(fleet) });
    options.keepAlive.start({
      fleets: () => this.#fleets.values(),
      prewarm: (fleet) => this.#prewarm(fleet),
      evict: (environment, reason) => void environment.shutdown(reason),
      shrinkPool: (count) => options.pool.shrink(count),
      relieved: () => this.#starts.next(),
    });
  }

  get concurrency(): number {
    return this.#admission.running;
  }

  /** AWS's metrics of concurrency; for one observer. */
  gauges(): Iterable<Gauge> {
    return concurrencyGauges(this.#admission);
  }

  /** Environments by their state. */
  states(): ReadonlyMap<string, number> {
    const states = new Map<string, number>();
    for (const { state } of this.#environments) states.set(state, (states.get(state) ?? 0) + 1);
    return states;
  }

  /** How many environments there are, without those that are being removed, and how many of them wait. */
  counts(): { environments: number; idle: number } {
    let [environments, idle] = [0, 0];
    for (const { state } of this.#environments) if (state !== "SHUTTING_DOWN") environments += 1;
    for (const fleet of this.#fleets.values()) {
      idle += fleet.idle.length + fleet.provisionedIdle.length;
      if (fleet.isManaged) for (const { state } of fleet.all) if (state === "IDLE") idle += 1;
    }
    return { environments, idle };
  }

  /**
   * Runs one invocation. Rejects with AwsError when it could not run: TooManyRequestsException, InvalidRuntimeException,
   * ServiceException. Everything the function does is part of the outcome. What the queue asks for is not one of the
   * requests that a second may have.
   */
  async run(
    version: FunctionVersion,
    invocation: Invocation,
    origin: InvocationOrigin = "caller",
  ): Promise<InvocationOutcome> {
    if (this.#closed) throw stopping();
    const { keepAlive, clock } = this.#options;
    const fleet = this.#fleet(version);
    const nowMs = clock.monotonicMs();
    this.#admission.enter(fleet.account, nowMs, origin === "caller");
    // Keep-alive learns from what provisioned concurrency does not serve: that is what it keeps environments for.
    let isLearning = false;
    const learn = (atMs = clock.monotonicMs()) => {
      isLearning = true;
      keepAlive.begin(fleet, atMs);
    };
    try {
      let outcome: InvocationOutcome;
      if (fleet.isManaged) return await this.#placeManaged(fleet, invocation);
      if (this.#hot.isBetter(fleet, nowMs)) outcome = await this.#hot.wait(fleet, invocation, learn);
      else {
        if (fleet.provisionedIdle.length === 0) learn(nowMs);
        outcome = await this.#place(fleet, invocation);
      }
      fleet.heat.answered(outcome.report.durationMs);
      return outcome;
    } finally {
      if (isLearning) keepAlive.end(fleet);
      this.#admission.leave(fleet.account);
    }
  }

  /** On the environment that was idle last, else on whichever is idle first. */
  #place(fleet: Fleet, invocation: Invocation): Promise<InvocationOutcome> {
    const found = fleet.nextIdle();
    if (!found) return this.#coldStart(fleet, invocation);
    return found.state === "IDLE" ? found.invoke(invocation) : this.#wake(found, fleet, invocation);
  }

  /** On an environment that is frozen; when it cannot be woken, on another one. */
  async #wake(found: Environment, fleet: Fleet, invocation: Invocation): Promise<InvocationOutcome> {
    if (found.state === "FROZEN") await found.wake();
    return found.state === "IDLE" ? found.invoke(invocation) : this.#place(fleet, invocation);
  }

  /** On the environment with most room; without any, on whichever has room first. */
  #placeManaged(fleet: Fleet, invocation: Invocation): Promise<InvocationOutcome> {
    return fleet.leastLoaded()?.invoke(invocation) ?? this.#coldStart(fleet, invocation);
  }

  /** Those who wait for an environment that is at work have the idle ones; who is left over has others started. */
  #release(fleet: Fleet): void {
    fleet.hurry();
    for (let left = fleet.idle.length; left > 0; left -= 1) {
      const waiter = fleet.take();
      waiter?.resolve(this.#place(fleet, waiter.invocation));
    }
    this.#startUnlessServed(fleet, ABOUT_TO_SERVE_LOOKS_MAX);
  }

  /** Environments of other revisions of this version take nothing more; all of them when `revisionId` is undefined. */
  retire(functionArn: string, version: string, revisionId: string | undefined): void {
    if (revisionId === undefined) this.#admission.forget(functionArn, version);
    const key = `${functionArn}:${version}`;
    const fleet = this.#fleets.get(key);
    if (!fleet || fleet.version.revisionId === revisionId) return;
    // A newer revision has it until its own first invocation: what was learned goes over then.
    fleet.isRetired = true;
    if (revisionId === undefined) {
      this.#fleets.delete(key);
      this.#options.keepAlive.forget(fleet);
    }
    this.#dissolve(fleet, "a newer revision took over");
    if (revisionId !== undefined || !fleet.version.snapStart) return;
    this.#options.occupier.forget(fleet.version).catch((error: unknown) => {
      this.#options.logger.warn("a snapshot could not be removed", {
        function: fleet.version.name,
        error: coerceError(error),
      });
    });
  }

  /** What is configured for a function from now on. What runs goes on, and counts where it now belongs. */
  configure({ provisioned, managed = [], ...settings }: FunctionConcurrency): void {
    const counts = provisioned.map(({ version, count }) => [version.version, count] as const);
    this.#admission.configure({ ...settings, provisioned: new Map(counts) });
    const wanted = provisioned.map(({ version, count }) => [this.#fleet(version), count] as const);
    const scalings = managed.map(({ version, ...scaling }) => [this.#fleet(version), scaling] as const);
    this.#managed.configure(settings.functionArn, new Map(scalings));
    const always = scalings.map(([fleet, { min }]) => [fleet, min] as const);
    this.#provisioner.configure(settings.functionArn, new Map([...wanted, ...always]));
  }

  /** What there is of a version's provisioned concurrency. */
  provisioned(functionArn: string, version: string): ProvisionedState {
    const fleet = this.#fleets.get(`${functionArn}:${version}`);
    return fleet ? this.#provisioner.state(fleet) : { allocated: 0, available: 0 };
  }

  /** Prepares for a function's first invocation: its runtime's pool. Failures are the invocation's to tell. */
  expect(version: FunctionVersion): void {
    this.#options.occupier.expect(version).catch((error: unknown) => {
      this.#options.logger.debug("no waiting sandbox for a function", {
        function: version.name,
        error: coerceError(error),
      });
    });
  }

  /** Takes nothing new, lets what runs finish for `drainMs`, then ends every environment. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    this.#provisioner.stop();
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + drainMs;
    while (this.#admission.running > 0 && clock.monotonicMs() < deadlineMs)
      await new Promise<void>((resolve) => void clock.after(20, resolve));
    this.#options.keepAlive.stop();
    this.#managed.stop();
    this.#stopped = true;
    this.#starts.stop();
    await Promise.all([...this.#environments].map((environment) => environment.shutdown("the server stops")));
  }

  #fleet(version: FunctionVersion): Fleet {
    // The directory hands out the same object until the version changes: no key is put together on the hot path.
    const known = this.#byVersion.get(version);
    if (known && !known.isRetired) return known;
    const found = this.#findFleet(version);
    this.#byVersion.set(version, found);
    return found;
  }

  #findFleet(version: FunctionVersion): Fleet {
    const key = `${version.functionArn}:${version.version}`;
    const fleet = this.#fleets.get(key);
    if (fleet && !fleet.isRetired && fleet.version.revisionId === version.revisionId) return fleet;
    const fresh = new Fleet(version, this.#admission.account(version.functionArn, version.version), fleet);
    this.#fleets.set(key, fresh);
    if (fleet) {
      fleet.isRetired = true;
      this.#options.keepAlive.forget(fleet, fresh.usage);
      this.#dissolve(fleet, "a newer revision took over");
    }
    return fresh;
  }

  #dissolve(fleet: Fleet, reason: string): void {
    for (const environment of [...fleet.idle.splice(0), ...fleet.provisionedIdle.splice(0)])
      void environment.shutdown(reason);
    if (fleet.isManaged) for (const environment of [...fleet.all]) environment.retire(reason);
  }

  /**
   * No environment is idle. As many are started as invocations wait, but none is started for a certain one: an invocation
   * has whichever is idle first, a new one or one that has finished its work meanwhile.
   */
  #coldStart(fleet: Fleet, invocation: Invocation): Promise<InvocationOutcome> {
    const outcome = fleet.wait(invocation);
    this.#startUnlessServed(fleet, ABOUT_TO_SERVE_LOOKS_MAX);
    return outcome;
  }

  #startUnlessServed(fleet: Fleet, looksLeft: number): void {
    if (fleet.missing === 0) return;
    if (this.#stopped) this.#refuseMissing(fleet, stopping());
    else if (looksLeft === 0 || !fleet.isAboutToServe) this.#starts.want(fleet);
    else
      this.#options.clock.after(ABOUT_TO_SERVE_LOOK_MS, () => this.#startUnlessServed(fleet, looksLeft - 1));
  }

  /** Its turn in the queue of starts has come, or it is the end of all turns. */
  #startMissing(fleet: Fleet, built: () => void): void {
    if (fleet.isManaged && this.#managed.isAtCeiling(fleet)) {
      this.#refuseMissing(fleet, tooManyRequests("ConcurrentInvocationLimitExceeded"));
      built();
      return;
    }
    if (this.#admission.mayStart(fleet.account, this.#options.clock.monotonicMs())) {
      fleet.starting += 1;
      void this.#startOne(fleet, built);
      return;
    }
    // The ones who came last: the others wait for the environments that are being started.
    this.#refuseMissing(fleet, this.#admission.scalesTooFast(fleet.account));
    built();
  }

  #refuseMissing(fleet: Fleet, error: Error): void {
    while (fleet.missing > 0) fleet.takeNewest()?.reject(error);
  }

  /** Ahead of an invocation that is likely to come. It is on demand all the same: the function cannot tell. */
  #prewarm(fleet: Fleet): boolean {
    if (this.#stopped || this.#closed || fleet.isRetired || this.#prewarming >= PREWARMS_MAX) return false;
    this.#prewarming += 1;
    fleet.starting += 1;
    void this.#startOne(fleet).finally(() => (this.#prewarming -= 1));
    return true;
  }

  /** Never rejects: what goes wrong is told to an invocation that waits. */
  async #startOne(fleet: Fleet, built?: () => void): Promise<void> {
    const { pool, logger } = this.#options;
    pool.coldStartBegins();
    try {
      const environment = this.#newEnvironment(fleet, fleet.isManaged, built);
      const init = await environment.start();
      fleet.starting -= 1;
      if (init.status === "ready" && environment.state === "IDLE") {
        fleet.usage.initMs = init.durationMs;
        this.#becameIdle(fleet, environment);
      } else this.#repeatInit(fleet);
    } catch (thrown) {
      fleet.starting -= 1;
      const error = coerceError(thrown);
      const waiter = fleet.takeMissing();
      if (waiter) this.#cannotStart(fleet.version, waiter, error);
      else logger.warn("an environment could not be built", { function: fleet.version.name, error });
      // With room for several, more than one may have waited for it.
      this.#startUnlessServed(fleet, ABOUT_TO_SERVE_LOOKS_MAX);
    } finally {
      pool.coldStartEnded();
    }
  }

  /** For provisioned concurrency. Never rejects; answers why there is none, in the words of its status. */
  async #startProvisioned(fleet: Fleet): Promise<string | undefined> {
    const { pool, logger } = this.#options;
    if (fleet.isManaged && this.#managed.isAtCeiling(fleet)) return CEILING_REACHED;
    pool.coldStartBegins();
    try {
      // Who waits for an environment waits for this one too.
      if (fleet.isManaged) fleet.starting += 1;
      const environment = this.#newEnvironment(fleet, true);
      const init = await environment.start().finally(() => {
        if (fleet.isManaged) fleet.starting -= 1;
      });
      if (init.status !== "ready" || environment.state !== "IDLE") return FUNCTION_INIT_FAILURE;
      this.#becameIdle(fleet, environment);
      return undefined;
    } catch (thrown) {
      if (thrown instanceof InvalidEntrypoint) return FUNCTION_INIT_FAILURE;
      const error = coerceError(thrown);
      logger.warn("an environment could not be built", { function: fleet.version.name, error });
      return error instanceof AwsError ? error.message : "INTERNAL_FAILURE";
    } finally {
      pool.coldStartEnded();
      this.#startUnlessServed(fleet, ABOUT_TO_SERVE_LOOKS_MAX);
    }
  }

  /**
   * AWS repeats a failed init once, inside the invocation and under the function's timeout. With room for several, others
   * who wait have this environment's other places, or the next one when it ends.
   */
  #repeatInit(fleet: Fleet): void {
    const waiter = fleet.takeMissing();
    if (!waiter) return;
    if (this.#stopped) return waiter.reject(stopping());
    this.#newEnvironment(fleet, fleet.isManaged)
      .startWith(waiter.invocation)
      .then(waiter.resolve, (thrown: unknown) =>
        this.#cannotStart(fleet.version, waiter, coerceError(thrown)),
      );
  }

  #cannotStart(version: FunctionVersion, { invocation, resolve, reject }: Waiter, error: Error): void {
    if (error instanceof InvalidEntrypoint)
      return resolve(entrypointOutcome(error.message, invocation.requestId, version.memoryMb));
    if (error instanceof AwsError) return reject(error);
    this.#options.logger.error("an environment could not be built", { function: version.name, error });
    reject(serviceException());
  }

  /** Calls `built` when the machine has done its part: what is left of the start is the function's own. */
  #newEnvironment(fleet: Fleet, isProvisioned = false, built: () => void = () => undefined): Environment {
    const { clock, occupier, region, logger, mayLog } = this.#options;
    const { version } = fleet;
    const stream = logStreamName(clock.nowMs(), version.version);
    const sink = mayLog?.(version, stream) === false ? NO_LOG : this.#options.sink;
    const log = new EnvironmentLog({
      clock,
      sink,
      target: { group: version.logging.group, stream },
      onPressure: (pause) => environment.holdBack(pause),
    });
    const environment: Environment = new Environment({
      function: version,
      clock,
      log,
      lines: platformLines(version, region, initializationTypeOf(fleet, isProvisioned)),
      isProvisioned,
      occupy: (events) => occupier.occupy(version, stream, events, isProvisioned).finally(built),
      onEnded: () => this.#remove(fleet, environment),
      onIdle: () => this.#becameIdle(fleet, environment),
      onFault: (error) => logger.error("a sandbox could not be removed", { function: version.name, error }),
    });
    fleet.all.add(environment);
    if (isProvisioned) fleet.provisioned?.all.add(environment);
    if (fleet.isManaged) this.#managed.started(fleet, environment);
    this.#environments.add(environment);
    void environment.gone.then(() => this.#environments.delete(environment));
    return environment;
  }

  #becameIdle(fleet: Fleet, environment: Environment): void {
    // Who waits for an old revision was admitted when it was the current one.
    if (fleet.isAwaited || !(fleet.isRetired || this.#closed)) {
      fleet.offer(environment);
      if (fleet.isManaged) return;
      if (environment.isProvisioned) this.#provisioner.tend(fleet);
      this.#options.keepAlive.becameIdle(fleet);
    } else environment.retire("a newer revision took over");
  }

  #remove(fleet: Fleet, environment: Environment): void {
    fleet.remove(environment);
    if (environment.isProvisioned) this.#provisioner.tend(fleet);
    this.#startUnlessServed(fleet, ABOUT_TO_SERVE_LOOKS_MAX);
    this.#starts.next();
  }
}

function initializationTypeOf(fleet: Fleet, isProvisioned: boolean) {
  if (fleet.isManaged) return "lambda-managed-instances";
  return isProvisioned ? "provisioned-concurrency" : "on-demand";
}

function stopping(): AwsError {
  return serviceException("The server is shutting down.");
}
