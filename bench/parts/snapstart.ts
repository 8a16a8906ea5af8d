/**
 * What publishing makes ready, where it counts: the first invocation of a function whose code is a bundle of AWS SDK
 * clients of 650 KB. Three ways: the code as it is, with V8's cache of it, and from a snapshot (SnapStart); each with a
 * waiting sandbox and without. The two that are made ready are held against the first.
 */
import { setTimeout as pause } from "node:timers/promises";
import { strToU8, zipSync } from "fflate";
import { sdkBundle } from "../../test/support/bundles.ts";
import { call, Connection, invokeTarget, SignedRequests } from "../support/client.ts";
import { quiet, startSubject, type Context, type Subject } from "../support/context.ts";
import { emptyScript } from "../support/empty-script.ts";
import { deleteFunction, newNames } from "../support/functions.ts";
import { timeBareStart } from "../support/processes.ts";
import type { Row } from "../support/report.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";

const GROUP = "first invocation of a 650 KB bundle";
const POOL = 2;
const MEMORY_MB = 1769;
export const FUNCTIONS = "/2015-03-31/functions";
const ACTIVE_MS_MAX = 30_000;
const ASK_AGAIN_MS = 20;
/** How long an environment is kept busy, so that the next invocation needs another one. */
const BUSY_MS = 1500;
/** `calls` tells a first invocation from a later one; the clients are there to be loaded. */
const HANDLER = `globalThis.calls = (globalThis.calls ?? 0) + 1;
  await new Promise((resolve) => event.waitMs ? setTimeout(resolve, event.waitMs) : resolve());
  return { calls: globalThis.calls, clients: clients.length };`;

type Way = "plain" | "cache" | "snapshot";

export async function benchSnapStart(context: Context): Promise<void> {
  const script = await emptyScript();
  const pooled = await startSubject(context, POOL);
  const poolless = await startSubject(context, 0);
  try {
    const source = sdkBundle(HANDLER, "cjs");
    await warmUp(pooled, poolless, source);
    const bare = () => timeBareStart(process.execPath, [script.path]);
    const start = (subject: Subject, way: Way) => () =>
      firstInvocation(subject, way, source, subject === pooled);
    const { rounds } = context.sizes;
    const [floors = [], ...figures] = await interleave({ rounds, deadlineMs: context.deadlineMs }, [
      bare,
      ...([pooled, poolless] as const).flatMap((subject) =>
        (["plain", "cache", "snapshot"] as const).map((way) => start(subject, way)),
      ),
    ]);
    tell(context, "hit", "waiting sandbox", floors, figures.slice(0, 3));
    tell(context, "miss", "none waiting", floors, figures.slice(3));
  } finally {
    await poolless.close();
    await pooled.close();
    await script.remove();
  }
}

/** Fills pools, and reads the files that all others find in memory. */
async function warmUp(pooled: Subject, poolless: Subject, source: string): Promise<void> {
  for (const subject of [pooled, poolless]) await firstInvocation(subject, "plain", source, false);
}

function tell(
  context: Context,
  id: string,
  how: string,
  floors: readonly number[],
  [plain = [], cache = [], snapshot = []]: readonly (readonly number[])[],
): void {
  const row = (way: string, what: string, values: readonly number[], rest: Partial<Row>) => {
    // Without walls there are no snapshots.
    if (values.length === 0 || values.some(Number.isNaN)) return;
    const against = way === "plain" ? floors : plain;
    const floor = { what: way === "plain" ? "bare node" : "plain", value: summarise(against) };
    const ratio = summariseRatios(values, against);
    context.row({
      id: `bundle-${way}-${id}`,
      group: GROUP,
      what: `${what}, ${how}`,
      unit: "ms",
      value: summarise(values),
      floor,
      ratio,
      ...rest,
    });
  };
  const atMost = (limit: number) => ({ of: "ratio", limit, want: "at most" }) as const;
  row("plain", "plain", plain, {});
  row("cache", "code cache", cache, id === "hit" ? { target: atMost(0.95) } : {});
  row("snapshot", "SnapStart", snapshot, { target: atMost(0.5) });
}

