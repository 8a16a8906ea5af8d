/**
 * Goal: a list of executions finds what it is asked for, in both orders, in pages that miss nothing and tell nothing twice.
 * Method: the operation itself over a memory store, with more executions than it reads at a time.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { ListDurableExecutionsByFunctionResponse } from "@aws-sdk/client-lambda";
import { fakeContext } from "../invoke/fakes.ts";
import { SUCCEEDED, World } from "./fixture.ts";
import { durableOperations } from "./operations.ts";

const COUNT = 450;
const names = Array.from({ length: COUNT }, (_, at) => `n${at}`);

describe("a list of executions", () => {
  let list: (input: object) => Promise<ListDurableExecutionsByFunctionResponse>;
  before(async () => {
    const world = new World();
    const { clock, functions } = world;
    world.durable("f", () => SUCCEEDED(1));
    const { executions } = await world.start();
    const operations = durableOperations({ executions, directory: functions, settings: functions, clock });
    list = async (input) =>
      (await operations["ListDurableExecutionsByFunction"]?.(
        { FunctionName: "f", ...input },
        fakeContext(),
      )) as ListDurableExecutionsByFunctionResponse;
    for (const durableExecutionName of names) {
      const version = functions.version("f");
      const invocation = {
        requestId: "r",
        payload: Buffer.from("1"),
        invokedFunctionArn: `${version.functionArn}:$LATEST`,
        traceHeader: "Root=1",
        durableExecutionName,
      };
      await executions.run({ version, invocation });
      clock.advance(1);
    }
  });

  it("finds a single one among hundreds in one request, however small the page", async () => {
    for (const ReverseOrder of [false, true]) {
      const found = await list({ DurableExecutionName: "n225", MaxItems: 1, ReverseOrder });
      assert.deepEqual(
        found.DurableExecutions?.map(({ DurableExecutionName }) => DurableExecutionName),
        ["n225"],
      );
    }
  });

  it("has each one once, in pages of any size", async () => {
    for (const ReverseOrder of [false, true])
      for (const MaxItems of [7, 200, 450, 0]) {
        const found: string[] = [];
        let Marker: string | undefined;
        do {
          const page = await list({ MaxItems, ReverseOrder, Marker });
          assert.ok(MaxItems === 0 || (page.DurableExecutions?.length ?? 0) <= MaxItems);
          found.push(...(page.DurableExecutions ?? []).map((one) => one.DurableExecutionName ?? ""));
          Marker = page.NextMarker;
        } while (Marker !== undefined);
        assert.deepEqual(found, ReverseOrder ? names.toReversed() : names);
      }
  });

  it("takes no marker of another function", async () => {
    const Marker = Buffer.from("g/x").toString("base64url");
    await assert.rejects(list({ Marker }), { code: "InvalidParameterValueException" });
  });
});
