/** For tests: an asynchronous queue over a memory store, with functions, time, targets and sudden deaths in the test's hands. */
import { resourceNotFound } from "../../../errors.ts";
import { functionArn } from "../../../kernel/arn.ts";
import { ManualClock } from "../../../kernel/clock.ts";
import { MemoryStore } from "../../../store/memory.ts";
import { Life } from "../../../store/mortal.ts";
import { createLogger } from "../../../telemetry/logger.ts";
import type { MetricDimensions } from "../../../telemetry/metrics.ts";
import { fakeVersion } from "../../environment/fakes.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../../model.ts";
import { Destinations, type Delivery } from "../destinations.ts";
import type { FunctionDirectory, FunctionEvent } from "../directory.ts";
import { FakeInside, outcomeOf } from "../fakes.ts";
import { AsynchronousQueue, type AsynchronousOptions } from "./asynchronous.ts";
import { LambdaTarget } from "./lambda-target.ts";
import type { AsynchronousSettings, EventSettings } from "./settings.ts";

export const REGION = "us-east-1";
export const ACCOUNT_ID = "000000000000";
export const TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1";

export const arnOf = (name: string) => functionArn(REGION, ACCOUNT_ID, name);

/** Functions that come and go. */
export class FakeFunctions implements FunctionDirectory, AsynchronousSettings {
  readonly #versions = new Map<string, { version: FunctionVersion; identity: string }>();
  readonly #listeners = new Set<(event: FunctionEvent) => void>();
  #made = 0;
  /** What each resolve was asked: `NAME QUALIFIER`. */
  readonly resolved: string[] = [];
  /** Aliases and versions that were deleted, as `NAME:QUALIFIER`. */
  readonly gone = new Set<string>();
  /** Over AWS's defaults, by `NAME:QUALIFIER`. */
  readonly configured = new Map<string, Partial<EventSettings>>();

  create(name: string, overrides: Partial<FunctionVersion> = {}): void {
    this.#made += 1;
    const version = fakeVersion({ name, functionArn: arnOf(name), ...overrides });
    this.#versions.set(name, { version, identity: `identity-${this.#made}` });
  }

