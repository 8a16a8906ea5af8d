/** What the load generator can be asked to do, and what it answers: messages between it and the benchmarks. */
import type { Endpoint } from "./client.ts";

export type Job =
  /**
   * `connections` clients, each sends its next request when it has its answer; with `asynchronous`, events, which have to be
   * accepted.
   */
  | {
      readonly kind: "closed";
      readonly asynchronous?: true;
      readonly endpoint: Endpoint;
      readonly functionName: string;
      readonly connections: number;
      readonly durationMs: number;
    }
  /** Requests at times that do not depend on the answers; latency counts from the intended time (coordinated omission). */
  | {
      readonly kind: "open";
      readonly endpoint: Endpoint;
      readonly functionName: string;
      readonly connections: number;
      readonly durationMs: number;
      readonly ratePerSecond: number;
    }
  /** One request to each function, `parallel` at a time, on connections that were used before. */
  | {
      readonly kind: "once";
      readonly endpoint: Endpoint;
      readonly functionNames: readonly string[];
      readonly parallel: number;
    };

export interface LoadResult {
  /** In the order in which the answers came; of a "once" job in the order of its functions. */
  readonly latenciesMs: Float64Array;
  /** From the first request to the last answer. */
  readonly elapsedMs: number;
  /** Of a "once" job: when each request was sent, in milliseconds since the epoch, and the answer's body. */
  readonly once: readonly { readonly sentMs: number; readonly body: string }[];
}

export type LoadReply = { readonly result: LoadResult } | { readonly error: string };
