/**
 * Cold starts: the first invocation of a function that was created in this run. A pool hit takes a waiting sandbox, a
 * pool miss builds one (a server without a pool). The floor is the same interpreter, started with nothing to do.
 */
import { quiet, startSubject, withFunctions, type Context, type Subject } from "../support/context.ts";
import type { Kind } from "../support/functions.ts";
import { timeBareStart } from "../support/processes.ts";
import type { Row } from "../support/report.ts";
import { emptyScript } from "../support/empty-script.ts";
import { interleave, median, percentiles, summarise, summariseRatios } from "../support/statistics.ts";

const GROUP = "cold starts";
const POOL = 2;
/** With or without waiting sandboxes: less than the bare interpreter takes. */
const PYTHON_TARGETS: Pick<Row, "target" | "also"> = {
  target: { of: "value", limit: 6, want: "at most" },
  also: { of: "ratio", limit: 1, want: "at most" },
};

/** One first invocation: milliseconds from the client's request to … */
interface Start {
  readonly answeredMs: number;
  /** … the beginning of the process: before the request on a hit; undefined when the runtime cannot tell. */
  readonly processMs: number | undefined;
  readonly loadedMs: number;
  readonly calledMs: number;
}

interface Language {
  readonly name: string;
  readonly kind: Kind;
  readonly runtime?: string;
  readonly floor: { readonly what: string; readonly command: string; readonly args: readonly string[] };
  readonly hit: Pick<Row, "target" | "also">;
  /** At most so many milliseconds in the slowest hundredth of the hits. */
  readonly tail?: number;
  readonly miss: Pick<Row, "target" | "also">;
}

export async function benchCold(context: Context): Promise<void> {
  const script = await emptyScript();
  const pooled = await startSubject(context, POOL);
  const poolless = context.against ? undefined : await startSubject(context, 0);
  try {
    await measureLanguage(context, pooled, poolless, {
      name: "Node.js",
      kind: "node-cold",
      floor: { what: "bare node", command: process.execPath, args: [script.path] },
      hit: {
        target: { of: "value", limit: 5, want: "at most" },
        also: { of: "ratio", limit: 0.2, want: "at most" },
      },
      tail: 15,
      miss: {
        target: { of: "ratio", limit: 1.3, want: "at most" },
      },
    });
    if (context.python)
      await measureLanguage(context, pooled, poolless, {
        name: "Python",
        kind: "python-cold",
        runtime: context.python.runtime,
        floor: { what: "bare python3", command: context.python.path, args: ["-ISE", "-c", "0"] },
        hit: PYTHON_TARGETS,
        miss: PYTHON_TARGETS,
      });
  } finally {
    await poolless?.close();
    await pooled.close();
    await script.remove();
  }
}

async function measureLanguage(
  context: Context,
  pooled: Subject,
  poolless: Subject | undefined,
  language: Language,
): Promise<void> {
  const { sizes, deadlineMs } = context;
  const { floor } = language;
  // The first start of a kind tells the pool that it is wanted, and reads the files that all others find in memory.
  for (const subject of [pooled, poolless])
    if (subject) await firstInvocations(context, subject, language, 1);
  const starts = { hit: [] as Start[], miss: [] as Start[] };
  const measure = async (subject: Subject, into: Start[]) => {
    const round = await firstInvocations(context, subject, language, sizes.startsPerRound);
    into.push(...round);
    return median(round.map(({ answeredMs }) => answeredMs));
  };
  const bare = async () => {
    const times: number[] = [];
    for (let count = 0; count < sizes.startsPerRound; count += 1)
      times.push(await timeBareStart(floor.command, floor.args));
    return median(times);
  };
  const [floors = [], hits = [], misses = []] = await interleave({ rounds: sizes.rounds, deadlineMs }, [
    bare,
    () => measure(pooled, starts.hit),
    ...(poolless ? [() => measure(poolless, starts.miss)] : []),
  ]);
  if (poolless) checkHits(starts.hit);
  for (const way of ["hit", "miss"] as const) {
    const values = way === "hit" ? hits : misses;
    if (values.length === 0) continue;
    const how = poolless ? `, pool ${way}` : "";
    context.row({
      id: `cold-${language.name.toLowerCase()}-${poolless ? way : "start"}`,
      group: GROUP,
      what: `${language.name}${how}`,
      unit: "ms",
      value: summarise(values),
      floor: { what: floor.what, value: summarise(floors) },
      ratio: summariseRatios(values, floors),
      ...language[way],
    });
    const { tail } = language;
    if (tail !== undefined && way === "hit")
      context.row({
        id: `cold-${language.name.toLowerCase()}-${poolless ? way : "start"}-p99`,
        group: GROUP,
        what: `${language.name}${how}, p99 of ${starts[way].length}`,
        unit: "ms",
        value: summarise([percentiles(starts[way].map(({ answeredMs }) => answeredMs))[99] ?? Number.NaN]),
        target: { of: "value", limit: tail, want: "at most" },
      });
    drawWaterfall(context, `${language.name}${how}`, starts[way]);
  }
}

/** First invocations one after another, each of a new function and when the server is at rest. */
async function firstInvocations(
  context: Context,
  subject: Subject,
  { kind, runtime }: Language,
  count: number,
): Promise<Start[]> {
  const { endpoint } = subject;
  return withFunctions(endpoint, { kind, count, runtime }, async (names) => {
    const starts: Start[] = [];
    for (const name of names) {
      await quiet(subject);
      const { latenciesMs, once } = await context.load.run({
        kind: "once",
        endpoint,
        functionNames: [name],
        parallel: 1,
      });
      const [first] = once;
      if (!first) throw new Error("an invocation went without its answer");
      const told = JSON.parse(first.body) as { processMs?: number; loadedMs: number; calledMs: number };
      const since = (atMs: number) => atMs - first.sentMs;
      starts.push({
        answeredMs: latenciesMs[0] ?? Number.NaN,
        processMs: told.processMs === undefined ? undefined : since(told.processMs),
        loadedMs: since(told.loadedMs),
        calledMs: since(told.calledMs),
      });
    }
    return starts;
  });
}

/** Rejects hits that were none: their figures would be of something else. */
function checkHits(starts: readonly Start[]): void {
  const missed = starts.filter(({ processMs }) => processMs !== undefined && processMs > 0).length;
  if (missed > 0) throw new Error(`${missed} of ${starts.length} starts found the pool empty`);
}

function drawWaterfall(context: Context, name: string, starts: readonly Start[]): void {
  const at = (pick: (start: Start) => number) => median(starts.map(pick));
  const processMs = at((start) => start.processMs ?? -1);
  context.waterfall({
    name,
    parts: [
      ...(processMs > 0 ? [{ name: "sandbox, process", endMs: processMs }] : []),
      { name: processMs > 0 ? "boot, code, load" : "code, load", endMs: at(({ loadedMs }) => loadedMs) },
      { name: "ready, event", endMs: at(({ calledMs }) => calledMs) },
      { name: "answer", endMs: at(({ answeredMs }) => answeredMs) },
    ],
  });
}
