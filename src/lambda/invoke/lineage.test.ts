// Goal: a chain of invocations is counted for each function, whatever a caller puts into the header. Method: headers by hand.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hopsOf, LINEAGE_HOPS_MAX, withHop } from "./lineage.ts";

const F = "arn:aws:lambda:us-east-1:000000000000:function:f";
const G = "arn:aws:lambda:us-east-1:000000000000:function:g";
const TRACE = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1";

describe("lineage", () => {
  it("counts each function's invocations, from 0 on, and keeps the rest of the header", () => {
    const first = withHop(TRACE, F);
    assert.match(first, new RegExp(`^${TRACE};Lineage=[0-9a-f]{8}:0$`));
    assert.equal(hopsOf(first, F), 0);
    const third = withHop(withHop(withHop(first, G), F), F);
    assert.match(third, new RegExp(`^${TRACE};Lineage=[0-9a-f]{8}:2\\|[0-9a-f]{8}:0$`));
    assert.equal(hopsOf(third, F), 2);
    assert.equal(hopsOf(third, G), 0);
    assert.equal(hopsOf(TRACE, F), 0);
  });

  it("reaches the limit with the seventeenth invocation", () => {
    let header = TRACE;
    for (let invocation = 1; invocation <= LINEAGE_HOPS_MAX; invocation += 1) {
      header = withHop(header, F);
      assert.ok(hopsOf(header, F) < LINEAGE_HOPS_MAX, `invocation ${invocation} is let through`);
    }
    assert.equal(hopsOf(withHop(header, F), F), LINEAGE_HOPS_MAX);
  });

  it("finds the field wherever it stands, and passes over what is no entry", () => {
    const hashed = /Lineage=([0-9a-f]{8})/.exec(withHop("", F))?.[1] ?? "";
    for (const header of [
      `Lineage=${hashed}:7;Root=1`,
      `Root=1; Lineage=${hashed}:7`,
      `Root=1;Lineage=x:1|${hashed}:7|1:2:3|`,
    ])
      assert.equal(hopsOf(header, F), 7, header);
    for (const header of [
      `Lineage=${hashed}:-7`,
      `Lineage=${hashed}:1e9`,
      `XLineage=${hashed}:7`,
      "Lineage=",
    ])
      assert.equal(hopsOf(header, F), 0, header);
  });

  it("stays short, and its counts stay numbers", () => {
    let header = TRACE;
    for (let number = 0; number < 100; number += 1) header = withHop(header, `${F}${number}`);
    assert.equal(header.split("|").length, 32);
    assert.equal(hopsOf(withHop(header, `${F}99`), `${F}99`), 1);
    const hashed = /Lineage=([0-9a-f]{8})/.exec(withHop("", F))?.[1] ?? "";
    assert.equal(hopsOf(withHop(`Lineage=${hashed}:32767`, F), F), 32_767);
  });
});
