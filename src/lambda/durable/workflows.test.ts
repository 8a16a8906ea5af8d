/**
 * Goal: whatever happens, and in whatever order, each execution comes to its one right result, what has succeeded in it never
 * runs again, its history has no gap, and when its time is over nothing is left.
 * Method: fast-check makes programs of steps, waits, callbacks, contexts and chained invokes, and histories of starts, time,
 * answers, throttles, failing invocations, kills and orderly restarts. A stand-in for AWS's SDK runs the programs by replay.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Operation, OperationUpdate } from "@aws-sdk/client-lambda";
import * as fc from "fast-check";
import { tooManyRequests } from "../../errors.ts";
import { DAY_MS, PENDING, SUCCEEDED, World, type Inside, type Server } from "./fixture.ts";
import { EVENT_KIND, OPERATION_KIND, type EventRecord, type OperationRecord } from "./records.ts";

const RUNS = 150;

type Instruction =
  | { do: "step"; fails: number }
  | { do: "wait"; seconds: number }
  | { do: "callback" | "chain" }
  | { do: "context"; inner: Instruction[] };

const simple: fc.Arbitrary<Instruction> = fc.oneof(
  fc.record({ do: fc.constant("step" as const), fails: fc.nat(2) }),
  fc.record({ do: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 90 }) }),
  fc.record({ do: fc.constantFrom("callback" as const, "chain" as const) }),
);
const instruction: fc.Arbitrary<Instruction> = fc.oneof(
  { weight: 4, arbitrary: simple },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("context" as const), inner: fc.array(simple, { maxLength: 3 }) }),
  },
);
const program = fc.array(instruction, { maxLength: 5 });

type Happening =
  | { do: "start"; program: Instruction[]; name: string | undefined }
  | { do: "advance"; byMs: number }
  | { do: "answer" | "throttle" | "fail" | "kill" | "restart" | "turn" };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("start" as const),
      program,
      name: fc.option(fc.constantFrom("a", "b"), { nil: undefined }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("advance" as const), byMs: fc.constantFrom(1000, 5000, 60_000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "answer" as const,
        "throttle" as const,
        "fail" as const,
        "kill" as const,
        "restart" as const,
      ),
    }),
  },
);

class Suspended extends Error {}

/** One replay of a program. */
class Replay {
  readonly #inside: Inside;
  readonly #operations: Map<string | undefined, Operation>;
  readonly #ran: (key: string) => void;
  readonly #asked: (callbackId: string) => void;

  constructor(inside: Inside, ran: (key: string) => void, asked: (callbackId: string) => void) {
    this.#inside = inside;
    this.#operations = new Map(inside.event.InitialExecutionState.Operations.map((one) => [one.Id, one]));
    this.#ran = ran;
    this.#asked = asked;
  }

  async run(instructions: readonly Instruction[], prefix = "", ParentId?: string): Promise<string> {
    let text = "";
    for (const [at, one] of instructions.entries()) {
      const id = `${prefix}${at}`;
      const parent = ParentId === undefined ? {} : { ParentId };
      if (one.do === "step") text += await this.#step(id, one.fails, parent);
      else if (one.do === "context") text += await this.#context(id, one.inner, parent);
      else text += await this.#await(id, one, parent);
    }
    return text;
  }

  async #checkpoint(...updates: OperationUpdate[]): Promise<void> {
    for (const one of await this.#inside.checkpoint(...updates)) this.#operations.set(one.Id, one);
  }

