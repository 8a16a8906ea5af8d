/**
 * The server's end of one spawner process: starts it behind namespaces of its own, asks, and hears of its end.
 * See spawner/main.ts for the other end and spawner/protocol.ts for what is said.
 */
import type { ChildProcess } from "node:child_process";
import type { Server, Socket } from "node:net";
import type { Clock } from "../../../kernel/clock.ts";
import { deferred, type Deferred } from "../../../kernel/deferred.ts";
import { SandboxError, type SandboxExit } from "../sandbox.ts";
import { hintFor } from "./hints.ts";
import type {
  Created,
  Failure,
  HandleKind,
  SpawnerMessage,
  SpawnerRequest,
  Started,
} from "../spawner/protocol.ts";

/** A spawner that has not answered by then never will: it is killed. The slowest request, a large destroy, takes a tenth of it. */
const ANSWER_TIMEOUT_MS = 30_000;
/** The end of what the spawner wrote on stderr, told when it dies. */
const STDERR_CHARS_MAX = 4096;

export interface SpawnerListeners {
  onExit(id: string, exit: SandboxExit): void;
  /** Something that whoever looks after this machine should know. */
  onNotice(text: string): void;
  /** The process is gone, and with it every sandbox. Called once, after `start` has resolved. */
  onDeath(reason: string): void;
}

export interface SandboxHandles {
  readonly output?: Socket;
  readonly link?: Socket;
}

export interface NetworkHandles {
  readonly runtimeApi?: Server;
  readonly endpoint?: Server;
}

export class SpawnerClient {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #listeners: SpawnerListeners;
  readonly #started = deferred<Started>();
  readonly #dead = deferred();
  readonly #answers = new Map<number, { answer: Deferred<Created | undefined>; cancelTimeout: () => void }>();
  readonly #handles = new Map<string, { output?: Socket; link?: Socket }>();
  readonly #network: { runtimeApi?: Server; endpoint?: Server } = {};
  #lastRequest = 0;
  #stderr = "";
  #isDead = false;

  /** `child` was started by SpawnerProcesses just now. */
  constructor(options: { child: ChildProcess; clock: Clock; listeners: SpawnerListeners }) {
    this.#clock = options.clock;
    this.#listeners = options.listeners;
    this.#child = options.child;
    this.#watch();
  }

  /** The process started by `start`; for signals in tests. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Resolves when sandboxes can be created. Rejects with SandboxError. */
  async start(): Promise<{ started: Started; handles: NetworkHandles }> {
    if (!this.#child.connected) throw new SandboxError("spawner", "the spawner could not be started");
    const cancel = this.#clock.after(ANSWER_TIMEOUT_MS, () => this.kill());
    try {
      return { started: await this.#started.promise, handles: this.#network };
    } finally {
      cancel();
    }
  }

  /** Rejects with SandboxError: what the spawner says, or that it is dead. */
  async request(command: SpawnerRequest): Promise<Created | undefined> {
    if (!this.#child.connected) throw new SandboxError("spawner", "the spawner has ended");
    this.#lastRequest += 1;
    const request = this.#lastRequest;
    const answer = deferred<Created | undefined>();
    const cancelTimeout = this.#clock.after(ANSWER_TIMEOUT_MS, () => this.kill());
    this.#answers.set(request, { answer, cancelTimeout });
    this.#send({ request, command });
    return await answer.promise;
  }

  /** The sockets of a sandbox, once, after the reply to its `create`. */
  takeHandles(id: string): SandboxHandles {
    const handles = this.#handles.get(id) ?? {};
    this.#handles.delete(id);
    return handles;
  }

  /** Lets the spawner destroy everything and end; resolves when it has. */
  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const cancel = this.#clock.after(ANSWER_TIMEOUT_MS, () => this.kill());
    await this.#dead.promise;
    cancel();
  }

  /** A server that gave up root cannot kill it: then the channel's end must do. */
  kill(): void {
    const { pid, connected, exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    try {
      // Not ChildProcess.kill, which tells a refusal as an `error` event: the process would seem to be dead.
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EPERM" && code !== "ESRCH") throw error;
      if (connected) this.#child.disconnect();
    }
  }

  #watch(): void {
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
    this.#child.on("message", (message, handle) => this.#onMessage(message as SpawnerMessage, handle));
    this.#child.on("error", (error) => this.#onDeath(`the spawner could not be started: ${error.message}`));
    this.#child.on("exit", (code, signal) => {
      const tell = () =>
        this.#onDeath(`the spawner ended (${signal ?? `status ${code}`}) ${this.#stderr}`.trim());
      // Its last words come by another way, and may be still on it.
      if (!this.#child.stderr || this.#child.stderr.closed) tell();
      else this.#child.stderr.once("close", tell);
    });
    // Heard by `start` alone, if anybody.
    this.#started.promise.catch(() => undefined);
  }

  #send(message: object): void {
    this.#child.send(message, (error) => {
      // The channel closes with the process, whose end is told by itself.
      if (error) this.kill();
    });
  }

  #onMessage(message: SpawnerMessage, handle: unknown): void {
    switch (message.type) {
      case "started":
        return this.#started.resolve(message.started);
      case "failed":
        return this.#started.reject(failureError(message.failure));
      case "handle":
        return this.#onHandle(message, handle);
      case "reply":
        if (message.handle) this.#onHandle(message.handle, handle);
        return this.#settle(message.request)?.resolve(message.result);
      case "refusal":
        return this.#settle(message.request)?.reject(failureError(message.failure));
      case "notice":
        return this.#listeners.onNotice(message.text);
      case "exited":
        return this.#listeners.onExit(message.id, message.exit);
    }
  }

  #onHandle({ kind, id }: { kind: HandleKind; id: string }, handle: unknown): void {
    if (kind === "runtime-api") this.#network.runtimeApi = handle as Server;
    else if (kind === "endpoint") this.#network.endpoint = handle as Server;
    else this.#handles.set(id, { ...this.#handles.get(id), [kind]: handle as Socket });
  }

  #settle(request: number): Deferred<Created | undefined> | undefined {
    const waiting = this.#answers.get(request);
    this.#answers.delete(request);
    waiting?.cancelTimeout();
    return waiting?.answer;
  }

  #onDeath(reason: string): void {
    if (this.#isDead) return;
    this.#isDead = true;
    const error = failureError({ step: "spawner", message: reason });
    this.#started.reject(error);
    for (const request of this.#answers.keys()) this.#settle(request)?.reject(error);
    for (const { output, link } of this.#handles.values())
      for (const socket of [output, link]) socket?.destroy();
    this.#handles.clear();
    // Their listening sockets went with the network they were bound in; these would only keep this process alive.
    for (const server of [this.#network.runtimeApi, this.#network.endpoint]) server?.close();
    this.#dead.resolve();
    this.#listeners.onDeath(reason);
  }
}

function failureError(failure: Failure): SandboxError {
  const { step, message } = failure;
  const hint = failure.hint ?? hintFor(message);
  return new SandboxError(step, message, hint === undefined ? {} : { hint });
}
