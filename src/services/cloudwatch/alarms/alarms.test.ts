/**
 * Goal: alarms change state as CloudWatch's documented examples say, perform their actions once for each change, also when
 * the process ended in between, and tell of it.
 * Method: the tables of the user's guide; the real alarm book and metric store over the memory store and a manual clock.
 */
import assert from "node:assert/strict";
import { describe, it, test, type TestContext } from "node:test";
import { ManualClock } from "../../../kernel/clock.ts";
import { MemoryStore } from "../../../store/memory.ts";
import { silentLogger } from "../../../telemetry/logger.ts";
import { Bucket } from "../metrics/bucket.ts";
import { MetricStore } from "../metrics/metric-store.ts";
import { AlarmActions } from "./actions.ts";
import { AlarmBook } from "./alarm-book.ts";
import { judge, type MissingData } from "./verdict.ts";

/** X breaches, 0 does not, - is missing. In order: missing, ignore, breaching, notBreaching; `keep` the state. */
const THREE_OF_THREE: Record<string, [string, string, string, string]> = {
  "0-X-X": ["OK", "OK", "OK", "OK"],
  "0----": ["OK", "OK", "OK", "OK"],
  "-----": ["INSUFFICIENT_DATA", "keep", "ALARM", "OK"],
  "0XX-X": ["ALARM", "ALARM", "ALARM", "ALARM"],
  "--X--": ["ALARM", "keep", "ALARM", "OK"],
};
const TWO_OF_THREE: Record<string, [string, string, string, string]> = {
  "0-X-X": ["ALARM", "ALARM", "ALARM", "ALARM"],
  "00X0X": ["ALARM", "ALARM", "ALARM", "ALARM"],
  "0-X--": ["OK", "keep", "ALARM", "OK"],
  "----0": ["OK", "keep", "ALARM", "OK"],
};
const TREATMENTS: MissingData[] = ["missing", "ignore", "breaching", "notBreaching"];

describe("an alarm's verdict", () => {
  for (const [m, table] of [
    [3, THREE_OF_THREE],
    [2, TWO_OF_THREE],
  ] as const)
    for (const [shown, wanted] of Object.entries(table))
      it(`${m} out of 3 of ${shown}`, () => {
        const recent = shown.split("").map((point) => (point === "-" ? undefined : point === "X" ? 1 : 0));
        const found = TREATMENTS.map(
          (missing) => judge(recent, { n: 3, m, breaches: (value) => value > 0, missing }).state ?? "keep",
        );
        assert.deepEqual(found, wanted);
      });
});

const TARGET = "arn:aws:lambda:eu-central-1:000000000000:function:f";

async function start(t: TestContext) {
  const clock = new ManualClock(1_700_000_400_000);
  const store = new MemoryStore(clock);
  const metrics = await MetricStore.open({ store, clock, logger: silentLogger });
  t.after(() => metrics.close());
  const performed: Record<string, unknown>[] = [];
  const open = async (register = true) => {
    const actions = new AlarmActions();
    if (register)
      actions.register("lambda", (arn, message, alarmArn) => {
        performed.push({ arn, alarmArn, ...(JSON.parse(message) as object) });
        return Promise.resolve();
      });
    const place = { region: "eu-central-1", accountId: "000000000000" };
    const book = await AlarmBook.open({ store, metrics, clock, logger: silentLogger, actions, ...place });
    t.after(() => book.close());
    return book;
  };
  const minute = async (book: AlarmBook, value: number | undefined) => {
    if (value !== undefined) {
      const bucket = new Bucket();
      bucket.add(value);
      const series = { namespace: "app", name: "errors", dimensions: [], unit: "None" };
      await metrics.append([{ series, atS: clock.nowMs() / 1000, isFine: false, bucket }], "refuse");
    }
    clock.advance(60_000);
    // The first may be one that began before the time had come.
    await book.look();
    await book.look();
  };
  return { clock, store, performed, open, minute };
}

const SETTINGS = {
  AlarmName: "errors",
  Namespace: "app",
  MetricName: "errors",
  Statistic: "Sum",
  Period: 60,
  EvaluationPeriods: 2,
  Threshold: 5,
  ComparisonOperator: "GreaterThanThreshold",
  TreatMissingData: "notBreaching",
  AlarmActions: [TARGET],
} as const;

test("an alarm goes off once, comes back, and tells its history", async (t) => {
  const { performed, open, minute, clock } = await start(t);
  const book = await open();
  clock.advance(5000);
  await book.put({ settings: { ...SETTINGS, AlarmActions: [TARGET] } }, {});
  const states: (string | undefined)[] = [];
  for (const value of [1, 9, 9, 9, 1, undefined]) {
    await minute(book, value);
    states.push(book.alarm("errors")?.state);
  }
  assert.deepEqual(states, ["OK", "OK", "ALARM", "ALARM", "OK", "OK"]);
  assert.equal(performed.length, 1);
  const [{ arn, alarmArn, alarmData, source } = {}] = performed;
  assert.deepEqual([arn, alarmArn, source], [TARGET, book.arn("errors"), "aws.cloudwatch"]);
  const { state, previousState } = alarmData as Record<string, { value: string; reason: string }>;
  assert.deepEqual([state?.value, previousState?.value], ["ALARM", "OK"]);
  assert.match(
    state?.reason ?? "",
    /2 out of the last 2 datapoints \[9, 9\] were breaching the threshold \(5/,
  );
  const types = (await book.history("errors")).map(({ HistoryItemType }) => HistoryItemType);
  assert.deepEqual(types, ["ConfigurationUpdate", "StateUpdate", "StateUpdate", "Action", "StateUpdate"]);
});

test("an action that the process did not come to is performed by the next one", async (t) => {
  const { performed, open, clock } = await start(t);
  const book = await open();
  await book.put({ settings: { ...SETTINGS, AlarmActions: [TARGET] } }, {});
  await book.setState("errors", "ALARM", "a test", "");
  await book.close();
  assert.equal(performed.length, 0);
  const next = await open();
  clock.advance(6000);
  await next.look();
  assert.equal(performed.length, 1);
  await next.look();
  assert.equal(performed.length, 1);
});

test("an action that fails is noted, and actions that are switched off are not performed", async (t) => {
  const { performed, open } = await start(t);
  const book = await open(false);
  await book.put({ settings: { ...SETTINGS, AlarmActions: [TARGET] } }, {});
  await book.setState("errors", "ALARM", "a test", "");
  await book.look();
  assert.match(
    (await book.history("errors")).at(-1)?.HistorySummary ?? "",
    /^Failed to execute action arn:aws:lambda/,
  );
  const other = await open();
  await other.put({ settings: { ...SETTINGS, AlarmActions: [TARGET], ActionsEnabled: false } }, {});
  await other.setState("errors", "OK", "a test", "");
  await other.setState("errors", "ALARM", "a test", "");
  await other.look();
  assert.equal(performed.length, 0);
});
