// Goal: the account's, reserved and provisioned concurrency are ceilings and guarantees, and rates hold, whatever happens.
// Method: examples around each limit with the reason that a refused caller is told; then long random histories of arrivals,
// ends and changed settings against a model that recounts everything from scratch after each step. A failure names its seed.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, it } from "node:test";
import { AwsError } from "../../errors.ts";
import { Admission, type ConcurrencySettings, type VersionAccount } from "./admission.ts";

const F = "arn:aws:lambda:us-east-1:000000000000:function:f";
const G = "arn:aws:lambda:us-east-1:000000000000:function:g";

function settings(
  functionArn: string,
  reserved: number | undefined,
  provisioned: Record<string, number> = {},
): ConcurrencySettings {
  const map = new Map(Object.entries(provisioned));
  return { functionArn, provisioned: map, ...(reserved !== undefined && { reserved }) };
}

/** How many of `count` were let in, and the reason that the first one that was not was told. */
function enter(
  admission: Admission,
  account: VersionAccount,
  count: number,
  nowMs = 0,
  isRateLimited = false,
) {
  for (let entered = 0; entered < count; entered += 1) {
    try {
      admission.enter(account, nowMs, isRateLimited);
    } catch (error) {
      assert.ok(error instanceof AwsError);
      return { entered, reason: error.members["Reason"] };
    }
  }
  return { entered: count, reason: undefined };
}

describe("concurrency", () => {
  it("lets in as many as the account may run at once, and one more for each that leaves", () => {
    const admission = new Admission({ accountConcurrency: 2 });
    const account = admission.account(F, "$LATEST");
    assert.deepEqual(enter(admission, account, 3), {
      entered: 2,
      reason: "ConcurrentInvocationLimitExceeded",
    });
    assert.equal(admission.running, 2, "who is refused does not count");
    admission.leave(account);
    assert.equal(enter(admission, account, 2).entered, 1);
  });

  it("refuses in Lambda's words", () => {
    const admission = new Admission({ accountConcurrency: 0 });
    assert.throws(() => admission.enter(admission.account(F, "1"), 0, true), {
      code: "TooManyRequestsException",
      status: 429,
      message: "Rate Exceeded.",
      members: { Reason: "ConcurrentInvocationLimitExceeded" },
    });
  });

  it("reserves for a function what no other one can use, and no more for itself", () => {
    const admission = new Admission({ accountConcurrency: 10 });
    admission.configure(settings(F, 3));
    assert.deepEqual(enter(admission, admission.account(G, "$LATEST"), 10), {
      entered: 7,
      reason: "ConcurrentInvocationLimitExceeded",
    });
    assert.equal(enter(admission, admission.account(F, "1"), 2).entered, 2);
    assert.deepEqual(enter(admission, admission.account(F, "$LATEST"), 2), {
      entered: 1,
      reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
    });
  });

  it("throttles everything of a function whose reserved concurrency is 0", () => {
    const admission = new Admission({ accountConcurrency: 10 });
    admission.configure(settings(F, 0));
    assert.deepEqual(enter(admission, admission.account(F, "$LATEST"), 1), {
      entered: 0,
      reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
    });
    admission.configure(settings(F, undefined));
    assert.equal(enter(admission, admission.account(F, "$LATEST"), 10).entered, 10);
  });

  it("keeps provisioned concurrency for its version, and lets it overflow into the pool", () => {
    const admission = new Admission({ accountConcurrency: 10 });
    admission.configure(settings(F, undefined, { 1: 4 }));
    const version = admission.account(F, "1");
    assert.equal(enter(admission, admission.account(G, "$LATEST"), 10).entered, 6);
    assert.equal(enter(admission, version, 10).entered, 4);
    admission.leave(admission.account(G, "$LATEST"));
    assert.equal(enter(admission, version, 10).entered, 1, "overflow");
  });

  it("takes provisioned concurrency out of the function's reserved one", () => {
    const admission = new Admission({ accountConcurrency: 100 });
    admission.configure(settings(F, 5, { 1: 5 }));
    assert.deepEqual(enter(admission, admission.account(F, "$LATEST"), 1), {
      entered: 0,
      reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
    });
    assert.equal(enter(admission, admission.account(F, "1"), 9).entered, 5);
    assert.equal(enter(admission, admission.account(G, "1"), 100).entered, 95);
  });

  it("forgets a deleted version with its last invocation", () => {
    const admission = new Admission({ accountConcurrency: 1 });
    const account = admission.account(F, "1");
    admission.enter(account, 0, true);
    admission.forget(F, "1");
    assert.equal(admission.account(F, "1"), account, "still counted");
    admission.forget(F, "1");
    admission.leave(account);
    assert.equal(admission.functions.size, 0);
    assert.equal(admission.running, 0);
  });
});

