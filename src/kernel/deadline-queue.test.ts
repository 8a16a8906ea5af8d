// Goal: what is due comes out in the order of its times, and nothing else does. Method: any pushes, against a sorted list.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { DeadlineQueue } from "./deadline-queue.ts";

describe("a queue of deadlines", () => {
  it("gives what is due, the earliest first", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), fc.nat(60), (dues, nowMs) => {
        const queue = new DeadlineQueue<number>();
        for (const [index, dueMs] of dues.entries()) queue.push(dueMs, index);
        assert.equal(queue.firstDueMs, Math.min(Infinity, ...dues));
        const taken: number[] = [];
        for (let due = queue.takeDue(nowMs); due; due = queue.takeDue(nowMs)) {
          assert.equal(dues[due.item], due.dueMs, "the item has its own time");
          taken.push(due.dueMs);
        }
        assert.deepEqual(
          taken,
          dues.filter((dueMs) => dueMs <= nowMs).sort((a, b) => a - b),
        );
        assert.equal(queue.size, dues.length - taken.length);
      }),
    );
  });

  it("keeps its order when it drops what nobody wants", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50)), (dues) => {
        const queue = new DeadlineQueue<number>();
        for (const [index, dueMs] of dues.entries()) queue.push(dueMs, index);
        queue.retain((item) => item % 3 === 0);
        const taken: number[] = [];
        for (let due = queue.takeDue(50); due; due = queue.takeDue(50)) taken.push(due.dueMs);
        assert.deepEqual(
          taken,
          dues.filter((_, index) => index % 3 === 0).sort((a, b) => a - b),
        );
      }),
    );
  });
});
