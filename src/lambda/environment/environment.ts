/**
 * One execution environment: a sandbox, the runtime inside it, and at most one invocation at a time. It serves one
 * function version for its whole life.
 *
 *   STARTING      walls are going up or a waiting sandbox is being specialised.
 *                 → INITIALISING when the runtime has the function's code and settings
 *   INITIALISING  the runtime loads the handler. Ends with its first "ready", its error, its exit or the clock
 *                 (10 s in the init phase; the function's timeout when init is repeated inside an invocation).
 *                 → IDLE when ready
 *   IDLE          waits; the only state in which an invocation may be handed in. → BUSY, → FROZEN
 *   BUSY          has an invocation. → IDLE when it is answered, its log lines are in and the runtime asks for more
 *   FROZEN        nothing inside runs. → IDLE by wake()
 *   SHUTTING_DOWN from every state: everything inside is being killed. #running was answered before. → GONE
 *   GONE          no trace is left on the machine.
 *
 * Whatever is not listed is a bug and asserts. An environment whose invocation timed out or whose runtime ended is never
 * used again: it shuts down, and the next invocation starts cold, as on AWS.
 */
import { assert } from "../../kernel/assert.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError, deferred } from "../../kernel/deferred.ts";
import { INIT_TIMEOUT_MS, PROVISIONED_INIT_TIMEOUT_MS_MIN } from "../../limits.ts";
import type { FunctionVersion, Invocation, InvocationOutcome, InvocationReport } from "../model.ts";
import type { Sandbox, SandboxExit } from "../sandbox/sandbox.ts";
import { TRANSITIONS, type EnvironmentState } from "./environment-state.ts";
import type { EnvironmentLog } from "./environment-log.ts";
import {
  errorTypeOf,
  exitFailure,
  failurePayload,
  RESPONSE_TOO_LARGE,
  responseTooLargePayload,
  sandboxFailure,
  timeoutFailure,
  type Failure,
} from "./failures.ts";
import { lastWords } from "./last-words.ts";
import type { PlatformLines } from "./platform-lines.ts";
import type { RuntimeConnection, RuntimeEvents } from "./runtime-connection.ts";

const MIB = 1024 * 1024;

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
  /** Told each time it becomes idle. */
  readonly onIdle: (environment: Environment) => void;
  /** Told when its sandbox could not be frozen, woken or removed from the machine. */
  readonly onFault: (error: Error) => void;
}

export type InitOutcome =
  | { readonly status: "ready"; readonly durationMs: number }
  /** The function's own doing: AWS repeats the init once, inside the invocation. */
  | { readonly status: "failed"; readonly failure: Failure; readonly payload: Buffer | undefined };

interface Running {
  readonly invocation: Invocation;
  readonly startedMs: number;
  readonly resolve: (outcome: InvocationOutcome) => void;
}

export class Environment {
  readonly function: FunctionVersion;
  readonly #clock: Clock;
  readonly #log: EnvironmentLog;
  readonly #lines: PlatformLines;
  readonly #options: EnvironmentOptions;
  readonly #gone = deferred();
  #state: EnvironmentState = "STARTING";
  #occupied: Occupied | undefined;
  #occupying: Promise<void> | undefined;
  #startedMs = 0;
  #initDurationMs: number | undefined;
  #restoreDurationMs: number | undefined;
  #init: { readonly phase: "init" | "invoke"; readonly settle: (outcome: InitOutcome) => void } | undefined;
  #running: Running | undefined;
  /** Of the last invocation. */
  #requestId = "";
  /** Runs from an invocation's begin until the environment is idle again. */
  #cancelTimeout: () => void = () => undefined;
  /** The runtime can take an invocation, as far as it has told. */
  #runtimeReady = false;
  /** The last invocation's END and REPORT lines are in. */
  #reported = true;
  #ended = false;
  /** The log cannot take more; whoever reads the streamed answer is behind. Either stops the reading. */
  #logHolds = false;
  #sinkHolds = false;
  /** The main process has ended. */
  #hasExited = false;
  /** Something came out of stdout or stderr: the end of an invocation then waits until the pipe is empty. */
  #rawOutput = true;
  /** Monotonic; when it last became idle. */
  idleSinceMs = 0;
  /** Monotonic. */
  readonly createdMs: number;

  constructor(options: EnvironmentOptions) {
    this.createdMs = options.clock.monotonicMs();
    this.function = options.function;
    this.#options = options;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#lines = options.lines;
  }

