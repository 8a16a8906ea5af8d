/** Many new environments at once. */
import { quiet, startSubject, withFunctions, type Context, type Subject } from "../support/context.ts";
import { emptyScript } from "../support/empty-script.ts";
import { LOOP_DELAY_FLAGS } from "../support/loop-delay-reader.ts";
import { timeBareStarts } from "../support/processes.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";

const GROUP = "bursts of new environments";
/** Sandboxes that wait for each invocation of a burst: what a pool has that was not made for this one. */
const WAITING_SHARE = 2;

export async function benchBurst(context: Context): Promise<void> {
  const { burst } = context.sizes;
  const script = await emptyScript();
  const pooled = await startSubject(context, WAITING_SHARE * burst, LOOP_DELAY_FLAGS);
  const delays: number[] = [];
  const burstFromPoolMs = async () => {
    const { elapsedMs, delayMs } = await burstOf(context, pooled, burst);
    if (delayMs !== undefined) delays.push(delayMs);
    return elapsedMs;
  };
  const poolless = context.against ? undefined : await startSubject(context, 0);
  try {
    await burstOf(context, pooled, 1);
    const [floor = [], warm = [], empty = []] = await interleave(
      { rounds: context.sizes.burstRounds, deadlineMs: context.deadlineMs },
      [
        () => timeBareStarts(process.execPath, [script.path], burst, burst),
        burstFromPoolMs,
        ...(poolless ? [async () => (await burstOf(context, poolless, burst)).elapsedMs] : []),
      ],
    );
    report(context, { floor, warm, delays, empty }, burst);
  } finally {
    await poolless?.close();
    await pooled.close();
    await script.remove();
  }
}

/** Milliseconds of a round, by what was measured. */
type Times = Readonly<Record<"floor" | "warm" | "delays" | "empty", readonly number[]>>;

function report(context: Context, { floor, warm, delays, empty }: Times, burst: number): void {
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
      target: { of: "value", limit: 5, want: "at most" },
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
}

/** Each function has an environment of its own, so that as many are made as there are functions. */
async function burstOf(
  { load }: Context,
  subject: Subject,
  count: number,
): Promise<{ elapsedMs: number; delayMs: number | undefined }> {
  const { endpoint } = subject;
  return withFunctions(endpoint, { kind: "node-cold", count }, async (functionNames) => {
    await quiet(subject);
    // What was before does not count.
    await subject.takeLoopDelayMs?.();
    const { elapsedMs } = await load.run({ kind: "once", endpoint, functionNames, parallel: count });
    return { elapsedMs, delayMs: await subject.takeLoopDelayMs?.() };
  });
}
