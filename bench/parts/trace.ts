/**
 * Keep-alive under a day that looks like a real platform's: how many invocations start cold, and what waiting costs in
 * memory-time. The floor is the same platform with ten minutes for every idle environment. The day is replayed on a virtual clock
 * through the platform's own placement; a compressed slice of it goes to a real server, to show that the replay tells the truth.
 */
import { startServer } from "../support/server.ts";
import type { Context } from "../support/context.ts";
import { summarise, summariseRatios } from "../support/statistics.ts";
import { replay, type ReplayPolicy, type ReplayResult } from "../trace/replay.ts";
import { Slice, type SliceResult } from "../trace/slice.ts";
import { compress, DAY_MS, makeTrace, type Trace } from "../trace/trace.ts";

const GROUP = "keep-alive over a day";
const MINUTE_MS = 60_000;
const TEN_MINUTES = { adapts: false, keepAliveMs: 10 * MINUTE_MS };
const CURVE_MINUTES = [5, 20];
/** Settings that are tried until the memory-time is the fixed policy's, but for this share. */
const TRIES_MAX = 3;
const NEAR = 0.03;
/** By how much memory-time grows with the setting, in logarithms. Seen; it only decides what is tried next. */
const ELASTICITY = 0.5;
/** A second of the slice is ten minutes of the day: the shortest keep-alive that a server takes. */
const SLICE_FACTOR = 600;
const SLICE_MEMORY_MB = 128;
const GB_S_PER_GB_H = 3600;

export async function benchTrace(context: Context): Promise<void> {
  const { seeds, functions, hasCurves } = context.sizes.trace;
  const days: Day[] = [];
  for (let seed = 1; seed <= seeds; seed += 1)
    days.push(await compare(makeTrace({ seed, functions, durationMs: DAY_MS })));
  reportDays(context, "trace-cold", `a day of ${functions} functions`, days);
  const [first] = days;
  if (hasCurves && first) {
    await reportCurves(context, first);
    const untimed = makeTrace({ seed: 1, functions, durationMs: DAY_MS, timerShare: 0 });
    reportDays(context, "trace-untimed", "the same without functions driven by timers", [
      await compare(untimed),
    ]);
  }
  await benchSlice(context);
}

interface Day {
  readonly trace: Trace;
  readonly fixed: ReplayResult;
  readonly auto: ReplayResult;
  /** Cold starts of the adaptive policy had it the fixed one's memory-time. */
  readonly coldAtEqualCost: number;
  readonly tried: readonly ReplayResult[];
}

async function compare(trace: Trace): Promise<Day> {
  const fixed = await replay(trace, TEN_MINUTES);
  const auto = await replay(trace, { ...TEN_MINUTES, adapts: true });
  const tried = [auto];
  let keepAliveMs = TEN_MINUTES.keepAliveMs;
  for (let last = auto; tried.length < TRIES_MAX && offBy(last, fixed) > NEAR;) {
    keepAliveMs *= (fixed.idleGbS / last.idleGbS) ** (1 / ELASTICITY);
    last = await replay(trace, { adapts: true, keepAliveMs });
    tried.push(last);
  }
  return { trace, fixed, auto, tried, coldAtEqualCost: coldAt(fixed, tried) };
}

const offBy = (a: ReplayResult, b: ReplayResult) => Math.abs(Math.log(a.idleGbS / b.idleGbS));

/** Cold starts at the cost of `fixed`: those of the nearest result, along the line to the next one, both in logarithms. */
function coldAt(fixed: ReplayResult, tried: readonly ReplayResult[]): number {
  const [nearest, next] = tried.toSorted((a, b) => offBy(a, fixed) - offBy(b, fixed));
  if (!nearest) return Number.NaN;
  if (!next) return nearest.cold;
  const slope = Math.log(next.cold / nearest.cold) / Math.log(next.idleGbS / nearest.idleGbS);
  return Number.isFinite(slope) ? nearest.cold * (fixed.idleGbS / nearest.idleGbS) ** slope : nearest.cold;
}

const percent = (cold: number, { invocations }: { invocations: number }) => (100 * cold) / invocations;

