/**
 * For tests: durable executions over a memory store, with functions, time and sudden deaths in the test's hands. A function is
 * either what the test makes of its event, or a program that a small stand-in for AWS's SDK replays.
 */
import type { Operation, OperationUpdate } from "@aws-sdk/client-lambda";
import { ManualClock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { MemoryStore } from "../../store/memory.ts";
import { Life } from "../../store/mortal.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { arnOf, FakeFunctions, TRACE } from "../invoke/asynchronous/fixture.ts";
import { outcomeOf } from "../invoke/fakes.ts";
import type { Usage } from "../metering/usage.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { Ended } from "./entry.ts";
import { DurableExecutions, type DurableExecutionsOptions } from "./executions.ts";
import type { EventRecord } from "./records.ts";
import { DurableRequests } from "./requests.ts";
import type { Started } from "./start.ts";

export { arnOf } from "../invoke/asynchronous/fixture.ts";

export const DAY_MS = 24 * 60 * 60_000;
const DURABLE = { executionTimeoutMs: DAY_MS, retentionMs: 7 * DAY_MS };

/** What the runtime gets: times are numbers here. */
export interface DurableEvent {
  readonly DurableExecutionArn: string;
  readonly CheckpointToken: string;
  readonly UpdatedOperationIds?: string[];
  readonly InitialExecutionState: { readonly Operations: Operation[]; readonly NextMarker?: string };
}

/** One invocation, seen from inside the function. */
export class Inside {
  readonly event: DurableEvent;
  readonly invocation: Invocation;
  readonly #requests: DurableRequests;
  #token: string;

  constructor(invocation: Invocation, requests: DurableRequests) {
    this.invocation = invocation;
    this.event = JSON.parse(invocation.payload.toString("utf8")) as DurableEvent;
    this.#requests = requests;
    this.#token = this.event.CheckpointToken;
  }

  get token(): string {
    return this.#token;
  }

  /** Resolves with the operations that the function is told of. */
  async checkpoint(...updates: OperationUpdate[]): Promise<Operation[]> {
    const { DurableExecutionArn: arn } = this.event;
    const { CheckpointToken, NewExecutionState } = await this.#requests.checkpoint(
      arn,
      this.#token,
      updates,
      undefined,
    );
    this.#token = CheckpointToken ?? "";
    return NewExecutionState?.Operations ?? [];
  }

  async state(marker: string | undefined, items: number) {
    return this.#requests.state(this.event.DurableExecutionArn, this.#token, marker, items);
  }

  /** What the caller of the execution gave it. */
  get input(): string {
    return this.event.InitialExecutionState.Operations[0]?.ExecutionDetails?.InputPayload ?? "";
  }
}

/** What an invocation comes to: the function's answer. What it throws is its error. */
export type Handler = (inside: Inside) => unknown;

export const SUCCEEDED = (result: unknown) => ({ Status: "SUCCEEDED", Result: JSON.stringify(result) });
export const PENDING = { Status: "PENDING" };

/** What outlives a server. */
export class World {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore(this.clock);
  readonly functions = new FakeFunctions();
  /** By function name. A function without one is a plain one that answers its event. */
  readonly handlers = new Map<string, Handler>();
  /** In place of a run: throws what keeps the function from running. */
  refuse: (version: FunctionVersion) => void = () => undefined;
  readonly runs: { name: string; invocation: Invocation }[] = [];
  readonly usages: Usage[] = [];
  readonly counted: { name: string; value: number; functionName: string }[] = [];
  readonly lines: string[] = [];
  /** ARNs that no role may invoke. */
  readonly denied = new Set<string>();

  /** A durable function of that name. */
  durable(name: string, handler: Handler, settings: Partial<typeof DURABLE> = {}): void {
    this.functions.create(name, { durable: { ...DURABLE, ...settings } });
    this.handlers.set(name, handler);
  }

  async start(options: Partial<DurableExecutionsOptions> = {}): Promise<Server> {
    const server = new Server(this, options);
    await server.executions.open();
    return server;
  }

  /** Lets everything that is not waiting for time go on. */
  async turn(rounds = 6): Promise<void> {
    for (let left = rounds; left > 0; left -= 1)
      await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  async advance(byMs: number): Promise<void> {
    this.clock.advance(byMs);
    await this.turn();
  }

  /** Keys of all records of durable executions, by kind. */
  async kept(): Promise<Record<string, number>> {
    const kinds = ["execution", "operation", "event", "open", "newest", "name", "expiry"];
    const counts = await Promise.all(
      kinds.map(async (kind) => [kind, (await this.store.list(`lambda/durable-${kind}`)).length] as const),
    );
    return Object.fromEntries(counts.filter(([, count]) => count > 0));
  }
}

/** One life of a server. */
export class Server {
  readonly executions: DurableExecutions;
  readonly requests: DurableRequests;
  readonly #world: World;
  readonly #life = new Life();

  constructor(world: World, options: Partial<DurableExecutionsOptions>) {
    this.#world = world;
    const { clock, functions, lines, usages, denied } = world;
    this.executions = new DurableExecutions({
      store: this.#life.store(world.store),
      clock,
      directory: functions,
      settings: functions,
      runner: { run: (version, invocation) => this.#life.while(this.#run(version, invocation)) },
      meter: { record: (usage) => void usages.push(usage) },
      metrics: {
        count: (name, dimensions, value) => void world.counted.push({ name, value, ...dimensions }),
      },
      logger: createLogger({ level: "debug", format: "json", clock, sink: (line) => lines.push(line) }),
      mayInvoke: (_role, arn) => !denied.has(arn),
      runningMax: 100,
      ...options,
    });
    this.requests = new DurableRequests({ executions: this.executions, settings: functions, clock });
  }

  start(
    name: string,
    input: unknown = {},
    overrides: Partial<Invocation> = {},
  ): Promise<Pick<Started, "key" | "arn">> {
    return this.executions.start({
      version: this.#world.functions.version(name),
      invocation: this.#invocation(name, input, overrides),
    });
  }

  call(
    name: string,
    input: unknown = {},
    overrides: Partial<Invocation> = {},
  ): Promise<Ended & { arn: string }> {
    return this.executions.run({
      version: this.#world.functions.version(name),
      invocation: this.#invocation(name, input, overrides),
    });
  }

  #invocation(name: string, input: unknown, overrides: Partial<Invocation>): Invocation {
    return {
      requestId: `request-of-${name}`,
      payload: Buffer.from(JSON.stringify(input)),
      invokedFunctionArn: `${arnOf(name)}:$LATEST`,
      traceHeader: TRACE,
      ...overrides,
    };
  }

  events(key: string): Promise<EventRecord[]> {
    return this.executions.disk.events(key, 1, 1000);
  }

  async #run(version: FunctionVersion, invocation: Invocation): Promise<InvocationOutcome> {
    const { handlers, runs } = this.#world;
    this.#world.refuse(version);
    runs.push({ name: version.name, invocation });
    const handler = handlers.get(version.name);
    if (!version.durable) return outcomeOf(invocation.payload.toString("utf8"));
    try {
      const answer = await handler?.(new Inside(invocation, this.requests));
      return outcomeOf(JSON.stringify(answer ?? null));
    } catch (error) {
      const { name: errorType, message: errorMessage } = coerceError(error);
      return outcomeOf(JSON.stringify({ errorType, errorMessage }), { functionError: "Unhandled" });
    }
  }

  /** As kill -9: nothing that was under way comes to an end, nothing more is written. */
  kill(): void {
    this.#life.kill();
    this.executions.stop();
  }
}
