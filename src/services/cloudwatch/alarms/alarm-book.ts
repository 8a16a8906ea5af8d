/**
 * All alarms: kept in the Store, judged when a period has ended, composite ones when an alarm that they look at has changed,
 * and their actions performed.
 *
 * A change of state and its line of history are one transaction, which also notes that actions are pending; they are
 * performed after it and the note is removed then. So an action is performed at least once, whatever ends the process.
 */
import { coerceError } from "../../../kernel/deferred.ts";
import type { Clock } from "../../../kernel/clock.ts";
import type { Change, Store } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { limitExceeded } from "../errors.ts";
import type { MetricStore } from "../metrics/metric-store.ts";
import { alarmMessage, type AlarmActions } from "./actions.ts";
import { actionsOf, watchOf, type AlarmRecord, type HistoryRecord, type PreviousState } from "./alarm.ts";
import {
  dependenciesOf,
  judgingOrder,
  reasonOf,
  stateOfRule,
  suppressionOf,
  type CompositeRecord,
  type SuppressedBy,
} from "./composite.ts";
import { judgeMetricAlarm } from "./judge.ts";
import type { AlarmState } from "./verdict.ts";

export type Alarm = AlarmRecord | CompositeRecord;

/** An alarm as it is put: a type and its settings. */
export type Definition = Pick<AlarmRecord, "type" | "settings"> | Pick<CompositeRecord, "type" | "settings">;

const ALARM_KIND = "cloudwatch.alarm";
const HISTORY_KIND = "cloudwatch.history";
/** Lines of history of one alarm. */
const HISTORY_MAX = 100;
/** Of a line of history [model: HistorySummary, HistoryData]. */
const SUMMARY_CHARS_MAX = 255;
const DATA_CHARS_MAX = 4095;
/** Of each text in the data of a line that would be longer: two reasons find room, however they are escaped. */
const CUT_CHARS = 300;
/** [quotas]: 5,000 in a Region. */
const ALARMS_MAX = 5000;
const LOOK_MS = 5000;
/** The platform's own metrics are that late at the most. */
const SETTLED_S = 2;

export interface AlarmBookOptions {
  readonly store: Store;
  readonly metrics: MetricStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly actions: AlarmActions;
  readonly region: string;
  readonly accountId: string;
}

