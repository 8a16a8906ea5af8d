/** Many new environments at once, and as many as can be made one after another. */
import { quiet, startSubject, withFunctions, type Context, type Subject } from "../support/context.ts";
import { emptyScript } from "../support/empty-script.ts";
import { LOOP_DELAY_FLAGS } from "../support/loop-delay-reader.ts";
import { timeBareStart } from "../support/processes.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";

const GROUP = "bursts of new environments";
/** Environments that are being made at a time, for the rate. */
const PARALLEL = 4;
/** Sandboxes that wait for each invocation of a burst: what a pool has that was not made for this one. */
const WAITING_SHARE = 2;

export async function benchBurst(context: Context): Promise<void> {
  const { burst } = context.sizes;
  const script = await emptyScript();
  const pooled = await startSubject(context, WAITING_SHARE * burst, LOOP_DELAY_FLAGS);
  const delays: number[] = [];
  const burstFromPoolMs = async () => {
    const { elapsedMs, delayMs } = await firstInvocations(context, pooled, burst, burst);
    if (delayMs !== undefined) delays.push(delayMs);
    return elapsedMs;
  };
  const poolless = context.against ? undefined : await startSubject(context, 0);
  try {
    await firstInvocations(context, pooled, 1, 1);
    const subjects = [
      () => bareStartsMs(script.path, burst, burst),
      () => bareStartsMs(script.path, burst, PARALLEL),
      burstFromPoolMs,
      ...(poolless
        ? [
            async () => (await firstInvocations(context, poolless, burst, burst)).elapsedMs,
            async () => (await firstInvocations(context, poolless, burst, PARALLEL)).elapsedMs,
          ]
        : []),
    ];
    const [floor = [], rateFloor = [], warm = [], empty = [], rate = []] = await interleave(
      { rounds: context.sizes.burstRounds, deadlineMs: context.deadlineMs },
      subjects,
    );
    report(context, { floor, rateFloor, warm, delays, empty, rate }, burst);
  } finally {
    await poolless?.close();
    await pooled.close();
    await script.remove();
  }
}

/** Milliseconds of a round, by what was measured. */
type Times = Readonly<
  Record<"floor" | "rateFloor" | "warm" | "delays" | "empty" | "rate", readonly number[]>
>;

function report(context: Context, times: Times, burst: number): void {
  const { floor, rateFloor, warm, delays, empty, rate } = times;
  const bare = { what: `${burst} bare nodes`, value: summarise(floor) };
  context.row({
    id: "burst-warm",
    group: GROUP,
    what: `${burst} at once, last answer${context.against ? "" : `, ${WAITING_SHARE * burst} waiting in the pool`}`,
    unit: "ms",
    value: summarise(warm),
    floor: bare,
    ratio: summariseRatios(warm, floor),
    target: { of: "value", limit: 100, want: "at most" },
  });
  if (delays.length > 0)
    context.row({
      id: "burst-loop-delay",
      group: GROUP,
      what: "longest delay of the server's event loop meanwhile",
      unit: "ms",
      value: summarise(delays),
      next: { of: "value", limit: 5, want: "at most" },
    });
  if (empty.length === 0) return;
  context.row({
    id: "burst-empty",
    group: GROUP,
    what: `${burst} at once, last answer, no pool`,
    unit: "ms",
    value: summarise(empty),
    floor: bare,
    ratio: summariseRatios(empty, floor),
  });
  const perSecond = (timesMs: readonly number[]) => timesMs.map((ms) => (burst * 1000) / ms);
  context.row({
    id: "creation-rate",
    group: GROUP,
    what: `sustained, ${PARALLEL} at a time, no pool`,
    unit: "/s",
    value: summarise(perSecond(rate)),
    floor: { what: `bare nodes, ${PARALLEL} at a time`, value: summarise(perSecond(rateFloor)) },
    ratio: summariseRatios(perSecond(rate), perSecond(rateFloor)),
    target: { of: "value", limit: 45, want: "at least" },
  });
}

/** Each function has an environment of its own, so that as many are made as there are functions. */
async function firstInvocations(
  { load }: Context,
  subject: Subject,
  count: number,
  parallel: number,
): Promise<{ elapsedMs: number; delayMs: number | undefined }> {
  const { endpoint } = subject;
  return withFunctions(endpoint, { kind: "node-cold", count }, async (functionNames) => {
    await quiet(subject);
    // What was before does not count.
    await subject.takeLoopDelayMs?.();
    const { elapsedMs } = await load.run({ kind: "once", endpoint, functionNames, parallel });
    return { elapsedMs, delayMs: await subject.takeLoopDelayMs?.() };
  });
}

async function bareStartsMs(script: string, count: number, parallel: number): Promise<number> {
  const startMs = performance.now();
  let left = count;
  const starter = async () => {
    for (left -= 1; left >= 0; left -= 1) await timeBareStart(process.execPath, [script]);
  };
  await Promise.all(Array.from({ length: parallel }, starter));
  return performance.now() - startMs;
}
