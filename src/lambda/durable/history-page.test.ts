/**
 * Goal: a history in pages is the whole history, once, in both directions, whatever bounds a page.
 * Method: one execution with payloads of a megabyte, read with every size of page.
 */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { SUCCEEDED, World, type Server } from "./fixture.ts";
import { historyPage, type HistoryPageOptions } from "./history-page.ts";
import type { ExecutionRecord } from "./records.ts";

const STEPS = 8;

describe("a history", () => {
  let server: Server;
  let record: ExecutionRecord;
  before(async () => {
    const world = new World();
    server = await world.start();
    world.durable("f", async (inside) => {
      for (let n = 0; n < STEPS; n += 1)
        await inside.checkpoint({
          Id: `s${n}`,
          Type: "STEP",
          Action: "SUCCEED",
          Payload: "x".repeat(1_048_576),
        });
      return SUCCEEDED(1);
    });
    ({ record } = await server.call("f"));
    await world.turn();
    record = (await server.executions.disk.record(`f/${record.id}`)) ?? record;
  });

  const pages = async (options: Omit<HistoryPageOptions, "marker">) => {
    const found: (number | undefined)[][] = [];
    let marker: string | undefined;
    do {
      const page = await historyPage(server.executions.disk, record, { ...options, marker });
      found.push(page.events.map(({ EventId }) => EventId));
      marker = page.nextMarker;
    } while (marker !== undefined);
    return found;
  };
  const all = Array.from({ length: STEPS + 3 }, (_, index) => index + 1);

  it("has each event once, in pages of every size", async () => {
    for (const newestFirst of [false, true]) {
      for (let itemsMax = 1; itemsMax <= all.length + 1; itemsMax += 1) {
        const found = await pages({ itemsMax, newestFirst, withData: false });
        assert.deepEqual(found.flat(), newestFirst ? all.toReversed() : all);
        assert.ok(found.every((page) => page.length > 0 && page.length <= itemsMax));
      }
    }
  });

  it("has no more of them in a page than an answer bears", async () => {
    for (const newestFirst of [false, true]) {
      const found = await pages({ itemsMax: 1000, newestFirst, withData: true });
      assert.deepEqual(found.flat(), newestFirst ? all.toReversed() : all);
      assert.ok(found.length > 1 && found.every((page) => page.length <= 6), JSON.stringify(found));
    }
  });
});