/** Milliseconds from the request to the answer of an environment's first invocation; NaN when there is no snapshot. */
async function firstInvocation(
  subject: Subject,
  way: Way,
  source: string,
  isPooled: boolean,
): Promise<number> {
  const { endpoint } = subject;
  const [name = ""] = newNames(1);
  const zip = zipSync({ "index.js": strToU8(`${source}\n// ${name}\n`) });
  await call(endpoint, "POST", FUNCTIONS, {
    FunctionName: name,
    Role: "arn:aws:iam::000000000000:role/lambda",
    Runtime: "nodejs24.x",
    Handler: "index.handler",
    MemorySize: MEMORY_MB,
    Timeout: 30,
    Code: { ZipFile: Buffer.from(zip).toString("base64") },
    ...(way === "plain" ? { Environment: { Variables: { NODE_DISABLE_COMPILE_CACHE: "1" } } } : {}),
    ...(way === "snapshot" ? { SnapStart: { ApplyOn: "PublishedVersions" } } : {}),
  });
  try {
    await active(subject, name, "");
    if (way !== "snapshot") return await invokeAtRest(subject, name, "");
    const { Version } = await call(endpoint, "POST", `${FUNCTIONS}/${name}/versions`, {});
    const query = `?Qualifier=${String(Version)}`;
    if (!(await active(subject, name, query))) return Number.NaN;
    // The first start has none waiting, whatever the pool; after it, a pool keeps one.
    const firstMs = await invokeAtRest(subject, name, query);
    return isPooled ? await invokeBeside(subject, name, query) : firstMs;
  } finally {
    await deleteFunction(endpoint, name);
  }
}

/** Waits until the version can be invoked; whether it starts from a snapshot. */
export async function active({ endpoint }: Subject, name: string, query: string): Promise<boolean> {
  const deadlineMs = performance.now() + ACTIVE_MS_MAX;
  for (;;) {
    const found = await call(endpoint, "GET", `${FUNCTIONS}/${name}/configuration${query}`);
    const { State, SnapStart } = found as { State: string; SnapStart: { OptimizationStatus: string } };
    if (State === "Active") return SnapStart.OptimizationStatus === "On";
    if (State === "Failed" || performance.now() > deadlineMs) throw new Error(`${name} is ${State}`);
    await pause(ASK_AGAIN_MS);
  }
}

/** Milliseconds of an invocation, once the server has come to rest. Rejects when the answer is another. */
export async function invokeAtRest(
  subject: Subject,
  name: string,
  query: string,
  answer?: string,
): Promise<number> {
  await quiet(subject);
  const connection = await Connection.open(subject.endpoint);
  try {
    return await invoke(subject, connection, name + query, answer);
  } finally {
    connection.close();
  }
}

/** The first invocation of an environment while the one before it is busy. */
async function invokeBeside(subject: Subject, name: string, query: string): Promise<number> {
  await quiet(subject);
  const [busy, measured] = [await Connection.open(subject.endpoint), await Connection.open(subject.endpoint)];
  try {
    const requests = new SignedRequests(subject.endpoint, "POST", invokeTarget(name) + query);
    const other = busy.exchange(requests.make(JSON.stringify({ waitMs: BUSY_MS })));
    await pause(BUSY_MS / 10);
    const ms = await invoke(subject, measured, name + query);
    const { body } = await other;
    if (!body.includes('"calls":2')) throw new Error(`the busy environment answered ${body}`);
    return ms;
  } finally {
    busy.close();
    measured.close();
  }
}

async function invoke(
  subject: Subject,
  connection: Connection,
  qualified: string,
  answer = '{"calls":1,"clients":3}',
): Promise<number> {
  const [name = "", query] = qualified.split("?");
  const target = invokeTarget(name) + (query === undefined ? "" : `?${query}`);
  const request = new SignedRequests(subject.endpoint, "POST", target).make("{}");
  const sentMs = performance.now();
  const { status, body } = await connection.exchange(request);
  const ms = performance.now() - sentMs;
  if (status !== 200 || body !== answer) throw new Error(`${status} ${body}`);
  return ms;
}
