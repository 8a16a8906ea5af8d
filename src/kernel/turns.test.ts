// Goal: so many begin in a turn of the event loop, in their order, and all of them in the end.
// Method: takers that note their number; the turns are the event loop's own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "./turns.ts";

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

test("a burst is spread over turns, in its order", async () => {
  const turns = new Turns(2);
  const begun: number[] = [];
  const all = Promise.all([1, 2, 3, 4, 5].map((number) => turns.take().then(() => begun.push(number))));
  await Promise.resolve();
  assert.deepEqual(begun, [1, 2]);
  await turn();
  await Promise.resolve();
  assert.deepEqual(begun, [1, 2, 3, 4]);
  await all;
  assert.deepEqual(begun, [1, 2, 3, 4, 5]);
});

test("who comes later does not overtake, and a quiet time gives a turn of one's own again", async () => {
  const turns = new Turns(1);
  const begun: string[] = [];
  const first = turns.take().then(() => begun.push("first"));
  const second = turns.take().then(() => begun.push("second"));
  await first;
  const third = turns.take().then(() => begun.push("third"));
  await Promise.all([second, third]);
  assert.deepEqual(begun, ["first", "second", "third"]);
  await turn();
  await turn();
  void turns.take().then(() => begun.push("at once"));
  await Promise.resolve();
  assert.equal(begun.at(-1), "at once");
});

test("what has room is called at once, what has none in the next turn", async () => {
  const turns = new Turns(1);
  const begun: number[] = [];
  for (const number of [1, 2]) turns.run(() => begun.push(number));
  assert.deepEqual(begun, [1]);
  await turn();
  assert.deepEqual(begun, [1, 2]);
});
