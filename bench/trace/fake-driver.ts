/**
 * Sandboxes of a replay: no walls and no processes, but boots, inits and answers take their (virtual) time, over the real
 * link. They tell what they cost: the time during which they waited for an invocation.
 */
import { EventEmitter } from "node:events";
import { PassThrough, type Duplex } from "node:stream";
import { deferred } from "../../src/kernel/deferred.ts";
import { FRAME } from "../../src/lambda/environment/link.ts";
import type {
  Sandbox,
  SandboxDriver,
  SandboxExit,
  SandboxSpec,
  Specialisation,
} from "../../src/lambda/sandbox/sandbox.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface ReplayTimes {
  /** A generic runtime's start. */
  readonly bootMs: number;
  /** Loading a handler. */
  readonly initMs: number;
}

/** What a run has cost. */
export interface ReplayCosts {
  /** Of environments that were ready and idle, in MB times milliseconds. */
  idleMbMs: number;
  /** Environments that were started. */
  started: number;
}

/** Told when an invocation has reached its environment; answers how long it runs. */
type OnInvoke = (requestId: string) => number;

export class ReplayDriver implements SandboxDriver {
  readonly name = "process";
  readonly walls = {} as SandboxDriver["walls"];
  readonly costs: ReplayCosts = { idleMbMs: 0, started: 0 };
  readonly alive = new Set<ReplaySandbox>();
  readonly clock: VirtualClock;
  readonly times: ReplayTimes;
  readonly onInvoke: OnInvoke;
  #hadFirstAnswer = false;

  constructor(clock: VirtualClock, times: ReplayTimes, onInvoke: OnInvoke) {
    this.clock = clock;
    this.times = times;
    this.onInvoke = onInvoke;
  }

  /** Whether an environment has given its first answer since the last time that was asked: its output is looked into then. */
  takeFirstAnswer(): boolean {
    const had = this.#hadFirstAnswer;
    this.#hadFirstAnswer = false;
    return had;
  }

  firstAnswer(): void {
    this.#hadFirstAnswer = true;
  }

  async start() {
    return { kind: "loopback" as const };
  }

  async create(spec: SandboxSpec): Promise<ReplaySandbox> {
    const sandbox = new ReplaySandbox(this, spec.id);
    this.alive.add(sandbox);
    return sandbox;
  }

  async close(): Promise<void> {
    for (const sandbox of this.alive) await sandbox.destroy();
  }
}

class ReplaySandbox implements Sandbox {
  readonly id: string;
  readonly link: Duplex;
  readonly output = new PassThrough();
  readonly address = undefined;
  readonly #driver: ReplayDriver;
  readonly #link = new EventEmitter();
  readonly #exited = deferred<SandboxExit>();
  #memoryMb = 0;
  /** Since when it has been ready and idle. */
  #idleSinceMs: number | undefined;
  #answered = false;
  #dead = false;

  constructor(driver: ReplayDriver, id: string) {
    this.#driver = driver;
    this.id = id;
    this.link = Object.assign(this.#link, {
      write: (frame: Buffer) => this.#take(frame),
      cork: () => undefined,
      uncork: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
      destroy: () => undefined,
    }) as unknown as Duplex;
    this.#later(driver.times.bootMs, () => this.#send(FRAME.BOOTED));
  }

  get exited(): Promise<SandboxExit> {
    return this.#exited.promise;
  }

  async specialise({ memoryMb }: Specialisation): Promise<void> {
    this.#memoryMb = memoryMb;
    this.#driver.costs.started += 1;
  }

  async limitCpu(): Promise<void> {}
  async signal(): Promise<void> {}
  async freeze(): Promise<void> {}
  async thaw(): Promise<void> {}

  peakMemoryBytes(): undefined {
    return undefined;
  }

  async destroy(): Promise<void> {
    if (this.#dead) return;
    this.stopCounting();
    this.#dead = true;
    this.#driver.alive.delete(this);
    this.#exited.resolve({ code: undefined, signal: "SIGKILL", outOfMemory: false });
  }

  /** Adds what it has cost so far. */
  stopCounting(): void {
    if (this.#idleSinceMs === undefined) return;
    this.#driver.costs.idleMbMs += this.#memoryMb * (this.#driver.clock.monotonicMs() - this.#idleSinceMs);
    this.#idleSinceMs = undefined;
  }

  /** The link's frames come whole, one in each write, because they are small. */
  #take(frame: Buffer): boolean {
    const type = frame[4];
    if (type === FRAME.SPECIALISE) this.#later(this.#driver.times.initMs, () => this.#idle(FRAME.READY));
    if (type !== FRAME.INVOKE) return true;
    this.stopCounting();
    const head = JSON.parse(frame.toString("utf8", 9, 9 + frame.readUInt32LE(5))) as { requestId: string };
    const { requestId } = head;
    this.#later(this.#driver.onInvoke(requestId), () => {
      if (!this.#answered) this.#driver.firstAnswer();
      this.#answered = true;
      this.#idle(FRAME.RESPONSE, requestId);
    });
    return true;
  }

  #idle(type: number, text = ""): void {
    this.#idleSinceMs = this.#driver.clock.monotonicMs();
    this.#send(type, text);
  }

  #send(type: number, text = ""): void {
    const frame = Buffer.alloc(5 + text.length);
    frame.writeUInt32LE(1 + text.length, 0);
    frame[4] = type;
    frame.write(text, 5, "latin1");
    this.#link.emit("data", frame);
  }

  #later(delayMs: number, callback: () => void): void {
    this.#driver.clock.after(delayMs, () => {
      if (!this.#dead) callback();
    });
  }
}
