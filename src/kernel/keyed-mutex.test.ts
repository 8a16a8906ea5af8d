// Goal: of one key, one piece of work at a time, in order, whatever became of the one before; nothing is kept of keys that are
// done. Method: pieces of work that end when the test says so.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deferred } from "./deferred.ts";
import { KeyedMutex } from "./keyed-mutex.ts";

describe("a mutex for each key", () => {
  it("runs work on one key in order, and does not make another key wait", async () => {
    const mutex = new KeyedMutex();
    const [first, other] = [deferred(), deferred()];
    const seen: string[] = [];
    const work = (name: string, until: Promise<void>) => async () => {
      seen.push(`${name} begins`);
      await until;
      seen.push(`${name} ends`);
      return name;
    };
    const answers = [
      mutex.run("a", work("1", first.promise)),
      mutex.run("a", work("2", Promise.resolve())),
      mutex.run("b", work("3", other.promise)),
    ];
    other.resolve();
    assert.equal(await answers[2], "3");
    assert.deepEqual(seen, ["1 begins", "3 begins", "3 ends"]);
    first.resolve();
    assert.deepEqual(await Promise.all(answers), ["1", "2", "3"]);
    assert.deepEqual(seen.slice(3), ["1 ends", "2 begins", "2 ends"]);
    assert.equal(mutex.size, 0);
  });

  it("goes on after work that failed, whose asker alone hears of it", async () => {
    const mutex = new KeyedMutex();
    const failed = mutex.run("a", async () => {
      throw new Error("no");
    });
    const next = mutex.run("a", async () => "yes");
    await assert.rejects(failed, { message: "no" });
    assert.equal(await next, "yes");
    assert.equal(mutex.size, 0);
  });
});
