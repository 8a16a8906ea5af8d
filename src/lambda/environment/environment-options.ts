/** What an environment is made of, what it tells, and how its init ends. Types only. */
import type { Clock } from "../../kernel/clock.ts";
import type { FunctionVersion } from "../model.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { EnvironmentLog } from "./environment-log.ts";
import type { Environment } from "./environment.ts";
import type { Failure } from "./failures.ts";
import type { PlatformLines } from "./platform-lines.ts";
import type { RuntimeConnection, RuntimeEvents } from "./runtime-connection.ts";

/** A sandbox with the function's code in place, and the way to its runtime. */
export interface Occupied {
  readonly sandbox: Sandbox;
  readonly connection: RuntimeConnection;
  /** It started from a snapshot of the initialised function. */
  readonly restored?: boolean;
}

export interface EnvironmentOptions {
  readonly function: FunctionVersion;
  readonly clock: Clock;
  readonly log: EnvironmentLog;
  readonly lines: PlatformLines;
  /** Of provisioned concurrency: initialised in its own time, which no invocation is told of or billed for. */
  readonly isProvisioned?: boolean;
  /** Puts the function into a sandbox: from the pool or a new one. Called once; rejects when the platform cannot. */
  readonly occupy: (events: RuntimeEvents) => Promise<Occupied>;
  /** Told once, when the environment will take no further invocation: before its sandbox is gone. */
  readonly onEnded: (environment: Environment) => void;
  /** Told each time it becomes idle; one that takes several invocations at a time, each time it can take one more. */
  readonly onIdle: (environment: Environment) => void;
  /** Told when its sandbox could not be frozen, woken or removed from the machine. */
  readonly onFault: (error: Error) => void;
}

export type InitOutcome =
  | { readonly status: "ready"; readonly durationMs: number }
  /** The function's own doing: AWS repeats the init once, inside the invocation. */
  | { readonly status: "failed"; readonly failure: Failure; readonly payload: Buffer | undefined };
