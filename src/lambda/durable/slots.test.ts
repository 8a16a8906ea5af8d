// Goal: never more at once than there are slots; functions have turns, and none has them all. Method: jobs that the test ends.
import assert from "node:assert/strict";
import { it } from "node:test";
import { deferred, type Deferred } from "../../kernel/deferred.ts";
import { Slots } from "./slots.ts";

function jobs(slots: Slots) {
  const running: { name: string; end: Deferred<void> }[] = [];
  const begun: string[] = [];
  const submit = (name: string, count = 1) => {
    for (let left = count; left > 0; left -= 1)
      slots.submit(name, () => {
        const end = deferred();
        running.push({ name, end });
        begun.push(name);
        return end.promise;
      });
  };
  const finish = async () => {
    running.shift()?.end.resolve();
    await new Promise<void>((resolve) => void setImmediate(resolve));
  };
  return { running, begun, submit, finish };
}

it("runs so many at once, the rest when there is room", async () => {
  const slots = new Slots(5);
  const { begun, submit, finish } = jobs(slots);
  submit("f", 10);
  assert.deepEqual([begun.length, slots.running], [4, 4], "one function has four fifths at the most");
  submit("g");
  assert.equal(slots.running, 5);
  for (let left = 11; left > 0; left -= 1) await finish();
  assert.deepEqual([begun.length, slots.running], [11, 0]);
});

it("gives functions turns, whoever has more that waits", async () => {
  const { begun, submit, finish } = jobs(new Slots(1));
  submit("f", 4);
  submit("g", 2);
  for (let left = 6; left > 0; left -= 1) await finish();
  assert.deepEqual(begun.join(""), "ffgfgf");
});

it("begins nothing after a stop", async () => {
  const slots = new Slots(1);
  const { begun, submit, finish } = jobs(slots);
  submit("f", 2);
  slots.stop();
  await finish();
  submit("f");
  assert.equal(begun.length, 1);
});
