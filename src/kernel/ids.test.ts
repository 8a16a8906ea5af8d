// Goal: ids have AWS's forms and do not repeat. Method: many of each.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { newHexId, newIamId, newUuid } from "./ids.ts";

describe("ids", () => {
  it("are version 4 UUIDs in lower case", () => {
    const ids = Array.from({ length: 1000 }, newUuid);
    assert.equal(new Set(ids).size, 1000);
    for (const id of ids)
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it("are hexadecimal of the length asked for", () => {
    assert.match(newHexId(4), /^[0-9a-f]{8}$/);
    assert.match(newHexId(16), /^[0-9a-f]{32}$/);
    assert.notEqual(newHexId(16), newHexId(16));
  });

  it("are IAM's: a prefix and sixteen characters, all of the alphabet in use", () => {
    const ids = Array.from({ length: 500 }, () => newIamId("ASIA"));
    assert.equal(new Set(ids).size, 500);
    for (const id of ids) assert.match(id, /^ASIA[A-Z2-7]{16}$/);
    assert.equal(new Set(ids.flatMap((id) => id.slice(4).split(""))).size, 32);
  });
});
