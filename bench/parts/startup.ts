/** The server itself: how soon it answers, and what it holds when it has nothing to do. */
import { quiet, startSubject, type Context } from "../support/context.ts";
import { emptyScript } from "../support/empty-script.ts";
import { findDescendant, memoryOf, timeBareStart, type Memory } from "../support/processes.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";

const GROUP = "the server";
const MB = 1024 * 1024;
const NO_MEMORY: Memory = { rssBytes: Number.NaN, pssBytes: Number.NaN };

interface Start {
  readonly readyMs: number;
  readonly server: Memory;
  readonly spawner: Memory | undefined;
}

export async function benchStartup(context: Context): Promise<void> {
  const script = await emptyScript();
  try {
    await start(context);
    const [starts = [], floors = []] = await interleave<Start | number>(
      { rounds: context.sizes.serverStarts, deadlineMs: context.deadlineMs },
      [() => start(context), () => timeBareStart(process.execPath, [script.path])],
    );
    report(
      context,
      starts.filter((one) => typeof one === "object"),
      floors.filter((one) => typeof one === "number"),
    );
  } finally {
    await script.remove();
  }
}

async function start(context: Context): Promise<Start> {
  const subject = await startSubject(context, 2);
  try {
    await quiet(subject);
    const spawnerPid = findDescendant(subject.pid ?? 0, "hornero-spawner");
    return {
      readyMs: subject.readyMs,
      server: memoryOf(subject.pid ?? 0) ?? NO_MEMORY,
      spawner: spawnerPid === undefined ? undefined : memoryOf(spawnerPid),
    };
  } finally {
    await subject.close();
  }
}

function report(context: Context, starts: readonly Start[], floors: readonly number[]): void {
  const readyMs = starts.map((one) => one.readyMs);
  context.row({
    id: "ready",
    group: GROUP,
    what: "spawn to first answer, new data folder",
    unit: "ms",
    value: summarise(readyMs),
    floor: { what: "bare node", value: summarise(floors) },
    ratio: summariseRatios(readyMs, floors),
    target: { of: "value", limit: 400, want: "at most" },
  });
  context.row({
    id: "idle-rss",
    group: GROUP,
    what: "idle memory, RSS",
    unit: "MB",
    value: summarise(starts.map(({ server }) => server.rssBytes / MB)),
    target: { of: "value", limit: 90, want: "at most" },
    note: "with its threads, and with the pages of the node binary that it shares with every other node",
  });
  context.row({
    id: "idle-pss",
    group: GROUP,
    what: "idle memory, PSS",
    unit: "MB",
    value: summarise(starts.map(({ server }) => server.pssBytes / MB)),
  });
  const spawners = starts.flatMap(({ spawner }) => spawner ?? []);
  if (spawners.length === 0) return;
  context.row({
    id: "spawner-pss",
    group: GROUP,
    what: "the spawner beside it, PSS",
    unit: "MB",
    value: summarise(spawners.map(({ pssBytes }) => pssBytes / MB)),
    note: `RSS ${summarise(spawners.map(({ rssBytes }) => rssBytes / MB)).median.toFixed(0)} MB`,
  });
}