describe("rates", () => {
  const rates = { accountConcurrency: 10 };
  /** Lets in and out again: only requests count. */
  const requests = (admission: Admission, account: VersionAccount, count: number, nowMs: number) => {
    for (let done = 0; done < count; done += 1) {
      const { entered, reason } = enter(admission, account, 1, nowMs, true);
      if (entered === 0) return { done, reason };
      admission.leave(account);
    }
    return { done: count, reason: undefined };
  };

  it("are ten requests a second for each unit of concurrency, refilled continuously", () => {
    const admission = new Admission(rates);
    const account = admission.account(F, "$LATEST");
    assert.deepEqual(requests(admission, account, 1000, 0), { done: 100, reason: "CallerRateLimitExceeded" });
    assert.equal(requests(admission, account, 1000, 55).done, 5);
    assert.equal(requests(admission, account, 1000, 60_000).done, 100, "what nobody used is not saved up");
  });

  it("of a function with reserved concurrency are its own", () => {
    const admission = new Admission(rates);
    admission.configure(settings(F, 2));
    assert.deepEqual(requests(admission, admission.account(F, "$LATEST"), 1000, 0), {
      done: 20,
      reason: "ReservedFunctionInvocationRateLimitExceeded",
    });
    assert.equal(requests(admission, admission.account(G, "$LATEST"), 1000, 0).done, 80);
  });

  it("of provisioned concurrency come first, the pool's after them", () => {
    const admission = new Admission(rates);
    admission.configure(settings(F, undefined, { 1: 3 }));
    assert.deepEqual(requests(admission, admission.account(F, "1"), 1000, 0), {
      done: 100,
      reason: "FunctionInvocationRateLimitExceeded",
    });
  });

  it("do not hold for the asynchronous queue", () => {
    const admission = new Admission(rates);
    const account = admission.account(F, "$LATEST");
    assert.equal(requests(admission, account, 1000, 0).done, 100);
    assert.equal(enter(admission, account, 10, 0, false).entered, 10);
  });

  it("let a function scale by a thousand environments, and a hundred more each second", () => {
    const admission = new Admission(rates);
    const account = admission.account(F, "1");
    const starts = (of: VersionAccount, nowMs: number) => {
      let count = 0;
      while (admission.mayStart(of, nowMs)) count += 1;
      return count;
    };
    assert.equal(starts(account, 0), 1000);
    assert.equal(starts(admission.account(F, "2"), 0), 0, "all versions together");
    assert.equal(starts(admission.account(G, "1"), 0), 1000, "each function for itself");
    assert.equal(starts(account, 1000), 100);
    assert.equal(starts(account, 100_000), 1000);
  });
});

/** mulberry32: numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const ACCOUNT = 12;
const VERSIONS = ["$LATEST", "1", "2"];
const FUNCTIONS = ["a", "b", "c"];

/** The rules once more, counted from scratch: what runs is a list, and settings are what was configured last. */
class Model {
  readonly running: { name: string; version: string; account: VersionAccount }[] = [];
  readonly settings = new Map<string, ConcurrencySettings>();

  count(name: string, version?: string): number {
    return this.running.filter((run) => run.name === name && (version ?? run.version) === run.version).length;
  }

  provisioned(name: string, version?: string): number {
    const counts = [...(this.settings.get(name)?.provisioned ?? [])];
    return counts.reduce((sum, [of, count]) => sum + ((version ?? of) === of ? count : 0), 0);
  }

  beyond(name: string): number {
    return VERSIONS.reduce(
      (sum, version) => sum + Math.max(0, this.count(name, version) - this.provisioned(name, version)),
      0,
    );
  }

  get pool(): number {
    const claimed = FUNCTIONS.map((name) => this.settings.get(name)?.reserved ?? this.provisioned(name));
    return ACCOUNT - claimed.reduce((sum, count) => sum + count, 0);
  }

