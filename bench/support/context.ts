/** What every part is given: what to measure, how much of it, and where its figures go. */
import { setTimeout as pause } from "node:timers/promises";
import type { Endpoint } from "./client.ts";
import { createFunction, deleteFunction, newNames, type Kind } from "./functions.ts";
import { LoadGenerator } from "./load.ts";
import { settled } from "./processes.ts";
import type { Curve, Distribution, Row, Waterfall } from "./report.ts";
import { startServer } from "./server.ts";

/** How much a run measures. Times in milliseconds. */
export interface Sizes {
  readonly rounds: number;
  /** Of one measurement with clients in a closed loop. */
  readonly closedMs: number;
  readonly openMs: number;
  readonly warmUpMs: number;
  /** Clients of the throughput rows. */
  readonly clients: number;
  /** Cold starts of each kind in a round. */
  readonly startsPerRound: number;
  readonly burstRounds: number;
  readonly burst: number;
  /** Idle environments whose memory is measured. */
  readonly environments: number;
  readonly serverStarts: number;
  readonly wireRounds: number;
  readonly wireRequests: number;
  readonly trace: TraceSizes;
}

/** Of the replayed traces. */
export interface TraceSizes {
  readonly seeds: number;
  readonly functions: number;
  /** Whether policies are replayed at several settings. */
  readonly hasCurves: boolean;
  /** The slice that a server gets. */
  readonly sliceFunctions: number;
  readonly sliceMs: number;
}

export const SIZES = {
  full: {
    rounds: 7,
    closedMs: 1500,
    openMs: 4000,
    warmUpMs: 2000,
    clients: 16,
    startsPerRound: 8,
    burstRounds: 5,
    burst: 50,
    environments: 20,
    serverStarts: 7,
    wireRounds: 8,
    wireRequests: 3000,
    trace: { seeds: 3, functions: 150, hasCurves: true, sliceFunctions: 20, sliceMs: 10_000 },
  },
  quick: {
    rounds: 3,
    closedMs: 700,
    openMs: 1500,
    warmUpMs: 1000,
    clients: 16,
    startsPerRound: 2,
    burstRounds: 1,
    burst: 50,
    environments: 20,
    serverStarts: 3,
    wireRounds: 3,
    wireRequests: 1000,
    trace: { seeds: 1, functions: 60, hasCurves: false, sliceFunctions: 10, sliceMs: 3000 },
  },
  smoke: {
    rounds: 1,
    closedMs: 150,
    openMs: 150,
    warmUpMs: 100,
    clients: 2,
    startsPerRound: 1,
    burstRounds: 1,
    burst: 2,
    environments: 2,
    serverStarts: 1,
    wireRounds: 1,
    wireRequests: 50,
    trace: { seeds: 1, functions: 12, hasCurves: true, sliceFunctions: 8, sliceMs: 2000 },
  },
} satisfies Record<string, Sizes>;

/** A server under measurement. */
export interface Subject {
  readonly endpoint: Endpoint;
  /** Undefined when it is somebody else's. */
  readonly pid: number | undefined;
  readonly readyMs: number;
  /** The longest delay of its event loop since this was last asked, where it was started to be asked. */
  takeLoopDelayMs?(): Promise<number>;
  close(): Promise<void>;
}

export interface Context {
  readonly sizes: Sizes;
  readonly driver: string;
  /** Somebody else's server, instead of ones of our own. */
  readonly against: Endpoint | undefined;
  readonly load: LoadGenerator;
  /** performance.now(): no round begins after it. */
  readonly deadlineMs: number;
  readonly python: { readonly path: string; readonly runtime: string } | undefined;
  readonly row: (row: Row) => void;
  readonly distribution: (distribution: Distribution) => void;
  readonly waterfall: (waterfall: Waterfall) => void;
  readonly curve: (curve: Curve) => void;
}

const OTHERS_PAUSE_MS = 500;

export async function startSubject(
  { against, driver }: Pick<Context, "against" | "driver">,
  pool: number,
  nodeOptions: readonly string[] = [],
): Promise<Subject> {
  if (!against) return startServer({ driver, pool, nodeOptions });
  return { endpoint: against, pid: undefined, readyMs: Number.NaN, close: async () => undefined };
}

/** Waits until a subject has nothing left to do: its pool is full, its refuse is gone. Rejects when it never has. */
export async function quiet({ pid }: Subject): Promise<void> {
  if (pid === undefined) await pause(OTHERS_PAUSE_MS);
  else if (!(await settled(pid))) throw new Error("the server does not come to rest");
}

/** Gives `use` new functions and deletes them. */
export async function withFunctions<T>(
  endpoint: Endpoint,
  {
    kind,
    count,
    runtime,
  }: { readonly kind: Kind; readonly count: number; readonly runtime?: string | undefined },
  use: (names: readonly string[]) => Promise<T>,
): Promise<T> {
  const names = newNames(count);
  const created: string[] = [];
  try {
    for (const name of names) {
      await createFunction(endpoint, kind, name, runtime);
      created.push(name);
    }
    return await use(names);
  } finally {
    for (const name of created) await deleteFunction(endpoint, name);
  }
}
