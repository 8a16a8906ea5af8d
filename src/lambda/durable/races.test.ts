/**
 * Goal: what befalls an execution while it stands in line, while the server stops or while its function is deleted and made
 * again happens once, reaches who waits for it, and never runs the wrong function; after a fault of the store it goes on.
 * Method: real executions over a memory store, one slot that the test holds, writes and reads that it fails or holds up.
 */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { OperationUpdate } from "@aws-sdk/client-lambda";
import { AwsError } from "../../errors.ts";
import { deferred } from "../../kernel/deferred.ts";
import { outcomeOf } from "../invoke/fakes.ts";
import type { Runner } from "../invoke/run.ts";
import { Inside, PENDING, SUCCEEDED, World, type Server } from "./fixture.ts";

const CHAIN: OperationUpdate = {
  Id: "i",
  Type: "CHAINED_INVOKE",
  Action: "START",
  ChainedInvokeOptions: { FunctionName: "plain" },
};

let world: World;
let server: Server;
/** Frees the one slot. */
let free: () => void;

/** A server with one slot, which a function has. */
async function startWithoutRoom(): Promise<void> {
  world.durable("holder", () => new Promise((resolve) => (free = () => resolve(SUCCEEDED(1)))));
  server = await world.start({ runningMax: 1 });
  await server.start("holder");
  await world.turn();
}

/** Runs `work` while everything that the store is asked about keys of the prefix fails. */
async function withoutStore(prefix: string, work: () => Promise<void>): Promise<void> {
  const { store } = world;
  const write = store.write.bind(store);
  const get = store.get.bind(store);
  const broken = () => Promise.reject(new Error("input/output error"));
  store.write = (changes) =>
    changes.some((change) => "key" in change && change.key.startsWith(prefix)) ? broken() : write(changes);
  store.get = (kind, key) => (key.startsWith(prefix) ? broken() : get(kind, key));
  await work();
  store.write = write;
  store.get = get;
}

/** PENDING until its chained invoke has ended; then how. */
async function chaining(inside: Inside): Promise<unknown> {
  const found = inside.event.InitialExecutionState.Operations.find(({ Id }) => Id === "i");
  if (!found) await inside.checkpoint(CHAIN);
  return found && found.Status !== "STARTED" ? SUCCEEDED(found.Status) : PENDING;
}

beforeEach(() => {
  world = new World();
});

describe("an execution that stands in line", () => {
  beforeEach(startWithoutRoom);

  it("is not held in memory", async () => {
    world.durable("f", () => SUCCEEDED(1));
    const { key } = await server.start("f", "large");
    const entry = server.executions.entry(key);
    assert.equal(entry?.state, "queued");
    let isRead = false;
    const load = async () => {
      isRead = true;
      const execution = await server.executions.disk.load(key);
      assert.ok(execution);
      return execution;
    };
    await entry.exclusively(load, () => undefined);
    assert.ok(isRead);
    free();
    await world.turn(20);
    assert.equal((await server.executions.ended(key)).record.status, "SUCCEEDED");
  });

  it("and is stopped has ended once", async () => {
    world.durable("f", () => SUCCEEDED(1));
    const { arn } = await server.start("f");
    await server.requests.stopExecution(arn, undefined);
    free();
    await world.turn(20);
    const ends = world.counted.filter(({ functionName }) => functionName === "f").map(({ name }) => name);
    assert.equal(ends.filter((name) => name === "DurableExecutionStopped").length, 1);
  });

  it("lets no chained invoke go on that was cancelled meanwhile", async () => {
    world.functions.create("plain");
    world.durable("f", async (inside) => {
      await inside.checkpoint(CHAIN);
      await inside.checkpoint({ Id: "i", Type: "CHAINED_INVOKE", Action: "CANCEL" });
      const WaitOptions = { WaitSeconds: 60 };
      await inside.checkpoint({ Id: "w", Type: "WAIT", Action: "START", WaitOptions });
      return PENDING;
    });
    const { key } = await server.start("f");
    free();
    await world.turn(20);
    assert.equal((await server.executions.disk.operation(key, 1))?.status, "CANCELLED");
    assert.deepEqual(
      world.runs.map(({ name }) => name),
      ["holder", "f"],
    );
  });

  it("and whose function is deleted goes without a word", async () => {
    world.durable("f", () => SUCCEEDED(1));
    await server.start("f");
    world.functions.delete("f");
    await world.turn(20);
    free();
    await world.turn(20);
    await world.advance(1000);
    assert.deepEqual(
      world.lines.filter((line) => line.includes("could not")),
      [],
    );
  });

  it("never runs on a later function of the same name, even if it cannot be removed now", async () => {
    world.durable("f", () => SUCCEEDED("old"));
    const { key } = await server.start("f");
    await withoutStore("f/", async () => {
      world.functions.delete("f");
      await world.turn(20);
    });
    world.durable("f", () => SUCCEEDED("new"));
    free();
    await world.turn(20);
    assert.deepEqual(
      world.runs.filter(({ name }) => name === "f"),
      [],
    );
    await world.advance(1000);
    await world.turn(20);
    assert.equal(
      await server.executions.disk.record(key),
      undefined,
      "removed when the store was there again",
    );
  });
});

