/** A runner whose callers' answers are polled for: a runtime that answers within microseconds is not waited for asleep. */
import { PollWindow, type BusyPoll } from "../../kernel/busy-poll.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { InvocationOrigin } from "../placement/placement.ts";
import type { Runner } from "./run.ts";

export class PollingRunner implements Runner {
  readonly #runner: Runner;
  readonly #poll: BusyPoll;
  /** How long each function takes: a slow one must not decide for a fast one. */
  readonly #windows = new WeakMap<FunctionVersion, PollWindow>();

  constructor(runner: Runner, poll: BusyPoll) {
    this.#runner = runner;
    this.#poll = poll;
  }

  run(
    version: FunctionVersion,
    invocation: Invocation,
    origin?: InvocationOrigin,
  ): Promise<InvocationOutcome> {
    const wait = this.#poll.begin(origin === "queue" ? undefined : this.#windowOf(version));
    const end = () => this.#poll.end(wait);
    const outcome = this.#runner.run(version, invocation, origin);
    outcome.then(end, end);
    return outcome;
  }

  #windowOf(version: FunctionVersion): PollWindow {
    let window = this.#windows.get(version);
    if (!window) {
      window = new PollWindow(this.#poll.maxMs);
      this.#windows.set(version, window);
    }
    return window;
  }
}
