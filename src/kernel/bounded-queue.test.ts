// Goal: first in, first out, and never more than the capacity. Method: examples, and a property against a plain array.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { array, assert as checkProperty, constant, integer, oneof, property } from "fast-check";
import { BoundedQueue } from "./bounded-queue.ts";

describe("a bounded queue", () => {
  it("gives back what it took, in order", () => {
    const queue = new BoundedQueue<string>(3);
    assert.equal(queue.shift(), undefined);
    for (const item of ["a", "b"]) assert.equal(queue.push(item), true);
    assert.deepEqual([queue.size, queue.shift(), queue.shift(), queue.shift()], [2, "a", "b", undefined]);
  });

  it("refuses when it is full, and takes again when it is not", () => {
    const queue = new BoundedQueue<number>(2);
    assert.deepEqual([queue.push(1), queue.push(2), queue.push(3)], [true, true, false]);
    assert.equal(queue.shift(), 1);
    assert.equal(queue.push(4), true);
    assert.deepEqual([queue.shift(), queue.shift(), queue.size], [2, 4, 0]);
  });

  it("behaves as an array of bounded length", () => {
    const step = oneof(integer(), constant("shift" as const));
    checkProperty(
      property(integer({ min: 1, max: 5 }), array(step, { maxLength: 60 }), (capacity, steps) => {
        const queue = new BoundedQueue<number>(capacity);
        const model: number[] = [];
        for (const action of steps) {
          if (action === "shift") assert.equal(queue.shift(), model.shift());
          else {
            assert.equal(queue.push(action), model.length < capacity);
            if (model.length < capacity) model.push(action);
          }
          assert.equal(queue.size, model.length);
        }
      }),
    );
  });

  it("wants a capacity", () => {
    for (const capacity of [0, -1, 1.5, NaN, Infinity])
      assert.throws(() => new BoundedQueue(capacity), { name: "AssertionError" });
  });
});
