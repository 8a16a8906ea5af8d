/**
 * Goal: composite alarms follow the alarms that they look at, as their rules say, and hold back what a suppressor holds back.
 * Method: rules as texts; the real alarm book over the memory store and a manual clock, states set by hand.
 */
import assert from "node:assert/strict";
import { describe, it, test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { AwsError } from "../../../errors.ts";
import { ManualClock } from "../../../kernel/clock.ts";
import { deferred } from "../../../kernel/deferred.ts";
import type { Change } from "../../../store/store.ts";
import { MemoryStore } from "../../../store/memory.ts";
import { silentLogger } from "../../../telemetry/logger.ts";
import type { RequestContext } from "../../../wire/service.ts";
import { MetricStore } from "../metrics/metric-store.ts";
import { alarmOperations } from "../operations/alarms.ts";
import { AlarmActions } from "./actions.ts";
import { AlarmBook } from "./alarm-book.ts";
import { checkComposite } from "./composite.ts";
import { parseRule } from "./rule.ts";
import type { AlarmState } from "./verdict.ts";

const STATES: Readonly<Record<string, AlarmState>> = { a: "ALARM", "b c": "OK", d: "INSUFFICIENT_DATA" };
const holds = (text: string) => parseRule(text).holds((name) => STATES[name]);

describe("rules", () => {
  for (const [text, expected] of [
    ["TRUE", true],
    ["FALSE", false],
    ["ALARM(a)", true],
    ['ALARM("a") AND OK("b c")', true],
    ["OK(b c)", true],
    ["INSUFFICIENT_DATA ( d )", true],
    ["NOT ALARM(a)", false],
    ["NOT NOT ALARM(a)", true],
    ["FALSE AND FALSE OR TRUE", true],
    ["TRUE OR TRUE AND FALSE", true],
    ["(TRUE OR TRUE) AND FALSE", false],
    ["NOT (ALARM(a) AND OK(a))", true],
    ["ALARM(arn:aws:cloudwatch:us-east-1:000000000000:alarm:a)", true],
    ["OK(nobody) OR ALARM(nobody) OR INSUFFICIENT_DATA(nobody)", false],
  ] as const)
    it(text, () => assert.equal(holds(text), expected));

  it("that are malformed are refused", () => {
    for (const text of [
      "",
      "ALARM",
      "ALARM()",
      "ALARM(a",
      "TRUE TRUE",
      "alarm(a)",
      "TRUE AND",
      "()",
      "TRUE)",
      'OK("a)',
    ])
      assert.throws(() => parseRule(text), /AlarmRule is not valid/, text);
    assert.throws(() => parseRule(Array(501).fill("TRUE").join(" OR ")), /more than 500 elements/);
    const many = Array.from({ length: 101 }, (_, at) => `OK(a${at})`).join(" OR ");
    assert.throws(() => parseRule(many), /more than 100 child alarms/);
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("ALARM", "(", ")", "a", "AND", "NOT", "OR", '"', "TRUE", " ")),
        (parts) => {
          try {
            parseRule(parts.join(""));
          } catch (error) {
            assert.ok(error instanceof AwsError, String(error));
          }
        },
      ),
    );
  });
});

const TARGET = "arn:aws:lambda:us-east-1:000000000000:function:f";

