/**
 * Replays a trace on a virtual clock against the platform's own Placement, KeepAlive, WarmPool, Occupier and Environment;
 * only the sandboxes are made up. A day of thousands of functions takes seconds.
 */
import { RuntimeApi } from "../../src/lambda/environment/runtime-api.ts";
import type { FunctionVersion, Invocation } from "../../src/lambda/model.ts";
import { KeepAlive } from "../../src/lambda/placement/keep-alive.ts";
import { Occupier } from "../../src/lambda/placement/occupier.ts";
import { Placement } from "../../src/lambda/placement/placement.ts";
import { WarmPool } from "../../src/lambda/placement/warm-pool.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { ReplayDriver, type ReplayTimes } from "./fake-driver.ts";
import type { Arrival, Trace, TraceFunction } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface ReplayPolicy {
  readonly adapts: boolean;
  readonly keepAliveMs: number;
}

/** What the platform that is replayed is like. */
export interface ReplayPlatform {
  /** Generic sandboxes in stock. */
  readonly poolSize: number;
  readonly times: ReplayTimes;
}

export interface ReplayResult {
  readonly invocations: number;
  /** Invocations that had to wait for an environment. */
  readonly cold: number;
  /** Memory-time of idle environments, GB-seconds. */
  readonly idleGbS: number;
  /** Environments that were started, those ahead of time included. */
  readonly started: number;
}

const AGE_MS_MAX = 12 * 60 * 60_000;
/** Whoever waits for less found an environment that was just about to be idle. */
const COLD_MS_MIN = 25;
const USUAL: ReplayPlatform = { poolSize: 2, times: { bootMs: 40, initMs: 60 } };
/** An environment that has answered for the first time looks for output through so many turns of the event loop. */
const TURNS = 3;
/** Everything else goes on in promises: more than the longest chain of them, and far cheaper than a turn. */
const MICROTASKS = 24;
const ID_CHARS = 36;

export async function replay(
  trace: Trace,
  policy: ReplayPolicy,
  { poolSize, times }: ReplayPlatform = USUAL,
): Promise<ReplayResult> {
  const { arrivals, functions, durationMs } = trace;
  const clock = new VirtualClock();
  let cold = 0;
  const driver = new ReplayDriver(clock, times, (requestId) => {
    const arrival = arrivals[Number(requestId)];
    if (!arrival) throw new Error(`nobody sent ${requestId}`);
    if (clock.monotonicMs() - arrival.atMs >= COLD_MS_MIN) cold += 1;
    return arrival.durationMs;
  });
  const { placement, pool } = build(driver, clock, policy, poolSize);
  const versions = functions.map(versionOf);
  let failed: unknown;
  for (const [index, arrival] of arrivals.entries()) {
    await advance(driver, arrival.atMs);
    const version = versions[arrival.function];
    if (!version) throw new Error("an arrival of no function");
    placement.run(version, invocationOf(index, arrival)).catch((error: unknown) => (failed ??= error));
    await settle(driver);
  }
  await advance(driver, durationMs);
  for (const sandbox of driver.alive) sandbox.stopCounting();
  const { idleMbMs, started } = driver.costs;
  // What is still running is cut off, and may say so.
  const failure = failed;
  await close(driver, placement, pool);
  if (failure !== undefined) throw failure;
  return { invocations: arrivals.length, cold, idleGbS: idleMbMs / 1024 / 1000, started };
}

function build(
  driver: ReplayDriver,
  clock: VirtualClock,
  { adapts, keepAliveMs }: ReplayPolicy,
  poolSize: number,
) {
  let lastId = 0;
  const nextId = () => `r-${(lastId += 1)}`;
  const common = { driver, clock, logger: silentLogger, nextId, region: "us-east-1" };
  const pool = new WarmPool({ ...common, sizePerKind: poolSize, sizeTotalMax: 200 });
  const runtime = {
    available: true as const,
    root: { key: "nodejs24.x" },
    command: () => ["/var/lang/bin/node"],
    version: "24.0.0",
    environment: {},
    link: true,
  };
  const occupier = new Occupier({
    ...common,
    pool,
    network: { kind: "loopback" },
    runtimeApi: new RuntimeApi(),
    runtimes: { find: async () => runtime },
    codeFolder: async (sha256Hex) => `/code/${sha256Hex}`,
    credentials: () => ({ accessKeyId: "ASIA", secretAccessKey: "s", sessionToken: "t" }),
  });
  const placement = new Placement({
    ...common,
    sink: { append: () => true, drained: async () => undefined },
    occupier,
    pool,
    accountConcurrency: 1_000_000,
    keepAlive: new KeepAlive({
      clock,
      adapts,
      keepAliveMs,
      ageMsMax: AGE_MS_MAX,
      availableMemoryBytes: () => undefined,
      reserveBytes: 0,
    }),
  });
  return { placement, pool };
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** Until everybody waits for the clock again. */
async function settle(driver: ReplayDriver): Promise<void> {
  if (driver.takeFirstAnswer()) for (let count = 0; count < TURNS; count += 1) await turn();
  else for (let count = 0; count < MICROTASKS; count += 1) await Promise.resolve();
}

async function advance(driver: ReplayDriver, untilMs: number): Promise<void> {
  while (driver.clock.step(untilMs)) await settle(driver);
}

async function close(driver: ReplayDriver, placement: Placement, pool: WarmPool): Promise<void> {
  const closed = Promise.all([placement.close(0), pool.close()]);
  // What is booting or starting takes its time also now.
  await advance(driver, driver.clock.monotonicMs() + 10 * (driver.times.bootMs + driver.times.initMs));
  await closed;
}

function versionOf({ name, memoryMb }: TraceFunction): FunctionVersion {
  return {
    functionArn: `arn:aws:lambda:us-east-1:000000000000:function:${name}`,
    name,
    version: "$LATEST",
    revisionId: "11111111-1111-4111-8111-111111111111",
    runtime: "nodejs24.x",
    handler: "index.handler",
    role: "arn:aws:iam::000000000000:role/trace",
    codeSha256Hex: "ab".repeat(32),
    memoryMb,
    timeoutMs: 900_000,
    ephemeralStorageMb: 512,
    environment: {},
    layerSha256Hex: [],
    logging: { format: "Text", applicationLevel: "INFO", systemLevel: "INFO", group: "/aws/lambda/trace" },
    tracingMode: "PassThrough",
  };
}

function invocationOf(index: number, { function: number }: Arrival): Invocation {
  return {
    requestId: String(index).padStart(ID_CHARS, "0"),
    payload: Buffer.alloc(0),
    invokedFunctionArn: `arn:aws:lambda:us-east-1:000000000000:function:trace-${number}`,
    traceHeader: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
  };
}