  get state(): EnvironmentState {
    return this.#state;
  }

  get isProvisioned(): boolean {
    return this.#options.isProvisioned === true;
  }

  /** BUSY, but its invocation has been answered: IDLE as soon as its log lines are in and the runtime asks for more. */
  get hasAnswered(): boolean {
    return this.#state === "BUSY" && !this.#running;
  }

  /** Resolves when nothing of it is left on the machine. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /**
   * The init phase. Resolves when the environment is IDLE or has failed (and is shutting down). Rejects with SandboxError
   * when the platform could not build it. Once, in STARTING.
   */
  async start(): Promise<InitOutcome> {
    const timeoutMs = this.isProvisioned
      ? Math.max(PROVISIONED_INIT_TIMEOUT_MS_MIN, this.function.timeoutMs)
      : INIT_TIMEOUT_MS;
    return this.#start("init", timeoutMs);
  }

  /**
   * Init inside an invocation, after a failed init phase: the function's timeout covers both. Rejects as start() does.
   * Once, instead of start().
   */
  startWith(invocation: Invocation): Promise<InvocationOutcome> {
    return new Promise((resolve, reject) => {
      this.#begin(invocation, resolve);
      this.#start("invoke", Infinity)
        .then((init) => this.#deliverAfterInit(invocation, init))
        .catch(reject);
    });
  }

  #deliverAfterInit(invocation: Invocation, init: InitOutcome): void {
    if (!this.#running) return;
    if (init.status === "ready") {
      this.#transition("BUSY");
      this.#deliver(invocation);
      return;
    }
    const payload = init.payload ?? failurePayload(init.failure, invocation.requestId);
    this.#finish({ payload, failure: init.failure });
    this.#end("init failed");
  }

  /** Hands in one invocation; only in IDLE. Always resolves: what goes wrong is part of the outcome. */
  invoke(invocation: Invocation): Promise<InvocationOutcome> {
    this.#transition("BUSY");
    return new Promise((resolve) => {
      this.#begin(invocation, resolve);
      this.#deliver(invocation);
    });
  }

  /** IDLE → FROZEN; false when it is not idle any more, or cannot be frozen and ends. */
  async freeze(): Promise<boolean> {
    if (this.#state !== "IDLE") return false;
    this.#transition("FROZEN");
    return this.#whileFrozen((sandbox) => sandbox.freeze());
  }

  /** FROZEN → IDLE. The caller looks at the state: it may have been shut down meanwhile, or cannot be woken and ends. */
  async wake(): Promise<void> {
    assert(this.#state === "FROZEN", "only a frozen environment is woken");
    if (await this.#whileFrozen((sandbox) => sandbox.thaw())) this.#transition("IDLE");
  }

  /** True when it worked and the environment is still FROZEN. Freezing is between us and the machine: a fault ends the environment. */
  async #whileFrozen(act: (sandbox: Sandbox) => Promise<void>): Promise<boolean> {
    assert(this.#occupied, "a frozen environment has its sandbox");
    try {
      await act(this.#occupied.sandbox);
      return this.#state === "FROZEN";
    } catch (error) {
      if (this.#state !== "FROZEN") return false;
      this.#options.onFault(coerceError(error));
      this.#end("could not be frozen or woken");
      return false;
    }
  }

  /** Stops reading what the inside says, or goes on: the log cannot take more at the moment. */
  holdBack(hold: boolean): void {
    this.#logHolds = hold;
    const occupied = this.#occupied;
    if (!occupied) return;
    occupied.connection.setReading(!hold && !this.#sinkHolds);
    if (hold) occupied.sandbox.output.pause();
    else occupied.sandbox.output.resume();
  }

  /** The function waits for its own answer to be read; what it prints to its output pipe is read all the same. */
  #holdAnswer(hold: boolean): void {
    this.#sinkHolds = hold;
    this.#occupied?.connection.setReading(!hold && !this.#logHolds);
  }

  /** Ends the environment, whatever it does; a running invocation is answered as a failure. Idempotent. */
  shutdown(reason: string): Promise<void> {
    if (this.#running)
      this.#finish({ failure: sandboxFailure(`The execution environment was shut down: ${reason}`) });
    this.#end(reason);
    return this.gone;
  }

  async #start(phase: "init" | "invoke", timeoutMs: number): Promise<InitOutcome> {
    assert(this.#state === "STARTING" && !this.#init, "an environment starts once");
    this.#startedMs = this.#clock.monotonicMs();
    const startedAtMs = this.#clock.nowMs();
    // Whether a version with SnapStart is initialised or restored, its sandbox tells.
    if (phase === "init" && !this.function.snapStart) this.#say(this.#lines.initStart(startedAtMs));
    const outcome = new Promise<InitOutcome>((resolve, reject) => {
      this.#init = { phase, settle: resolve };
      this.#occupying = this.#occupy();
      // An init that has failed by then, by its clock or because the server stops, has told so.
      this.#occupying.catch(reject);
    });
    const cancel = Number.isFinite(timeoutMs)
      ? this.#clock.after(timeoutMs, () => this.#initTimedOut())
      : undefined;
    try {
      const init = await outcome;
      // The word may come before the hand-over has returned.
      if (init.status === "ready") await this.#occupying;
      if (init.status === "ready" && phase === "init") this.#initialised(init.durationMs, startedAtMs);
      return init;
    } catch (error) {
      this.#abandon();
      this.#end("could not be built");
      throw error;
    } finally {
      cancel?.();
    }
  }

  #say(line: string | undefined, timestampMs = this.#clock.nowMs()): void {
    if (line !== undefined) this.#log.event(line, timestampMs);
  }

  #initialised(durationMs: number, startedAtMs: number): void {
    const restored = this.#occupied?.restored === true;
    if (this.function.snapStart) {
      const line = restored ? this.#lines.restoreStart(startedAtMs) : this.#lines.initStart(startedAtMs);
      this.#say(line, startedAtMs);
    }
    if (restored) {
      this.#restoreDurationMs = durationMs;
      this.#say(this.#lines.restoreReport(this.#clock.nowMs(), durationMs));
    } else if (!this.isProvisioned) this.#initDurationMs = durationMs;
  }

  /** Closes the running invocation's log; its caller gets the error itself. */
  #abandon(): void {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    this.#close(running, this.#report(running, "failure", "Sandbox.Failure"));
  }

  async #occupy(): Promise<void> {
    const occupied = await this.#options.occupy(this.#events);
    this.#occupied = occupied;
    occupied.sandbox.output.on("data", (chunk: Buffer) => {
      this.#rawOutput = true;
      this.#log.raw(chunk);
    });
    occupied.sandbox.output.on("error", () => undefined);
    void occupied.sandbox.exited.then((exit) => this.#processEnded(exit));
    if (this.#state === "STARTING") this.#transition("INITIALISING");
    else this.#limitCpu();
  }

  readonly #events: RuntimeEvents = {
    ready: () => {
      // A custom runtime polls on its own: this may be before the hand-over has returned.
      this.#runtimeReady = true;
      if (this.#state === "STARTING") this.#transition("INITIALISING");
      else if (this.#state === "BUSY") this.#becomeIdle();
      if (this.#state !== "INITIALISING") return;
      this.#transition("IDLE");
      this.idleSinceMs = this.#clock.monotonicMs();
      this.#settleInit({ status: "ready", durationMs: this.idleSinceMs - this.#startedMs });
      // After the event that waits for this: it is handed over in the microtasks that settling has begun.
      setImmediate(() => this.#limitCpu());
    },
    initError: (error) => {
      const failure: Failure = {
        errorType: errorTypeOf(error) ?? "Runtime.Unknown",
        cause: "",
        status: "error",
      };
      this.#settleInit({ status: "failed", failure, payload: error });
    },
    chunk: (requestId, content, contentType) => {
      const invocation = this.#running?.invocation;
      if (requestId !== invocation?.requestId || !invocation.sink) return;
      if (invocation.sink.write(content, contentType) || this.#sinkHolds || this.#hasExited) return;
      this.#holdAnswer(true);
      void invocation.sink.drained().then(() => {
        if (this.#running?.invocation === invocation) this.#holdAnswer(false);
      });
    },
    response: (requestId, payload, contentType) => {
      if (requestId === this.#running?.invocation.requestId) this.#finish({ payload, contentType });
    },
    error: (requestId, error) => {
      if (requestId !== this.#running?.invocation.requestId) return;
      this.#finish({ payload: error, errorType: errorTypeOf(error) ?? "Runtime.Unknown" });
    },
    responseTooLarge: (requestId, limitBytes) => {
      if (requestId !== this.#running?.invocation.requestId) return;
      this.#finish({
        payload: responseTooLargePayload(limitBytes),
        errorType: RESPONSE_TOO_LARGE,
      });
    },
    log: (timestampMs, text) => this.#log.event(text, timestampMs),
    broken: (error) => this.#fail(sandboxFailure(`The runtime broke its protocol: ${error.message}`)),
  };

  /** Not waited for: the first millisecond of an invocation may be fast. A sandbox that is gone tells so itself. */
  #limitCpu(): void {
    this.#occupied?.sandbox.limitCpu().catch(() => undefined);
  }

  #begin(invocation: Invocation, resolve: Running["resolve"]): void {
    assert(!this.#running, "one invocation at a time");
    const startedMs = this.#clock.monotonicMs();
    this.#cancelTimeout = this.#clock.after(this.function.timeoutMs, this.#timedOut);
    this.#running = { invocation, startedMs, resolve };
    this.#requestId = invocation.requestId;
    this.#reported = false;
    if (invocation.wantsTail) this.#log.startTail();
    const line = this.#lines.start(this.#clock.nowMs(), invocation.requestId);
    if (line !== undefined) this.#log.event(line);
  }

  #deliver(invocation: Invocation): void {
    assert(this.#occupied, "a running environment has its sandbox");
    this.#runtimeReady = false;
    const elapsedMs = this.#clock.monotonicMs() - (this.#running?.startedMs ?? 0);
    const { requestId, invokedFunctionArn, traceHeader, clientContext, tenantId } = invocation;
    this.#occupied.connection.invoke(
      {
        requestId,
        deadlineMs: Math.floor(this.#clock.nowMs() + this.function.timeoutMs - elapsedMs),
        invokedFunctionArn,
        traceHeader,
        ...(clientContext === undefined ? {} : { clientContext }),
        ...(tenantId === undefined ? {} : { tenantId }),
      },
      invocation.payload,
      invocation.sink !== undefined,
    );
  }

  /** The invocation is not answered yet, or it is and the runtime has neither asked for more nor ended. */
  readonly #timedOut = (): void => {
    const failure = timeoutFailure(this.function.timeoutMs);
    const nowMs = this.#clock.nowMs();
    this.#log.endPartialLine();
    this.#log.event(`${new Date(nowMs).toISOString()} ${this.#requestId} ${failure.cause}\n\n`, nowMs);
    this.#settleInit({ status: "failed", failure, payload: undefined });
    this.#finish({ failure });
    this.#end("timeout");
  };

  #initTimedOut(): void {
    const failure: Failure = { errorType: "Sandbox.Timedout", cause: "init timed out", status: "timeout" };
    this.#settleInit({ status: "failed", failure, payload: undefined });
    this.#end("init timeout");
  }

  #settleInit(outcome: InitOutcome): void {
    const init = this.#init;
    if (!init) return;
    this.#init = undefined;
    // Here and not where the outcome is awaited: the line belongs before the invocation's END.
    if (outcome.status === "failed") this.#initFailed(init.phase, outcome.failure);
    init.settle(outcome);
  }

  #initFailed(phase: "init" | "invoke", failure: Failure): void {
    const durationMs = this.#clock.monotonicMs() - this.#startedMs;
    const { errorType } = failure;
    const status = failure.status === "timeout" ? "timeout" : "error";
    const line = this.#lines.initReport(this.#clock.nowMs(), {
      durationMs,
      phase,
      status,
      ...(status === "error" ? { errorType } : {}),
    });
    if (line !== undefined) this.#log.event(line);
    if (phase === "init") this.#end("init failed");
  }

  /** The main process has ended, by itself or by our hand. Its last words come first. */
  async #processEnded(exit: SandboxExit): Promise<void> {
    // Nothing must be handed in while the last words come.
    const idle = this.#state === "IDLE" || this.#state === "FROZEN";
    // What it has sent and nobody has read is no more than a socket holds, and tells how it ended.
    this.#hasExited = true;
    if (this.#sinkHolds) this.#holdAnswer(false);
    if (idle && !this.#running) this.#end("the runtime exited");
    else if (!this.#ended) await lastWords(this.#occupied, this.#clock);
    this.#log.endPartialLine();
    if (this.#ended) return;
    const failure = exitFailure(exit);
    if (this.#init) {
      this.#settleInit({ status: "failed", failure, payload: undefined });
      if (!this.#running) return;
    }
    this.#fail(failure);
  }

  /** Fails what runs, or has been answered just now; in the log too; and ends the environment. */
  #fail(failure: Failure): void {
    if (this.#running || this.#state === "BUSY")
      this.#log.event(`RequestId: ${this.#requestId} Error: ${failure.cause}\n${failure.errorType}`);
    this.#finish({ failure });
    this.#settleInit({ status: "failed", failure, payload: undefined });
    this.#end(failure.errorType);
  }

  /**
   * Answers the running invocation. The caller has its answer at once, unless it asked for the log's tail: then the
   * output pipe is emptied first. The environment is idle again only after its END and REPORT lines are in.
   */
  #finish(result: { payload?: Buffer; contentType?: string; failure?: Failure; errorType?: string }): void {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    if (this.#sinkHolds) this.#holdAnswer(false);
    const { failure } = result;
    const errorType = failure?.errorType ?? result.errorType;
    const report = this.#report(
      running,
      failure?.status ?? (errorType === undefined ? "success" : "error"),
      errorType,
    );
    const outcome: InvocationOutcome = {
      payload:
        result.payload ?? (failure ? failurePayload(failure, running.invocation.requestId) : Buffer.alloc(0)),
      contentType: result.contentType ?? "application/json",
      report,
      ...(errorType === undefined ? {} : { functionError: "Unhandled" as const }),
    };
    const close = () => this.#close(running, report);
    const wantsTail = running.invocation.wantsTail === true;
    if (!wantsTail) running.resolve(outcome);
    const finish = () => {
      close();
      if (wantsTail) running.resolve({ ...outcome, logTail: this.#log.takeTail() });
      this.#reported = true;
      if (!failure) this.#becomeIdle();
    };
    if (this.#rawOutput && !failure) {
      // What was written to the pipe before the answer may still be in it: one full turn of the event loop reads it.
      this.#rawOutput = false;
      setImmediate(() => setImmediate(finish));
    } else finish();
  }

  #close(running: Running, report: InvocationReport): void {
    this.#log.endPartialLine();
    const { requestId, traceHeader } = running.invocation;
    const nowMs = this.#clock.nowMs();
    const end = this.#lines.end(nowMs, requestId, report);
    if (end !== undefined) this.#log.event(end, nowMs);
    const line = this.#lines.report(nowMs, requestId, report, traceHeader);
    if (line !== undefined) this.#log.event(line, nowMs);
  }

  /** BUSY → IDLE, as soon as both the runtime and the log are ready for another invocation. */
  #becomeIdle(): void {
    if (this.#state !== "BUSY" || !this.#runtimeReady || !this.#reported) return;
    this.#cancelTimeout();
    this.#transition("IDLE");
    this.idleSinceMs = this.#clock.monotonicMs();
    this.#options.onIdle(this);
  }

  #report(
    running: Running,
    status: InvocationReport["status"],
    errorType: string | undefined,
  ): InvocationReport {
    const { memoryMb, timeoutMs } = this.function;
    const durationMs = Math.min(this.#clock.monotonicMs() - running.startedMs, timeoutMs);
    const initDurationMs = this.#initDurationMs;
    const restoreDurationMs = this.#restoreDurationMs;
    this.#initDurationMs = undefined;
    this.#restoreDurationMs = undefined;
    const peakBytes = this.#occupied?.sandbox.peakMemoryBytes() ?? 0;
    return {
      durationMs,
      // Init time is billed with the invocation it was for, as AWS does since August 2025.
      billedMs: Math.max(1, Math.ceil(durationMs + (initDurationMs ?? 0))),
      memorySizeMb: memoryMb,
      maxMemoryUsedMb: Math.min(memoryMb, Math.ceil(peakBytes / MIB)),
      status,
      ...(initDurationMs === undefined ? {} : { initDurationMs }),
      ...(restoreDurationMs === undefined ? {} : { restoreDurationMs }),
      ...(errorType === undefined ? {} : { errorType }),
    };
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTimeout();
    this.#settleInit({ status: "failed", failure: sandboxFailure(reason), payload: undefined });
    this.#transition("SHUTTING_DOWN");
    this.#options.onEnded(this);
    void this.#destroy(reason);
  }

  async #destroy(reason: string): Promise<void> {
    // What is still being built must come up before it can go.
    await this.#occupying?.catch(() => undefined);
    const occupied = this.#occupied;
    try {
      await occupied?.sandbox.destroy(reason);
    } catch (error) {
      this.#options.onFault(coerceError(error));
    }
    occupied?.connection.close();
    this.#transition("GONE");
    this.#gone.resolve();
  }

  #transition(to: EnvironmentState): void {
    assert(TRANSITIONS[this.#state].includes(to), `an environment goes from ${this.#state} to ${to}`);
    this.#state = to;
  }
}