describe("a stop of the server", () => {
  it("refuses a synchronous caller whose execution is just being written", async () => {
    world.durable("f", () => SUCCEEDED(1));
    server = await world.start();
    const gate = deferred();
    const write = world.store.write.bind(world.store);
    world.store.write = async (changes) => {
      await gate.promise;
      return write(changes);
    };
    let refusal: unknown;
    server.call("f").catch((error: unknown) => (refusal = error));
    await world.turn();
    server.executions.stop();
    gate.resolve();
    await world.turn(20);
    assert.ok(refusal instanceof AwsError);
    assert.equal(refusal.code, "ServiceException");
  });

  it("is no failure of a chained invoke that fails because of it", async () => {
    world.functions.create("plain");
    world.durable("f", chaining);
    const ending = deferred();
    const runner: Runner = {
      run: async (version, invocation) => {
        if (version.name !== "plain")
          return outcomeOf(JSON.stringify(await chaining(new Inside(invocation, server.requests))));
        await ending.promise;
        return outcomeOf('{"errorMessage":"killed"}', { functionError: "Unhandled" });
      },
    };
    server = await world.start({ runner });
    const { key } = await server.start("f");
    await world.turn(20);
    server.executions.stop();
    ending.resolve();
    await server.executions.close();
    server = await world.start();
    await world.turn(20);
    await world.advance(0);
    await world.turn(20);
    assert.equal((await server.executions.ended(key)).root.result, '"SUCCEEDED"');
  });
});

describe("a fault of the store at a start of the server", () => {
  it("loses no chained invoke", async () => {
    world.functions.create("plain");
    world.durable("f", chaining);
    server = await world.start({
      runner: {
        run: async (version, invocation) => {
          if (version.name === "plain") return new Promise(() => {});
          return outcomeOf(JSON.stringify(await chaining(new Inside(invocation, server.requests))));
        },
      },
    });
    const { key } = await server.start("f");
    await world.turn(20);
    server.kill();
    await withoutStore("f/", async () => {
      server = await world.start();
      await world.turn(20);
    });
    await world.advance(1000);
    await world.turn(20);
    await world.advance(1000);
    await world.turn(20);
    assert.equal((await server.executions.ended(key)).root.result, '"SUCCEEDED"');
  });
});

describe("a chained invoke whose execution's name somebody else has taken", () => {
  it("has failed, instead of waiting for an end that nobody tells it", async () => {
    world.durable("child", () => SUCCEEDED(1));
    world.durable("f", async (inside) => {
      const { DurableExecutionArn, InitialExecutionState } = inside.event;
      if (InitialExecutionState.Operations.length === 1) {
        const durableExecutionName = `${DurableExecutionArn.split("/").at(-1)}-1`;
        await server.start("child", {}, { durableExecutionName });
        await inside.checkpoint({ ...CHAIN, ChainedInvokeOptions: { FunctionName: "child:$LATEST" } });
        return PENDING;
      }
      return SUCCEEDED(InitialExecutionState.Operations[1]?.ChainedInvokeDetails?.Error?.ErrorType);
    });
    server = await world.start();
    const { key } = await server.start("f");
    await world.turn(30);
    const { root } = await server.executions.ended(key);
    assert.equal(root.result, '"DurableExecutionAlreadyStartedException"');
  });
});