  async #step(Id: string, fails: number, parent: Partial<OperationUpdate>): Promise<string> {
    const step = (Action: OperationUpdate["Action"], more: Partial<OperationUpdate> = {}) =>
      ({ Id, Type: "STEP", Action, ...parent, ...more }) satisfies OperationUpdate;
    const before = this.#operations.get(Id);
    if (before?.Status === "SUCCEEDED") return before.StepDetails?.Result ?? "";
    if (before?.Status === "PENDING") throw new Suspended();
    if (before?.Status !== "STARTED") await this.#checkpoint(step("START"));
    this.#ran(`${this.#inside.event.DurableExecutionArn} ${Id}`);
    if ((before?.StepDetails?.Attempt ?? 0) >= fails) {
      await this.#checkpoint(step("SUCCEED", { Payload: `s${Id}` }));
      return `s${Id}`;
    }
    await this.#checkpoint(
      step("RETRY", { Error: { ErrorMessage: "no" }, StepOptions: { NextAttemptDelaySeconds: 2 } }),
    );
    throw new Suspended();
  }

  async #context(
    Id: string,
    inner: readonly Instruction[],
    parent: Partial<OperationUpdate>,
  ): Promise<string> {
    const before = this.#operations.get(Id);
    if (before?.Status === "SUCCEEDED") return before.ContextDetails?.Result ?? "";
    if (!before) await this.#checkpoint({ Id, Type: "CONTEXT", Action: "START", ...parent });
    const Payload = await this.run(inner, `${Id}-`, Id);
    await this.#checkpoint({ Id, Type: "CONTEXT", Action: "SUCCEED", Payload, ...parent });
    return Payload;
  }

  async #await(
    Id: string,
    one: Extract<Instruction, { do: "wait" | "callback" | "chain" }>,
    parent: Partial<OperationUpdate>,
  ): Promise<string> {
    const start = { Id, Action: "START" as const, ...parent };
    if (!this.#operations.has(Id)) {
      if (one.do === "wait")
        await this.#checkpoint({ ...start, Type: "WAIT", WaitOptions: { WaitSeconds: one.seconds } });
      else if (one.do === "callback") await this.#checkpoint({ ...start, Type: "CALLBACK" });
      else
        await this.#checkpoint({
          ...start,
          Type: "CHAINED_INVOKE",
          Payload: Id,
          ChainedInvokeOptions: { FunctionName: "child:$LATEST" },
        });
    }
    const found = this.#operations.get(Id);
    const { CallbackId, Result } = found?.CallbackDetails ?? {};
    if (found?.Status === "SUCCEEDED")
      return one.do === "wait" ? "w" : (Result ?? found.ChainedInvokeDetails?.Result ?? "");
    assert.equal(found?.Status, "STARTED");
    if (CallbackId !== undefined) this.#asked(CallbackId);
    throw new Suspended();
  }
}

/** What a program comes to when nothing goes wrong. */
function expected(instructions: readonly Instruction[], prefix = ""): string {
  const texts = instructions.map((one, at) => {
    const id = `${prefix}${at}`;
    if (one.do === "step") return `s${id}`;
    if (one.do === "context") return expected(one.inner, `${id}-`);
    return { wait: "w", callback: "!", chain: JSON.stringify(`child of ${id}`) }[one.do];
  });
  return texts.join("");
}

class History {
  readonly #world = new World();
  #server: Server | undefined;
  readonly #started = new Map<string, Instruction[]>();
  readonly #names = new Map<string, Instruction[]>();
  readonly #asked = new Set<string>();
  readonly #stepRuns = new Map<string, number>();
  #throttles = 0;
  #failures = 0;
  #disturbances = 0;