  delete(name: string): void {
    this.#versions.delete(name);
    for (const listener of this.#listeners)
      listener({ kind: "deleted", functionArn: arnOf(name), version: "$LATEST", revisionId: "1" });
  }

  /** Not told to anybody: as when it happened while no server ran. */
  forget(name: string): void {
    this.#versions.delete(name);
  }

  version(name: string): FunctionVersion {
    return this.resolve(arnOf(name), undefined);
  }

  resolve(nameOrArn: string, qualifier: string | undefined): FunctionVersion {
    const [name = ""] = nameOrArn.replace(/^.*:function:/, "").split(":");
    this.resolved.push(`${name} ${qualifier ?? "-"}`);
    const found = this.#versions.get(name);
    if (!found || this.gone.has(`${name}:${qualifier}`))
      throw resourceNotFound(`Function not found: ${nameOrArn}`);
    return found.version;
  }

  subscribe(listener: (event: FunctionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  identity(name: string): string | undefined {
    return this.#versions.get(name)?.identity;
  }

  eventSettings(name: string, qualifier: string | undefined): EventSettings {
    return {
      retryAttemptsMax: 2,
      eventAgeMsMax: 6 * 60 * 60_000,
      recursiveLoop: "Terminate",
      isSuspended: false,
      role: "arn:aws:iam::000000000000:role/worker",
      ...this.configured.get(`${name}:${qualifier ?? "$LATEST"}`),
    };
  }
}

export interface Counted extends MetricDimensions {
  readonly name: string;
  readonly value: number;
}

/** What outlives a server, and what all servers of a test tell. */
export class World {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore(this.clock);
  readonly functions = new FakeFunctions();
  readonly inside = new FakeInside();
  readonly counted: Counted[] = [];
  readonly lines: string[] = [];
  readonly deliveries: Delivery[] = [];
  /** What the functions' roles may not do: `ACTION RESOURCE`. */
  readonly denied = new Set<string>();
  /** What the queue or topic does with a delivery. */
  receive: (delivery: Delivery) => Promise<void> = async (delivery) => void this.deliveries.push(delivery);

  constructor() {
    this.functions.create("f");
  }

  async start(options: Partial<AsynchronousOptions> = {}): Promise<Server> {
    const server = new Server(this, options);
    await server.queue.open();
    return server;
  }

  counts(name: string): number {
    return this.counted.filter((one) => one.name === name).reduce((sum, { value }) => sum + value, 0);
  }

  /** Lets everything that is not waiting for time go on. */
  async turn(rounds = 4): Promise<void> {
    for (let left = rounds; left > 0; left -= 1)
      await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  async advance(byMs: number): Promise<void> {
    this.clock.advance(byMs);
    await this.turn();
  }

  /** After how long each further attempt came, to the second, until `untilMs` have passed. */
  async waits(untilMs: number): Promise<number[]> {
    const found: number[] = [];
    let [seen, lastMs] = [this.inside.runs.length, 0];
    for (let nowMs = 1000; nowMs <= untilMs; nowMs += 1000) {
      await this.advance(1000);
      if (this.inside.runs.length === seen) continue;
      found.push(nowMs - lastMs);
      [seen, lastMs] = [this.inside.runs.length, nowMs];
    }
    return found;
  }

  /** How many events the store holds. */
  async stored(): Promise<number> {
    let messages = 0;
    for (const name of await this.store.queueNames(""))
      messages += (await this.store.queue(name).stats()).messages;
    return messages;
  }
}

/** One life of a server. */
export class Server {
  readonly queue: AsynchronousQueue;
  readonly destinations: Destinations;
  readonly #world: World;
  readonly #life = new Life();

  constructor(world: World, options: Partial<AsynchronousOptions>) {
    this.#world = world;
    const { clock, functions, inside, lines } = world;
    this.destinations = new Destinations({
      roleMay: (_role, { action, resource }) => !world.denied.has(`${action} ${resource}`),
    });
    this.queue = new AsynchronousQueue({
      store: this.#life.store(world.store),
      clock,
      runner: { run: (version, invocation) => this.#life.while(inside.run(version, invocation)) },
      directory: functions,
      settings: functions,
      destinations: this.destinations,
      meter: inside.meter,
      metrics: {
        count: (name, dimensions, value) => void world.counted.push({ name, value, ...dimensions }),
      },
      logger: createLogger({ level: "debug", format: "json", clock, sink: (line) => lines.push(line) }),
      retryDelayMs: 60_000,
      eventsMax: 100_000,
      runningMax: 100,
      ...options,
    });
    const target = (bodyBytesMax: number, takesRecordsWithoutPayloads: boolean) => ({
      bodyBytesMax,
      takesRecordsWithoutPayloads,
      deliver: (delivery: Delivery) => this.#life.while(world.receive(delivery)),
    });
    this.destinations.register("sqs", target(1024 * 1024, false));
    this.destinations.register("sns", target(256 * 1024, true));
    this.destinations.register(
      "lambda",
      new LambdaTarget({ directory: functions, settings: functions, queue: this.queue }),
    );
  }

  accept(name = "f", overrides: Partial<Invocation> = {}): Promise<void> {
    return this.queue.accept(this.#world.functions.version(name), {
      requestId: `request-of-${name}`,
      payload: Buffer.from("{}"),
      invokedFunctionArn: arnOf(name),
      traceHeader: TRACE,
      ...overrides,
    });
  }

  /** As kill -9: nothing that was under way comes to an end, nothing more is written. */
  kill(): void {
    this.#life.kill();
    this.queue.stop();
  }
}

export const failing = async (): Promise<InvocationOutcome> =>
  outcomeOf('{"errorType":"Error","errorMessage":"it broke"}', { functionError: "Unhandled" });
