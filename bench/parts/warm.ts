/** Invocations of a function that is warm, beside a bare node:http echo of the same requests. */
import { startSubject, withFunctions, type Context } from "../support/context.ts";
import type { Endpoint } from "../support/client.ts";
import type { Job, LoadResult } from "../support/load-jobs.ts";
import { watchEnvironments } from "../support/processes.ts";
import { startEcho } from "../support/server.ts";
import {
  ascending,
  interleave,
  percentiles,
  quantile,
  summarise,
  summariseRatios,
} from "../support/statistics.ts";

const GROUP = "warm invocations";

export async function benchWarm(context: Context): Promise<void> {
  const subject = await startSubject(context, 2);
  const echo = await startEcho();
  try {
    await withFunctions(subject.endpoint, { kind: "node-echo", count: 1 }, async ([name = ""]) => {
      const pair = { functionName: name, hornero: subject.endpoint, echo: echo.endpoint, pid: subject.pid };
      await warmUp(context, pair);
      await oneClient(context, pair);
      const saturation = await throughput(context, pair);
      await openLoop(context, pair, saturation);
    });
  } finally {
    await echo.close();
    await subject.close();
  }
}

interface Pair {
  readonly functionName: string;
  readonly hornero: Endpoint;
  readonly echo: Endpoint;
  /** The server's; undefined when it is somebody else's. */
  readonly pid: number | undefined;
}

interface Rounds {
  readonly hornero: readonly LoadResult[];
  readonly echo: readonly LoadResult[];
  /** What explains the figures: how many environments worked in the rounds. */
  readonly note: string;
}

/** Until then what is measured is how V8 compiles the server and sixteen runtimes: the echo has no such time. */
const WARM_UPS = 4;

async function warmUp({ load, sizes }: Context, { functionName, hornero, echo }: Pair): Promise<void> {
  for (let turn = 0; turn < WARM_UPS; turn += 1)
    for (const endpoint of [hornero, echo])
      await load.run(closed(sizes.clients)(endpoint, functionName, sizes.warmUpMs));
}

async function measure(
  context: Context,
  { functionName, hornero, echo, pid }: Pair,
  job: (endpoint: Endpoint, functionName: string, durationMs: number) => Job,
  durationMs: number,
): Promise<Rounds> {
  const { load, sizes, deadlineMs } = context;
  for (const endpoint of [echo, hornero]) await load.run(job(endpoint, functionName, sizes.warmUpMs));
  const environments = pid === undefined ? undefined : watchEnvironments(pid);
  const [results = [], floors = []] = await interleave({ rounds: sizes.rounds, deadlineMs }, [
    () => load.run(job(hornero, functionName, durationMs)),
    () => load.run(job(echo, functionName, durationMs)),
  ]);
  return { hornero: results, echo: floors, note: environments?.() ?? "" };
}

const closed =
  (connections: number) =>
  (endpoint: Endpoint, functionName: string, durationMs: number): Job => ({
    kind: "closed",
    endpoint,
    functionName,
    connections,
    durationMs,
  });

const latencyAt = (q: number) => (result: LoadResult) => quantile(ascending(result.latenciesMs), q);

function draw(context: Context, name: string, { hornero, echo }: Rounds): void {
  const all = (results: readonly LoadResult[]) =>
    percentiles(results.flatMap(({ latenciesMs }) => [...latenciesMs]));
  context.distribution({ name, isFloor: false, percentilesMs: all(hornero) });
  context.distribution({ name: `${name}: echo`, isFloor: true, percentilesMs: all(echo) });
}

async function oneClient(context: Context, pair: Pair): Promise<void> {
  const rounds = await measure(context, pair, closed(1), context.sizes.closedMs);
  for (const [id, q] of [
    ["warm-p50", 0.5],
    ["warm-p99", 0.99],
  ] as const) {
    const [values, floors] = [rounds.hornero.map(latencyAt(q)), rounds.echo.map(latencyAt(q))];
    context.row({
      id,
      group: GROUP,
      what: `1 client, p${q * 100}`,
      unit: "ms",
      value: summarise(values),
      floor: { what: "echo", value: summarise(floors) },
      ratio: summariseRatios(values, floors),
      ...(q === 0.5
        ? {
            note: rounds.note,
            target: { of: "ratio", limit: 2, want: "at most" },
          }
        : {}),
    });
  }
  draw(context, "1 client", rounds);
}

/** Answers what both do at their limit, in requests a second. */
async function throughput(context: Context, pair: Pair): Promise<{ hornero: number; echo: number }> {
  const { clients, closedMs } = context.sizes;
  const rounds = await measure(context, pair, closed(clients), closedMs);
  const perSecond = ({ latenciesMs, elapsedMs }: LoadResult) => (latenciesMs.length * 1000) / elapsedMs;
  const [values, floors] = [rounds.hornero.map(perSecond), rounds.echo.map(perSecond)];
  context.row({
    id: "warm-throughput",
    group: GROUP,
    what: `${clients} clients, throughput`,
    unit: "/s",
    value: summarise(values),
    floor: { what: "echo", value: summarise(floors) },
    ratio: summariseRatios(values, floors),
    note: rounds.note,
    target: { of: "ratio", limit: 0.25, want: "at least" },
  });
  draw(context, `${clients} clients`, rounds);
  return { hornero: summarise(values).median, echo: summarise(floors).median };
}

async function openLoop(
  context: Context,
  pair: Pair,
  saturation: { hornero: number; echo: number },
): Promise<void> {
  const job = (endpoint: Endpoint, functionName: string, durationMs: number): Job => ({
    kind: "open",
    endpoint,
    functionName,
    durationMs,
    // As many as have an environment already: cold starts are measured elsewhere. More requests wait in the client,
    // and their time counts.
    connections: context.sizes.clients,
    ratePerSecond: Math.max(1, (endpoint === pair.hornero ? saturation.hornero : saturation.echo) / 2),
  });
  const rounds = await measure(context, pair, job, context.sizes.openMs);
  const spread = (result: LoadResult) => latencyAt(0.99)(result) / latencyAt(0.5)(result);
  const [values, floors] = [rounds.hornero.map(spread), rounds.echo.map(spread)];
  context.row({
    id: "open-loop-spread",
    group: GROUP,
    what: "open loop at half of saturation, p99 ÷ p50",
    unit: "×",
    value: summarise(values),
    floor: { what: "echo at half of its own", value: summarise(floors) },
    ratio: summariseRatios(values, floors),
    target: { of: "ratio", limit: 3, want: "at most" },
    note:
      `p50 ${summarise(rounds.hornero.map(latencyAt(0.5))).median.toFixed(2)} ms, ` +
      `p99 ${summarise(rounds.hornero.map(latencyAt(0.99))).median.toFixed(2)} ms at ${Math.round(saturation.hornero / 2)}/s; ${rounds.note}`,
  });
  draw(context, "open loop", rounds);
}