export class AlarmBook {
  readonly #options: AlarmBookOptions;
  readonly #alarms = new Map<string, Alarm>();
  /** Of metric alarms, by name: the second that the last judged period ended at. */
  readonly #judgedS = new Map<string, number>();
  /** Of composite alarms, by name: the states that the rule was last asked with. */
  readonly #judgedStates = new Map<string, string>();
  /** Changes, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #looking: Promise<void> | undefined;
  #closed = false;
  #cancel = () => {};

  private constructor(options: AlarmBookOptions) {
    this.#options = options;
  }

  static async open(options: AlarmBookOptions): Promise<AlarmBook> {
    const book = new AlarmBook(options);
    for (const { key, value } of await options.store.list<Alarm>(ALARM_KIND)) book.#alarms.set(key, value);
    book.#plan();
    return book;
  }

  readonly alarm = (name: string): Alarm | undefined => this.#alarms.get(name);

  /** In the order of their names. */
  alarms(): Alarm[] {
    return [...this.#alarms.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  composites(): CompositeRecord[] {
    return this.alarms().filter((alarm) => alarm.type === "composite");
  }

  /** Composite alarms that look at the alarm. */
  parentsOf(name: string): CompositeRecord[] {
    return this.composites().filter((composite) => dependenciesOf(composite).has(name));
  }

  suppressionOf(composite: CompositeRecord): SuppressedBy | undefined {
    return suppressionOf(composite, this.alarm, this.#options.clock.nowMs());
  }

  readonly arn = (name: string): string =>
    `arn:aws:cloudwatch:${this.#options.region}:${this.#options.accountId}:alarm:${name}`;

  async history(name: string): Promise<HistoryRecord> {
    return (await this.#options.store.get<HistoryRecord>(HISTORY_KIND, name))?.value ?? [];
  }

  /** Makes or changes one; a changed one keeps its state and tags until it is judged. Resolves when it is on disk. */
  async put(definition: Definition, tags: Readonly<Record<string, string>>): Promise<void> {
    const name = definition.settings.AlarmName ?? "";
    await this.#inTurn(async () => {
      const known = this.#alarms.get(name);
      if (!known && this.#alarms.size >= ALARMS_MAX)
        throw limitExceeded("The maximum number of alarms is reached.");
      const nowMs = this.#options.clock.nowMs();
      const state: PreviousState = known ?? {
        state: "INSUFFICIENT_DATA",
        reason: "Unchecked: Initial alarm creation",
        reasonData: "",
        stateMs: nowMs,
      };
      const { state: value, reason, reasonData, stateMs } = state;
      const alarm: Alarm = {
        ...definition,
        name,
        tags: known?.tags ?? tags,
        updatedMs: nowMs,
        state: value,
        reason,
        reasonData,
        stateMs,
        ...(known?.leftAlarmMs !== undefined && { leftAlarmMs: known.leftAlarmMs }),
        ...(known?.pending && { pending: known.pending }),
      };
      await this.#save(alarm, "ConfigurationUpdate", `Alarm "${name}" ${known ? "updated" : "created"}`, {});
      this.#forget(name);
    });
  }

  #forget(name: string): void {
    this.#judgedS.delete(name);
    this.#judgedStates.delete(name);
  }

  /** Changes settings or tags of those that are there. */
  async update(names: readonly string[], change: (alarm: Alarm) => Alarm): Promise<void> {
    await this.#inTurn(async () => {
      for (const name of names) {
        const known = this.#alarms.get(name);
        if (known) await this.#save(change(known), "ConfigurationUpdate", `Alarm "${name}" updated`, {});
      }
    });
  }

  async delete(names: readonly string[]): Promise<void> {
    await this.#inTurn(async () => {
      const changes: Change[] = names.flatMap((name) => [
        { op: "delete", kind: ALARM_KIND, key: name },
        { op: "delete", kind: HISTORY_KIND, key: name },
      ]);
      await this.#options.store.write(changes);
      for (const name of names) {
        this.#alarms.delete(name);
        this.#forget(name);
      }
    });
  }

  /**
   * Changes the state, until the alarm is judged again. Resolves when it is on disk; actions are performed afterwards. Of an
   * alarm that is not as it was `judged` any more nothing is changed: it is to be judged again.
   */
  async setState(
    name: string,
    state: AlarmState,
    reason: string,
    reasonData: string,
    judged?: Alarm["settings"],
  ): Promise<void> {
    await this.#inTurn(async () => {
      const known = this.#alarms.get(name);
      if (!known) return;
      if (judged && known.settings !== judged) return this.#forget(name);
      this.#holdJudging(known);
      const { state: before, reason: reasonBefore, reasonData: dataBefore, stateMs } = known;
      const previous: PreviousState = {
        state: before,
        reason: reasonBefore,
        reasonData: dataBefore,
        stateMs,
      };
      const nowMs = this.#options.clock.nowMs();
      const left = before === "ALARM" && state !== "ALARM" ? { leftAlarmMs: nowMs } : {};
      const next = { ...known, state, reason, reasonData, stateMs: nowMs, ...left };
      if (state === before) return await this.#save(next);
      const { pending, ...settled } = next;
      // Held back until the state is as before: there is nothing to tell.
      const isHeld = known.type === "composite" && this.suppressionOf(known) !== undefined;
      const isUntold = isHeld && pending?.previous.state === state;
      await this.#save(
        isUntold ? settled : { ...settled, pending: { previous } },
        "StateUpdate",
        `Alarm updated from ${before} to ${state}`,
        {
          oldState: { stateValue: before, stateReason: reasonBefore },
          newState: { stateValue: state, stateReason: reason },
        },
      );
    });
  }

  /** A state stays as it was set until the next period has ended, or an alarm that is looked at has changed. */
  #holdJudging(alarm: Alarm): void {
    if (alarm.type === "composite") this.#judgedStates.set(alarm.name, this.#statesFor(alarm));
    else this.#judgedS.set(alarm.name, this.#endS(watchOf(alarm.settings).periodS));
  }

  /** Judges every alarm whose last period has ended since, and performs what is pending. One at a time; never rejects. */
  async look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  async #lookNow(): Promise<void> {
    const ofMetrics = this.alarms().filter((alarm) => alarm.type !== "composite");
    for (const { name } of [...ofMetrics, ...judgingOrder(this.composites())]) {
      if (this.#closed) return;
      await this.#lookAt(name).catch((error: unknown) => {
        this.#forget(name);
        this.#options.logger.error("an alarm could not be judged, trying again", { alarm: name, error });
      });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#looking;
    await this.#turn;
  }

  async #lookAt(name: string): Promise<void> {
    // What is pending belongs to the state of now: judging may change it.
    await this.#performPending(name);
    await this.#judge(name);
    await this.#performPending(name);
  }

  async #judge(name: string): Promise<void> {
    const alarm = this.#alarms.get(name);
    if (!alarm) return;
    if (alarm.type === "composite") return await this.#judgeComposite(alarm);
    const watch = watchOf(alarm.settings);
    const endS = this.#endS(watch.periodS);
    if (this.#judgedS.get(name) === endS) return;
    this.#judgedS.set(name, endS);
    const { metrics, clock, region, accountId } = this.#options;
    const context = { metrics, nowMs: clock.nowMs(), region, accountId };
    const judgement = await judgeMetricAlarm(alarm, watch, endS, context);
    if (!judgement || judgement.state === this.#alarms.get(name)?.state) return;
    const { state, reason, reasonData } = judgement;
    await this.setState(name, state, reason, reasonData, alarm.settings);
  }

  async #judgeComposite(composite: CompositeRecord): Promise<void> {
    const { name } = composite;
    const states = this.#statesFor(composite);
    if (this.#judgedStates.get(name) === states) return;
    this.#judgedStates.set(name, states);
    const state = stateOfRule(composite, this.alarm);
    if (state === composite.state) return;
    const { reason, reasonData } = reasonOf(composite, this.alarm, this.arn);
    await this.setState(name, state, reason, reasonData, composite.settings);
  }

  #statesFor(composite: CompositeRecord): string {
    return [...dependenciesOf(composite)].map((name) => this.alarm(name)?.state ?? "").join(" ");
  }

  /** The end of the last period that can be judged now. */
  #endS(periodS: number): number {
    const nowS = Math.floor(this.#options.clock.nowMs() / 1000) - SETTLED_S;
    return nowS - (nowS % Math.min(60, periodS));
  }

  async #performPending(name: string): Promise<void> {
    const alarm = this.#alarms.get(name);
    if (!alarm?.pending) return;
    if (alarm.type === "composite" && this.suppressionOf(alarm)) return;
    const { region, accountId, actions } = this.#options;
    const arn = this.arn(name);
    const message = alarmMessage(alarm, alarm.pending.previous, { arn, region, accountId });
    const results: string[] = [];
    for (const target of actionsOf(alarm)) {
      try {
        await actions.perform(target, message, arn);
        results.push(`Successfully executed action ${target}`);
      } catch (error) {
        results.push(`Failed to execute action ${target}. ${coerceError(error).message}`);
        this.#options.logger.warn("an alarm's action failed", {
          alarm: name,
          target,
          error: coerceError(error),
        });
      }
    }
    await this.#inTurn(async () => {
      const current = this.#alarms.get(name);
      // A later change of state has its own actions pending.
      if (!current || current.pending !== alarm.pending) return;
      const { pending: _done, ...rest } = current;
      if (results.length === 0) return await this.#save(rest);
      for (const result of results) await this.#save(rest, "Action", result, {});
    });
  }

  async #save(
    alarm: Alarm,
    type?: "ConfigurationUpdate" | "StateUpdate" | "Action",
    summary = "",
    data: object = {},
  ): Promise<void> {
    const changes: Change[] = [{ op: "put", kind: ALARM_KIND, key: alarm.name, value: alarm }];
    if (type !== undefined) {
      const line: HistoryRecord[number] = {
        AlarmName: alarm.name,
        AlarmType: alarm.type === "composite" ? "CompositeAlarm" : "MetricAlarm",
        HistoryItemType: type,
        HistorySummary: summary.slice(0, SUMMARY_CHARS_MAX),
        HistoryData: historyData(data),
        atMs: this.#options.clock.nowMs(),
      };
      const history = [...(await this.history(alarm.name)), line].slice(-HISTORY_MAX);
      changes.push({ op: "put", kind: HISTORY_KIND, key: alarm.name, value: history });
    }
    await this.#options.store.write(changes);
    this.#alarms.set(alarm.name, alarm);
  }

  #plan(): void {
    this.#cancel = this.#options.clock.after(LOOK_MS, () => {
      void this.look();
      this.#plan();
    });
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(task, task);
    // Whoever asked hears of a failure; the next one only waits for the end.
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

function historyData(data: object): string {
  const all = { version: "1.0", ...data };
  const text = JSON.stringify(all);
  if (text.length <= DATA_CHARS_MAX) return text;
  return JSON.stringify(all, (_, value: unknown) =>
    typeof value === "string" ? value.slice(0, CUT_CHARS) : value,
  );
}