async function start(t: TestContext) {
  const clock = new ManualClock(1_700_000_400_000);
  const store = new MemoryStore(clock);
  const metrics = await MetricStore.open({ store, clock, logger: silentLogger });
  const performed: string[] = [];
  const actions = new AlarmActions();
  actions.register("lambda", async (_arn, message) => {
    const { alarmData } = JSON.parse(message) as {
      alarmData: { alarmName: string; state: { value: string } };
    };
    performed.push(`${alarmData.alarmName} ${alarmData.state.value}`);
  });
  const place = { region: "us-east-1", accountId: "000000000000" };
  const book = await AlarmBook.open({ store, metrics, clock, logger: silentLogger, actions, ...place });
  t.after(async () => {
    await book.close();
    await metrics.close();
  });
  const child = (AlarmName: string) =>
    book.put(
      {
        settings: {
          AlarmName,
          Namespace: "app",
          MetricName: AlarmName,
          Statistic: "Sum",
          Period: 3600,
          EvaluationPeriods: 1,
          Threshold: 1,
          ComparisonOperator: "GreaterThanThreshold",
          TreatMissingData: "ignore",
        },
      },
      {},
    );
  const composite = (AlarmName: string, AlarmRule: string, more: object = {}) => {
    const settings = { AlarmName, AlarmRule, AlarmActions: [TARGET], OKActions: [TARGET], ...more };
    checkComposite(settings, book.alarm);
    return book.put({ type: "composite", settings }, {});
  };
  /** A look that began before what is to be seen is waited for, too. */
  const look = async () => {
    await book.look();
    await book.look();
  };
  const set = async (name: string, state: AlarmState) => {
    await book.setState(name, state, "a test", "");
    await look();
  };
  const state = (name: string) => book.alarm(name)?.state;
  return { book, clock, store, performed, child, composite, set, look, state };
}

test("a composite alarm follows its children, through other composite alarms too", async (t) => {
  const { book, clock, performed, child, composite, set, look, state } = await start(t);
  await child("one");
  await child("two");
  await composite("both", "ALARM(one) AND ALARM(two)");
  await composite("above", 'ALARM("both") OR FALSE');
  assert.equal(state("above"), "INSUFFICIENT_DATA");
  await look();
  assert.deepEqual([state("both"), state("above")], ["OK", "OK"]);
  performed.length = 0;
  await set("one", "ALARM");
  assert.deepEqual([state("both"), performed.length], ["OK", 0]);
  clock.advance(1);
  await set("two", "ALARM");
  assert.deepEqual([state("both"), state("above")], ["ALARM", "ALARM"]);
  assert.deepEqual(performed, ["both ALARM", "above ALARM"]);
  assert.match(book.alarm("both")?.reason ?? "", /:alarm:two transitioned to ALARM at /);
  const history = await book.history("both");
  assert.equal(history.at(-1)?.AlarmType, "CompositeAlarm");
  // What is set by hand stays until a child changes.
  await set("both", "OK");
  assert.deepEqual([state("both"), state("above")], ["OK", "OK"]);
  await set("one", "OK");
  await set("one", "ALARM");
  assert.equal(state("above"), "ALARM");
});

test("composite alarms that look at each other are not judged, and hold up no other", async (t) => {
  const { child, composite, set, state } = await start(t);
  await child("one");
  await composite("x", "ALARM(one)");
  await composite("y", "ALARM(x)");
  await composite("x", "ALARM(y) OR ALARM(one)");
  await composite("free", "ALARM(one)");
  await set("one", "ALARM");
  assert.deepEqual([state("x"), state("free")], ["INSUFFICIENT_DATA", "ALARM"]);
});

describe("a suppressor", () => {
  const suppressed = {
    ActionsSuppressor: "quiet",
    ActionsSuppressorWaitPeriod: 60,
    ActionsSuppressorExtensionPeriod: 30,
  };
  async function begin(t: TestContext) {
    const bed = await start(t);
    await bed.child("one");
    await bed.child("quiet");
    await bed.set("quiet", "OK");
    await bed.composite("c", "ALARM(one)", suppressed);
    await bed.look();
    bed.clock.advance(61_000);
    await bed.look();
    bed.performed.length = 0;
    return bed;
  }

  it("is waited for", async (t) => {
    const { set, look, clock, performed } = await begin(t);
    await set("one", "ALARM");
    assert.deepEqual(performed, []);
    clock.advance(61_000);
    await look();
    assert.deepEqual(performed, ["c ALARM"]);
  });

  it("in ALARM holds the actions back, and for a while after", async (t) => {
    const { set, look, clock, performed, book } = await begin(t);
    await set("one", "ALARM");
    await set("quiet", "ALARM");
    clock.advance(600_000);
    await look();
    const composite = book.alarm("c");
    assert.equal(composite?.type === "composite" && book.suppressionOf(composite), "Alarm");
    await set("quiet", "OK");
    assert.deepEqual(performed, []);
    clock.advance(31_000);
    await look();
    assert.deepEqual(performed, ["c ALARM"]);
  });

  it("that held back an alarm until it was over leaves nothing to tell", async (t) => {
    const { set, look, clock, performed } = await begin(t);
    await set("quiet", "ALARM");
    await set("one", "ALARM");
    await set("one", "OK");
    await set("quiet", "OK");
    clock.advance(600_000);
    await look();
    assert.deepEqual(performed, []);
  });
});

