/**
 * One execution environment: a sandbox, the runtime inside it, and at most one invocation at a time. It serves one
 * function version for its whole life. Of a function on Managed Instances it has several at a time, one record for each.
 *
 *   STARTING      walls are going up or a waiting sandbox is being specialised.
 *                 → INITIALISING when the runtime has the function's code and settings
 *   INITIALISING  the runtime loads the handler. Ends with its first "ready", its error, its exit or the clock
 *                 (10 s in the init phase; the function's timeout when init is repeated inside an invocation).
 *                 → IDLE when ready
 *   IDLE          waits; the only state in which an invocation may be handed in. → BUSY, → FROZEN
 *   BUSY          has an invocation. → IDLE when it is answered, its log lines are in and the runtime asks for more.
 *                 With room for several, more may be handed in as long as the runtime asks for them
 *   FROZEN        nothing inside runs. → IDLE by wake()
 *   SHUTTING_DOWN from every state: everything inside is being killed. #running was answered before. → GONE
 *   GONE          no trace is left on the machine.
 *
 * Whatever is not listed is a bug and asserts. An environment whose invocation timed out or whose runtime ended is never
 * used again: it shuts down, and the next invocation starts cold, as on AWS. With room for several, one that times out leaves the
 * others alone: its place is free again when the runtime answers after all. Nothing more is handed in until the runtime has
 * been heard of again; it shuts down when it has not, and nobody else waits for it, or when all the places that it asked for are lost.
 */