function reportDays(context: Context, id: string, what: string, days: readonly Day[]): void {
  const fixed = days.map((day) => percent(day.fixed.cold, day.fixed));
  const equal = days.map((day) => percent(day.coldAtEqualCost, day.auto));
  context.row({
    ...{ id, group: GROUP, unit: "%" },
    what: `cold starts for the same memory-time, ${what}`,
    value: summarise(equal),
    floor: { what: "with ten minutes for all", value: summarise(fixed) },
    ratio: summariseRatios(equal, fixed),
    ...(id === "trace-cold" ? { target: { of: "ratio", limit: 0.4, want: "at most" } as const } : {}),
    note: `${days[0]?.trace.arrivals.length} invocations on the first day; ${days.length} day(s), replayed through placement on a virtual clock`,
  });
  const costs = days.map(({ auto }) => auto.idleGbS / GB_S_PER_GB_H);
  const fixedCosts = days.map((day) => day.fixed.idleGbS / GB_S_PER_GB_H);
  const autoCold = summarise(days.map(({ auto }) => percent(auto.cold, auto)));
  context.row({
    ...{ id: `${id}-cost`, group: GROUP, unit: "GB·h" },
    what: "memory-time of idle environments as configured by default",
    value: summarise(costs),
    floor: { what: "with ten minutes for all", value: summarise(fixedCosts) },
    ratio: summariseRatios(costs, fixedCosts),
    note: `then ${autoCold.median.toFixed(2)} % of the invocations are cold`,
  });
}

/** Both policies at several settings, on the first day; costs are relative to ten minutes for all. */
async function reportCurves(context: Context, { trace, fixed, tried }: Day): Promise<void> {
  const at = async (policies: readonly ReplayPolicy[]) => {
    const results: ReplayResult[] = [];
    for (const policy of policies) results.push(await replay(trace, policy));
    return results;
  };
  const policies = (adapts: boolean) =>
    CURVE_MINUTES.map((minutes) => ({ adapts, keepAliveMs: minutes * MINUTE_MS }));
  const draw = (name: string, isFloor: boolean, results: readonly ReplayResult[]) =>
    context.curve({
      ...{ name, isFloor },
      points: results
        .map((result) => ({
          cost: result.idleGbS / fixed.idleGbS,
          coldPercent: percent(result.cold, result),
        }))
        .sort((a, b) => a.cost - b.cost),
    });
  draw("a fixed time: 5, 10, 20 minutes", true, [fixed, ...(await at(policies(false)))]);
  draw("auto", false, [...tried, ...(await at(policies(true)))]);
}

/** The same arrivals to two servers, one for each policy, one after the other, and to the replay. */
async function benchSlice(context: Context): Promise<void> {
  const { sliceFunctions: functions, sliceMs } = context.sizes.trace;
  const day = makeTrace({ seed: 1, functions, durationMs: sliceMs * SLICE_FACTOR });
  const small = day.functions.map((one) => ({ ...one, memoryMb: SLICE_MEMORY_MB }));
  const trace = compress({ ...day, functions: small }, SLICE_FACTOR);
  const keepAliveMs = (10 * MINUTE_MS) / SLICE_FACTOR;
  for (const adapts of [false, true]) {
    const real = await runSlice(context, trace, `${adapts ? "auto:" : ""}${keepAliveMs / 1000}`);
    // Cold starts take in the replay what they took: at this pace it is minutes of the day.
    const platform = { poolSize: 0, times: { bootMs: real.coldMs, initMs: 0 } };
    const replayed = await replay(trace, { adapts, keepAliveMs }, platform);
    reportSlice(context, adapts ? "auto" : "ten minutes for all", real, replayed, trace);
  }
}

async function runSlice({ driver }: Context, trace: Trace, keepAlive: string): Promise<SliceResult> {
  const server = await startServer({ driver, pool: 0, keepAlive });
  try {
    const slice = await Slice.open(server, trace.functions.length);
    try {
      return await slice.run(trace);
    } finally {
      slice.close();
    }
  } finally {
    await server.close();
  }
}

function reportSlice(
  context: Context,
  name: string,
  real: SliceResult,
  replayed: ReplayResult,
  { durationMs }: Trace,
): void {
  const share = percent(real.cold, real);
  const expected = percent(replayed.cold, replayed);
  const environments = (replayed.idleGbS * 1024 * 1000) / SLICE_MEMORY_MB / durationMs;
  context.row({
    ...{ id: `trace-slice-${name.split(" ")[0]}`, group: GROUP, unit: "%" },
    what: `a slice in ${SLICE_FACTOR} times its pace on a real server, cold starts: ${name}`,
    value: summarise([share]),
    floor: { what: "as replayed", value: summarise([expected]) },
    ratio: summarise([share / expected]),
    note:
      `${real.cold} of ${real.invocations}, ${real.coldMs.toFixed(0)} ms each; ${real.environments.toFixed(1)} environments on average, ` +
      `${environments.toFixed(1)} idle ones as replayed`,
  });
}