test("a composite alarm needs alarms that are there", async (t) => {
  const { child, composite } = await start(t);
  await child("one");
  await assert.rejects(
    async () => composite("c", "ALARM(one) OR OK(gone)"),
    /alarms \[gone\] in the alarm rule do not exist/,
  );
  await assert.rejects(
    async () => composite("c", "ALARM(one)", { ActionsSuppressor: "one" }),
    /specified together/,
  );
});

/** Has each write of that alarm go through `before` first. */
function intercept(t: TestContext, store: MemoryStore, name: string, before: () => Promise<void>): void {
  const write = store.write.bind(store);
  t.mock.method(store, "write", async (changes: readonly Change[]) => {
    if (changes.some((change) => "key" in change && change.key === name)) await before();
    return await write(changes);
  });
}

test("a state that could not be written is written with the next look", async (t) => {
  const { book, store, child, composite, set, look, state } = await start(t);
  await child("one");
  await composite("c", "ALARM(one)");
  await look();
  let isFull = true;
  intercept(t, store, "c", async () => {
    if (isFull) throw new Error("disk full");
  });
  await set("one", "ALARM");
  assert.equal(book.alarm("one")?.state, "ALARM");
  assert.equal(state("c"), "OK");
  isFull = false;
  await look();
  assert.equal(state("c"), "ALARM");
});

test("a rule that changes while the one before is judged is judged itself", async (t) => {
  const { book, store, child, composite, set, look, state } = await start(t);
  await child("one");
  await set("one", "ALARM");
  await composite("c", "ALARM(one)");
  const written = deferred();
  intercept(t, store, "c", () => written.promise);
  const changed = composite("c", "OK(one)");
  const looked = book.look();
  // The look gets as far as it can.
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  written.resolve();
  await Promise.all([changed, looked]);
  await look();
  assert.equal(state("c"), "OK");
});

test("a line of history is no longer than its model allows, whatever the names and reasons are", async (t) => {
  const { book, child } = await start(t);
  const name = "n".repeat(255);
  await child(name);
  for (const state of ["ALARM", "OK"] as const) await book.setState(name, state, "\u0001".repeat(1023), "");
  const lines = await book.history(name);
  assert.equal(lines.length, 3);
  for (const { HistorySummary = "", HistoryData = "" } of lines) {
    assert.ok(HistorySummary.length <= 255 && HistoryData.length <= 4095);
    JSON.parse(HistoryData);
  }
});

test("two changes that nothing held back are both told", async (t) => {
  const { book, child, composite, look, performed } = await start(t);
  await child("one");
  await composite("c", "ALARM(one)");
  await look();
  performed.length = 0;
  await book.setState("c", "ALARM", "a test", "");
  await book.setState("c", "OK", "a test", "");
  await look();
  assert.deepEqual(performed, ["c OK"]);
});

test("tags that are put at the same time are all kept", async (t) => {
  const { book, child } = await start(t);
  await child("one");
  const operations = alarmOperations(book);
  const tag = (Key: string) =>
    operations["TagResource"]?.(
      { ResourceARN: book.arn("one"), Tags: [{ Key, Value: "v" }] },
      {} as RequestContext,
    );
  await Promise.all([tag("a"), tag("b")]);
  assert.deepEqual(book.alarm("one")?.tags, { a: "v", b: "v" });
});