import { assert } from "../../kernel/assert.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError, deferred } from "../../kernel/deferred.ts";
import { INIT_TIMEOUT_MS, PROVISIONED_INIT_TIMEOUT_MS_MIN } from "../../limits.ts";
import type { FunctionVersion, Invocation, InvocationOutcome, InvocationReport } from "../model.ts";
import type { Sandbox, SandboxExit } from "../sandbox/sandbox.ts";
import type { EnvironmentOptions, InitOutcome, Occupied } from "./environment-options.ts";
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
import { outcomeOf, reportOf, type Ending, type Running } from "./in-flight.ts";
import { lastWords } from "./last-words.ts";
import type { PlatformLines } from "./platform-lines.ts";
import type { RuntimeEvents } from "./runtime-connection.ts";

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
  /** Not answered yet, by request id: as many as #slots at the most. */
  readonly #running = new Map<string, Running>();
  readonly #slots: number;
  /** Begun last. Of a single one, the time-out runs until the environment is idle again. */
  #last: Running | undefined;
  /** Invocations that the runtime can take, as far as it has told. */
  #ready = 0;
  /** Invocations that are answered and whose END and REPORT lines are not in yet. */
  #unreported = 0;
  /** Timed out, and not answered by the runtime either: with several at a time. */
  readonly #lost = new Set<string>();
  /** How often the runtime has been heard of. */
  #heard = 0;
  /** An invocation timed out during which the runtime was not heard of, nor since. */
  #isSilent = false;
  /** start() has come to its end: who is told of places finds the environment in use. */
  #isStarted = false;
  /** Takes nothing more and ends when nothing is in flight, for this reason. */
  #retiring: string | undefined;
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
    this.#slots = options.function.concurrencyMax ?? 1;
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

  /** BUSY, but an invocation has been answered: takes the next as soon as its log lines are in and the runtime asks for more. */
  get hasAnswered(): boolean {
    return this.#state === "BUSY" && this.#running.size < this.#slots && !this.canTake;
  }

  /** Whether an invocation may be handed in now. */
  get canTake(): boolean {
    // A custom runtime asks for more as soon as it runs, which may be before the platform knows its sandbox.
    return (
      this.#isStarted &&
      (this.#state === "IDLE" || this.#state === "BUSY") &&
      this.#ready > 0 &&
      this.#load < this.#slots &&
      !this.#isSilent &&
      this.#retiring === undefined
    );
  }

  /** Invocations that it has. */
  get inFlight(): number {
    return this.#running.size;
  }

  get #load(): number {
    return this.#running.size + this.#unreported;
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
        .then((init) => this.#deliverAfterInit(invocation.requestId, init))
        .catch(reject);
    });
  }

  #deliverAfterInit(requestId: string, init: InitOutcome): void {
    const running = this.#running.get(requestId);
    if (!running) return;
    if (init.status === "ready") {
      this.#transition("BUSY");
      this.#isStarted = true;
      this.#deliver(running);
      // With room for several, others may be waiting for this one.
      return this.#slotFreed();
    }
    const payload = init.payload ?? failurePayload(init.failure, requestId);
    this.#finish(running, { payload, failure: init.failure });
    this.#end("init failed");
  }

  /** Hands in one invocation; only while canTake. Always resolves: what goes wrong is part of the outcome. */
  invoke(invocation: Invocation): Promise<InvocationOutcome> {
    assert(this.canTake, "an environment is handed what it can take");
    if (this.#state !== "BUSY") this.#transition("BUSY");
    return new Promise((resolve) => this.#deliver(this.#begin(invocation, resolve)));
  }

  /** Takes nothing more; ends when nothing is in flight. */
  retire(reason: string): void {
    if (this.#load === 0) void this.shutdown(reason);
    else this.#retiring ??= reason;
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
  #holdAnswer({ invocation }: Running, hold: boolean): void {
    const connection = this.#occupied?.connection;
    if (this.#slots > 1) return connection?.holdAnswer(invocation.requestId, hold);
    this.#sinkHolds = hold;
    connection?.setReading(!hold && !this.#logHolds);
  }

  #releaseAnswer(): void {
    if (this.#sinkHolds && this.#last) this.#holdAnswer(this.#last, false);
  }

  /** Ends the environment, whatever it does; running invocations are answered as failures. Idempotent. */
  shutdown(reason: string): Promise<void> {
    const failure = sandboxFailure(`The execution environment was shut down: ${reason}`);
    for (const running of [...this.#running.values()]) this.#finish(running, { failure });
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
      if (init.status === "ready" && phase === "init") {
        this.#initialised(init.durationMs, startedAtMs);
        this.#isStarted = true;
      }
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

  /** Closes the running invocations' logs; their callers get the error itself. */
  #abandon(): void {
    const abandoned = [...this.#running.values()];
    this.#running.clear();
    for (const running of abandoned) {
      running.cancelTimeout();
      this.#close(running, this.#report(running, "failure", "Sandbox.Failure"));
    }
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
    ready: (count = 1) => {
      // A custom runtime polls on its own: this may be before the hand-over has returned.
      this.#ready = Math.min(this.#slots, this.#ready + count);
      if (count < 0) return;
      if (this.#state === "STARTING") this.#transition("INITIALISING");
      else this.#hear();
      if (this.#state === "BUSY" || (this.#state === "IDLE" && this.#slots > 1)) this.#slotFreed();
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
      const running = this.#running.get(requestId);
      const sink = running?.invocation.sink;
      if (!running || !sink) return;
      this.#hear();
      if (sink.write(content, contentType) || this.#sinkHolds || this.#hasExited) return;
      this.#holdAnswer(running, true);
      void sink.drained().then(() => {
        // Of several, one that has timed out is let go too: its handler keeps a place as long as it writes.
        const isOver = this.#slots > 1 ? this.#ended : this.#running.get(requestId) !== running;
        if (!isOver) this.#holdAnswer(running, false);
      });
    },
    response: (requestId, payload, contentType) => this.#answered(requestId, { payload, contentType }),
    error: (requestId, error) =>
      this.#answered(requestId, { payload: error, errorType: errorTypeOf(error) ?? "Runtime.Unknown" }),
    responseTooLarge: (requestId, limitBytes) =>
      this.#answered(requestId, {
        payload: responseTooLargePayload(limitBytes),
        errorType: RESPONSE_TOO_LARGE,
      }),
    log: (timestampMs, text) => {
      this.#hear();
      this.#log.event(text, timestampMs);
    },
    broken: (error) => this.#fail(sandboxFailure(`The runtime broke its protocol: ${error.message}`)),
  };

  /** The runtime has shown that it runs. */
  #hear(): void {
    this.#heard += 1;
    if (!this.#isSilent) return;
    this.#isSilent = false;
    this.#slotFreed();
  }

  /** One that has timed out is answered no more. */
  #answered(requestId: string, ending: Ending): void {
    this.#hear();
    const running = this.#running.get(requestId);
    if (running) this.#finish(running, ending);
    else this.#lost.delete(requestId);
  }

  /** Not waited for: the first millisecond of an invocation may be fast. A sandbox that is gone tells so itself. */
  #limitCpu(): void {
    this.#occupied?.sandbox.limitCpu().catch(() => undefined);
  }

  #begin(invocation: Invocation, resolve: Running["resolve"]): Running {
    assert(this.#load < this.#slots, "no more invocations than there is room for");
    const { timeoutMs } = this.function;
    const running: Running = {
      invocation,
      startedMs: this.#clock.monotonicMs(),
      heard: this.#heard,
      resolve,
      cancelTimeout: this.#clock.after(
        timeoutMs,
        this.#slots === 1 ? this.#timedOut : () => this.#oneTimedOut(running),
      ),
    };
    this.#running.set(invocation.requestId, running);
    this.#last = running;
    if (invocation.wantsTail && this.#slots === 1) this.#log.startTail();
    const line = this.#lines.start(this.#clock.nowMs(), invocation.requestId);
    if (line !== undefined) this.#log.event(line);
    return running;
  }

  #deliver({ invocation, startedMs }: Running): void {
    assert(this.#occupied, "a running environment has its sandbox");
    this.#ready -= 1;
    const elapsedMs = this.#clock.monotonicMs() - startedMs;
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

  /** The only invocation is not answered yet, or it is and the runtime has neither asked for more nor ended. */
  readonly #timedOut = (): void => {
    if (this.#last) this.#endTimedOut(this.#last);
  };

  #endTimedOut(running: Running): void {
    const failure = timeoutFailure(this.function.timeoutMs);
    this.#logTimeout(running, failure);
    this.#settleInit({ status: "failed", failure, payload: undefined });
    this.#finish(running, { failure });
    this.#end("timeout");
  }

  /** Of several. */
  #oneTimedOut(running: Running): void {
    if (this.#init) return this.#endTimedOut(running);
    const failure = timeoutFailure(this.function.timeoutMs);
    this.#logTimeout(running, failure);
    this.#lost.add(running.invocation.requestId);
    if (this.#heard === running.heard) this.#isSilent = true;
    this.#finish(running, { failure });
    // A runtime may ask for fewer than it has room for: then those are all its places.
    const isOver = this.#running.size === 0 && (this.#isSilent || this.#ready === 0);
    if (isOver || this.#lost.size >= this.#slots) this.#end("timeout");
  }

  #logTimeout({ invocation }: Running, failure: Failure): void {
    const nowMs = this.#clock.nowMs();
    this.#log.endPartialLine();
    const text = this.#lines.timeout(nowMs, invocation.requestId, failure.cause);
    this.#log.event(text, nowMs);
  }

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
    this.#releaseAnswer();
    if (idle && this.#running.size === 0) this.#end("the runtime exited");
    else if (!this.#ended) await lastWords(this.#occupied, this.#clock);
    this.#log.endPartialLine();
    if (this.#ended) return;
    const failure = exitFailure(exit);
    if (this.#init) {
      this.#settleInit({ status: "failed", failure, payload: undefined });
      if (this.#running.size === 0) return;
    }
    this.#fail(failure);
  }

  /** Fails what runs, or has been answered just now; in the log too; and ends the environment. */
  #fail(failure: Failure): void {
    const failed = [...this.#running.values()];
    const justAnswered = failed.length === 0 && this.#state === "BUSY" ? this.#last : undefined;
    for (const { invocation } of justAnswered ? [justAnswered] : failed)
      this.#log.event(`RequestId: ${invocation.requestId} Error: ${failure.cause}\n${failure.errorType}`);
    for (const running of failed) this.#finish(running, { failure });
    this.#settleInit({ status: "failed", failure, payload: undefined });
    this.#end(failure.errorType);
  }

  /**
   * Answers a running invocation. The caller has its answer at once, unless it asked for the log's tail: then the
   * output pipe is emptied first. The environment is idle again only after its END and REPORT lines are in.
   */
  #finish(running: Running, ending: Ending): void {
    const { invocation } = running;
    if (!this.#running.delete(invocation.requestId)) return;
    this.#unreported += 1;
    if (this.#slots > 1) running.cancelTimeout();
    else this.#releaseAnswer();
    const { failure } = ending;
    const errorType = failure?.errorType ?? ending.errorType;
    const status = failure?.status ?? (errorType === undefined ? "success" : "error");
    const report = this.#report(running, status, errorType);
    const outcome = outcomeOf(ending, invocation.requestId, report);
    // The lines of several are mixed: none of them has a tail of its own.
    const wantsTail = invocation.wantsTail === true && this.#slots === 1;
    if (!wantsTail) running.resolve(outcome);
    const finish = () => {
      this.#close(running, report);
      if (wantsTail) running.resolve({ ...outcome, logTail: this.#log.takeTail() });
      this.#unreported -= 1;
      if (!failure || this.#slots > 1) this.#slotFreed();
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

  /** BUSY → IDLE, as soon as both the runtime and the log are ready for another invocation. With room for several, one more may come. */
  #slotFreed(): void {
    if (this.#retiring !== undefined && this.#load === 0) return this.#end(this.#retiring);
    if (!this.canTake) return;
    if (this.#state === "BUSY" && this.#load === 0) {
      if (this.#slots === 1) this.#last?.cancelTimeout();
      this.#transition("IDLE");
      this.idleSinceMs = this.#clock.monotonicMs();
    }
    this.#options.onIdle(this);
  }

  #report(
    running: Running,
    status: InvocationReport["status"],
    errorType: string | undefined,
  ): InvocationReport {
    const { memoryMb, timeoutMs } = this.function;
    const usage = {
      durationMs: Math.min(this.#clock.monotonicMs() - running.startedMs, timeoutMs),
      memoryMb,
      peakBytes: this.#occupied?.sandbox.peakMemoryBytes() ?? 0,
      initDurationMs: this.#initDurationMs,
      restoreDurationMs: this.#restoreDurationMs,
    };
    this.#initDurationMs = undefined;
    this.#restoreDurationMs = undefined;
    return reportOf(usage, status, errorType);
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#last?.cancelTimeout();
    for (const running of [...this.#running.values()])
      this.#finish(running, { failure: sandboxFailure(reason) });
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