  async run(happenings: readonly Happening[]): Promise<void> {
    this.#world.refuse = () => {
      if ((this.#throttles -= 1) >= 0) throw tooManyRequests("ConcurrentInvocationLimitExceeded");
      this.#throttles = 0;
    };
    this.#world.durable("f", (inside) => this.#function(inside), { retentionMs: DAY_MS });
    this.#world.durable("child", ({ input }) => SUCCEEDED(`child of ${input}`), { retentionMs: DAY_MS });
    this.#server = await this.#world.start({ runningMax: 5 });
    for (const each of happenings) await this.#happens(each);
    await this.#end();
  }

  async #function(inside: Inside): Promise<unknown> {
    if ((this.#failures -= 1) >= 0) throw new Error("the invocation fails");
    this.#failures = 0;
    const ran = (key: string) => void this.#stepRuns.set(key, (this.#stepRuns.get(key) ?? 0) + 1);
    const replay = new Replay(inside, ran, (callbackId) => this.#asked.add(callbackId));
    try {
      const { program: instructions } = JSON.parse(inside.input) as { program: Instruction[] };
      return SUCCEEDED(await replay.run(instructions));
    } catch (error) {
      if (error instanceof Suspended) return PENDING;
      throw error;
    }
  }

  async #happens(each: Happening): Promise<void> {
    const world = this.#world;
    if (each.do === "start") return this.#start(each.program, each.name);
    if (each.do === "advance") return world.advance(each.byMs);
    if (each.do === "turn") return world.turn(2);
    if (each.do === "answer") return this.#answer();
    this.#disturbances += 1;
    if (each.do === "throttle") this.#throttles += 1;
    else if (each.do === "fail") this.#failures += 1;
    else {
      if (each.do === "kill") this.#server?.kill();
      else await this.#stop();
      this.#server = await world.start({ runningMax: 5 });
    }
  }

  async #start(instructions: Instruction[], name: string | undefined): Promise<void> {
    const before = name === undefined ? undefined : this.#names.get(name);
    const overrides = name === undefined ? {} : { durableExecutionName: name };
    const starting = this.#server?.start("f", { program: instructions }, overrides);
    if (before && JSON.stringify(before) !== JSON.stringify(instructions)) {
      await assert.rejects(async () => starting, { code: "DurableExecutionAlreadyStartedException" });
      return;
    }
    const { key = "" } = (await starting) ?? {};
    if (before) assert(this.#started.has(key), "the same name and input are the same execution");
    this.#started.set(key, instructions);
    if (name !== undefined) this.#names.set(name, instructions);
  }

  async #answer(): Promise<void> {
    for (const callbackId of this.#asked) {
      this.#asked.delete(callbackId);
      await this.#server?.requests.completeCallback(callbackId, "SUCCEEDED", { result: "!" });
    }
  }

  async #stop(): Promise<void> {
    const end = { closed: false };
    this.#server?.executions.stop();
    void this.#server?.executions.close().then(() => (end.closed = true));
    for (let turns = 0; !end.closed; turns += 1) {
      assert(turns < 500, "an orderly end comes to its end");
      await this.#world.turn(1);
    }
  }

  /** Lets everything end, then accounts for it. */
  async #end(): Promise<void> {
    const world = this.#world;
    for (let minutes = 0; (await world.kept())["open"] !== undefined; minutes += 1) {
      assert(minutes < 120, `something never ends: ${world.lines.join("\n")}`);
      await world.advance(30_000);
      await this.#answer();
      await world.turn(10);
    }
    for (const [key, instructions] of this.#started) {
      const { record, root } = (await this.#server?.executions.ended(key)) ?? {};
      assert.deepEqual([record?.status, root?.result], ["SUCCEEDED", JSON.stringify(expected(instructions))]);
    }
    await this.#checkHistories();
    for (const runs of this.#stepRuns.values())
      assert(
        runs <= 3 + this.#disturbances,
        "a step runs once for each attempt, and once more for what was cut off",
      );
    for (let hours = 0; hours < 26; hours += 1) await world.advance(60 * 60_000);
    await world.turn(this.#started.size * 40 + 100);
    assert.deepEqual(await world.kept(), {}, "nothing is left");
  }

  /** Every operation has begun and ended once in the history, and the events are numbered without a gap. */
  async #checkHistories(): Promise<void> {
    const { store } = this.#world;
    const next = new Map<string, number>();
    const told = new Map<string, number>();
    for (const { key, value } of await store.list<EventRecord>(EVENT_KIND)) {
      const execution = key.slice(0, key.lastIndexOf("/"));
      assert.equal(value.id, next.get(execution) ?? 1);
      next.set(execution, value.id + 1);
      const isEnd = /Succeeded|Failed/.test(value.type) && value.delayS === undefined;
      const what = `${execution} ${value.operation} ${isEnd ? "ended" : value.type}`;
      told.set(what, (told.get(what) ?? 0) + 1);
    }
    for (const { key, value } of await store.list<OperationRecord>(OPERATION_KIND)) {
      const execution = key.slice(0, key.lastIndexOf("/"));
      assert.equal(told.get(`${execution} ${value.ordinal} ended`), 1, `${key} has ended once`);
    }
  }
}

it("brings every execution to its right end, whatever the history", async () => {
  const property = fc.asyncProperty(fc.array(happening, { maxLength: 25 }), (happenings) =>
    new History().run(happenings),
  );
  await fc.assert(property, { numRuns: RUNS });
});