  get unreserved(): number {
    const names = FUNCTIONS.filter((name) => this.settings.get(name)?.reserved === undefined);
    return names.reduce((sum, name) => sum + this.beyond(name), 0);
  }

  /** Why one more would be refused; undefined: it is let in. */
  verdict(name: string, version: string): string | undefined {
    const reserved = this.settings.get(name)?.reserved;
    if (this.count(name, version) >= this.provisioned(name, version)) {
      if (reserved !== undefined && this.beyond(name) >= reserved - this.provisioned(name))
        return "ReservedFunctionConcurrentInvocationLimitExceeded";
      if (reserved === undefined && this.unreserved >= this.pool) return "ConcurrentInvocationLimitExceeded";
    }
    return this.running.length < ACCOUNT ? undefined : "ConcurrentInvocationLimitExceeded";
  }
}

class History {
  readonly admission = new Admission({ accountConcurrency: ACCOUNT });
  readonly model = new Model();
  readonly random: () => number;
  readonly met = new Set<string>();

  constructor(seed: number) {
    this.random = randomOf(seed);
  }

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  arrive(): void {
    const name = FUNCTIONS[this.below(FUNCTIONS.length)] ?? "a";
    const version = VERSIONS[this.below(VERSIONS.length)] ?? "1";
    const expected = this.model.verdict(name, version);
    this.met.add(expected ?? "entered");
    const account = this.admission.account(name, version);
    assert.deepEqual(enter(this.admission, account, 1), {
      entered: expected === undefined ? 1 : 0,
      reason: expected,
    });
    if (expected === undefined) this.model.running.push({ name, version, account });
  }

  end(): void {
    const [ended] = this.model.running.splice(this.below(this.model.running.length), 1);
    if (ended) this.admission.leave(ended.account);
  }

  /** Within the account's concurrency, as the control plane sees to it. */
  configure(): void {
    const name = FUNCTIONS[this.below(FUNCTIONS.length)] ?? "a";
    this.model.settings.delete(name);
    const left = Math.max(0, this.model.pool);
    const provisioned: Record<string, number> = {};
    let sum = 0;
    for (const version of ["1", "2"]) {
      const count = this.below(Math.floor(left / 2) + 1);
      if (count > 0 && this.random() < 0.5) [provisioned[version], sum] = [count, sum + count];
    }
    const reserved = this.random() < 0.5 ? sum + this.below(left - sum + 1) : undefined;
    const chosen = settings(name, reserved, provisioned);
    this.model.settings.set(name, chosen);
    this.admission.configure(chosen);
  }

  check(): void {
    const { admission, model } = this;
    assert.ok(admission.running <= ACCOUNT, "never above the account's concurrency");
    assert.equal(admission.running, model.running.length);
    assert.equal(admission.unreserved, model.unreserved);
    for (const name of FUNCTIONS)
      assert.equal(admission.functions.get(name)?.beyond ?? 0, model.beyond(name));
  }

  finish(): void {
    while (this.model.running.length > 0) this.end();
    for (const name of FUNCTIONS) this.admission.configure(settings(name, undefined));
    for (const name of FUNCTIONS) for (const version of VERSIONS) this.admission.forget(name, version);
    assert.equal(this.admission.functions.size, 0, "nothing is left");
    assert.equal(this.admission.unreserved, 0);
    assert.equal(enter(this.admission, this.admission.account("d", "1"), 20).entered, ACCOUNT);
  }
}

describe("admission under random histories", () => {
  const met = new Set<string>();
  for (const seed of [...Array.from({ length: 20 }, (_, index) => index + 1), randomInt(1 << 30)]) {
    it(`counts as the model does, seed ${seed}`, () => {
      const history = new History(seed);
      for (let step = 0; step < 1500; step += 1) {
        const chance = history.random();
        if (chance < 0.5) history.arrive();
        else if (chance < 0.94) history.end();
        else history.configure();
        if (chance > 0.99) history.admission.forget("a", "1");
        history.check();
      }
      history.finish();
      for (const one of history.met) met.add(one);
    });
  }

  it("met every verdict", () => {
    assert.deepEqual([...met].sort(), [
      "ConcurrentInvocationLimitExceeded",
      "ReservedFunctionConcurrentInvocationLimitExceeded",
      "entered",
    ]);
  });
});
