/** How many environments can be made one after another, without sandboxes that wait. */
import { quiet, startSubject, withFunctions, type Context, type Subject } from "../support/context.ts";
import { emptyScript } from "../support/empty-script.ts";
import type { Kind } from "../support/functions.ts";
import { timeBareStarts } from "../support/processes.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";

/** Environments that are being made at a time. */
const PARALLEL = 4;

interface Language {
  readonly name: string;
  readonly kind: Kind;
  readonly runtime?: string;
  /** Environments of a round. */
  readonly count: number;
  readonly floor: { readonly what: string; readonly command: string; readonly args: readonly string[] };
  /** A second. */
  readonly target: number;
}

export async function benchRate(context: Context): Promise<void> {
  const { burst } = context.sizes;
  const script = await emptyScript();
  const subject = await startSubject(context, 0);
  try {
    await measure(context, subject, {
      name: "Node.js",
      kind: "node-cold",
      count: burst,
      floor: { what: "bare node", command: process.execPath, args: [script.path] },
      target: 45,
    });
    if (context.python)
      await measure(context, subject, {
        name: "Python",
        kind: "python-cold",
        runtime: context.python.runtime,
        count: 3 * burst,
        floor: { what: "bare python3", command: context.python.path, args: ["-ISE", "-c", "0"] },
        target: 150,
      });
  } finally {
    await subject.close();
    await script.remove();
  }
}

async function measure(context: Context, subject: Subject, language: Language): Promise<void> {
  const { name, count, floor, target } = language;
  await environmentsMs(context, subject, language, 1);
  const [floors = [], times = []] = await interleave(
    { rounds: context.sizes.burstRounds, deadlineMs: context.deadlineMs },
    [
      () => timeBareStarts(floor.command, floor.args, count, PARALLEL),
      () => environmentsMs(context, subject, language, count),
    ],
  );
  const perSecond = (timesMs: readonly number[]) => timesMs.map((ms) => (count * 1000) / ms);
  context.row({
    id: `rate-${name.toLowerCase()}`,
    group: "environments made one after another",
    what: `${name}, ${PARALLEL} at a time, no pool`,
    unit: "/s",
    value: summarise(perSecond(times)),
    floor: { what: floor.what, value: summarise(perSecond(floors)) },
    ratio: summariseRatios(perSecond(times), perSecond(floors)),
    target: { of: "value", limit: target, want: "at least" },
  });
}

/** Until the last of `count` new functions has given its first answer. */
async function environmentsMs(
  { load }: Context,
  subject: Subject,
  { kind, runtime }: Language,
  count: number,
): Promise<number> {
  const { endpoint } = subject;
  return withFunctions(endpoint, { kind, count, runtime }, async (functionNames) => {
    await quiet(subject);
    return (await load.run({ kind: "once", endpoint, functionNames, parallel: PARALLEL })).elapsedMs;
  });
}
