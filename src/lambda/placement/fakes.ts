/** Test doubles for placement: a sandbox driver without walls, whose sandboxes run a scripted runtime. Used by tests only. */
import { assert } from "../../kernel/assert.ts";
import type { Clock } from "../../kernel/clock.ts";
import { silentLogger, type Logger } from "../../telemetry/logger.ts";
import { FakeSandbox, fakeVersion, MemoryLogSink, type Frame } from "../environment/fakes.ts";
import { FRAME } from "../environment/link.ts";
import { RuntimeApi } from "../environment/runtime-api.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import type { RuntimeFound } from "../runtimes/catalogue.ts";
import {
  SandboxError,
  type SandboxDriver,
  type SandboxSpec,
  type Specialisation,
} from "../sandbox/sandbox.ts";
import { KeepAlive, type KeepAliveOptions } from "./keep-alive.ts";
import { Occupier, type OccupierOptions } from "./occupier.ts";
import { Placement, type PlacementOptions } from "./placement.ts";
import { WarmPool, type WarmPoolOptions } from "./warm-pool.ts";

/** What a scripted runtime does. Each step may be replaced at any time; the default answers at once. */
export interface Script {
  /** The process runs. Default: BOOTED. */
  onStart: (sandbox: ScriptedSandbox) => void;
  /** SPECIALISE has come. Default: READY. */
  onSpecialise: (sandbox: ScriptedSandbox) => void;
  /** INVOKE has come; `sandbox.running` is its request id. Default: answers `"done"`. */
  onInvoke: (sandbox: ScriptedSandbox) => void;
}

export class ScriptedSandbox extends FakeSandbox {
  readonly spec: SandboxSpec;
  readonly #driver: FakeDriver;
  /** The request id that has not been answered. */
  running: string | undefined;
  /** The code that it was given. */
  codeTask: string | undefined;
  frozen = false;
  dead = false;

  constructor(driver: FakeDriver, spec: SandboxSpec) {
    super(spec.id);
    this.#driver = driver;
    this.spec = spec;
    this.onFrame = (frame) => this.#take(frame);
  }

  #take({ type, body }: Frame): void {
    assert(!this.frozen, "nothing inside runs while it is frozen");
    if (type === FRAME.SPECIALISE) return this.#driver.script.onSpecialise(this);
    if (type !== FRAME.INVOKE) return;
    assert(this.running === undefined, "one invocation at a time");
    const head = JSON.parse(body.toString("utf8", 4, 4 + body.readUInt32LE(0))) as { requestId: string };
    this.running = head.requestId;
    this.#driver.script.onInvoke(this);
  }

  /** Answers the running invocation; harmless without one. */
  answer(text = '"done"'): void {
    const { running } = this;
    if (running === undefined || this.dead) return;
    this.running = undefined;
    this.send(FRAME.RESPONSE, Buffer.from(running), Buffer.from(text));
  }

  override exit(exit: Parameters<FakeSandbox["exit"]>[0]): void {
    if (this.dead) return;
    this.dead = true;
    super.exit(exit);
  }

  override async specialise(specialisation: Specialisation): Promise<void> {
    await this.#request();
    this.codeTask = specialisation.code.task;
    await super.specialise(specialisation);
  }

  override async limitCpu(): Promise<void> {
    await this.#request();
  }

  override async freeze(): Promise<void> {
    await this.#request();
    this.frozen = true;
  }

  override async thaw(): Promise<void> {
    await this.#request();
    this.frozen = false;
  }

  override async destroy(reason: string): Promise<void> {
    this.#driver.alive.delete(this);
    this.frozen = false;
    await super.destroy(reason);
  }

  /** Like a request to a spawner: takes a turn, and fails when the spawner or the sandbox is dead. */
  async #request(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    if (this.dead) throw new SandboxError("spawner", `there is no sandbox ${this.id}`);
  }
}

export class FakeDriver implements SandboxDriver {
  readonly name = "process";
  readonly walls = {} as SandboxDriver["walls"];
  readonly script: Script = {
    onStart: (sandbox) => sandbox.send(FRAME.BOOTED, Buffer.from("{}")),
    onSpecialise: (sandbox) => sandbox.send(FRAME.READY),
    onInvoke: (sandbox) => sandbox.answer(),
  };
  /** Every sandbox ever made, and those that have not been destroyed. */
  readonly created: ScriptedSandbox[] = [];
  readonly alive = new Set<ScriptedSandbox>();
  /** With it, no sandbox can be made: the spawner is dead. */
  broken = false;
  /** With it, sandboxes are made only when it resolves. */
  gate: Promise<void> | undefined;

  async start() {
    return { kind: "loopback" as const };
  }

  async create(spec: SandboxSpec): Promise<ScriptedSandbox> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    await this.gate;
    if (this.broken) throw new SandboxError("spawner", "the spawner has ended");
    const sandbox = new ScriptedSandbox(this, spec);
    this.created.push(sandbox);
    this.alive.add(sandbox);
    this.script.onStart(sandbox);
    return sandbox;
  }

  /** The spawner dies: everything inside sandboxes with it. */
  die(): void {
    for (const sandbox of this.alive) sandbox.exit({ signal: "SIGKILL" });
  }

  async close(): Promise<void> {
    for (const sandbox of this.alive) await sandbox.destroy("the driver closes");
  }
}

export const LINK_RUNTIME: RuntimeFound = {
  available: true,
  root: { key: "nodejs24.x" },
  command: () => ["/var/lang/bin/node"],
  version: "24.0.0",
  environment: {},
  link: true,
};

export interface World {
  readonly driver: FakeDriver;
  readonly pool: WarmPool;
  readonly placement: Placement;
  readonly sink: MemoryLogSink;
}

/** Placement and all that is below it, over a fake driver. */
export function buildWorld(
  clock: Clock,
  options: {
    pool?: Partial<WarmPoolOptions>;
    keepAlive?: Partial<KeepAliveOptions>;
    occupier?: Partial<OccupierOptions>;
    placement?: Partial<PlacementOptions>;
    logger?: Logger;
  } = {},
): World {
  const driver = new FakeDriver();
  const { logger = silentLogger } = options;
  const sink = new MemoryLogSink();
  let lastId = 0;
  const nextId = () => `s-${(lastId += 1)}`;
  const pool = new WarmPool({
    driver,
    clock,
    logger,
    nextId,
    sizePerKind: 0,
    sizeTotalMax: 20,
    ...options.pool,
  });
  const occupier = new Occupier({
    driver,
    pool,
    network: { kind: "loopback" },
    runtimeApi: new RuntimeApi(),
    runtimes: { find: async () => LINK_RUNTIME },
    codeFolder: async (sha256Hex) => `/code/${sha256Hex}`,
    credentials: () => ({ accessKeyId: "ASIA", secretAccessKey: "s", sessionToken: "t" }),
    region: "us-east-1",
    nextId,
    ...options.occupier,
  });
  const keepAlive = new KeepAlive({
    clock,
    keepAliveMs: 60_000,
    ageMsMax: 3_600_000,
    availableMemoryBytes: () => undefined,
    reserveBytes: 0,
    ...options.keepAlive,
  });
  const placement = new Placement({
    clock,
    logger,
    sink,
    occupier,
    pool,
    region: "us-east-1",
    accountConcurrency: 10,
    keepAlive,
    ...options.placement,
  });
  return { driver, pool, placement, sink };
}

export function fakeInvocation(number = 1): Invocation {
  return {
    requestId: `8476a536-e9f4-11e8-9739-${String(number).padStart(12, "0")}`,
    payload: Buffer.from("{}"),
    invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
    traceHeader: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
  };
}

/** The same function at its n-th revision; the code's folder tells which. */
export function revision(number: number, overrides: Partial<FunctionVersion> = {}): FunctionVersion {
  const digits = String(number).padStart(12, "0");
  return fakeVersion({
    revisionId: `11111111-1111-4111-8111-${digits}`,
    codeSha256Hex: `code-${number}`,
    ...overrides,
  });
}

/** Until `condition` holds: each look is one turn of the event loop. Fails after very many. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let turns = 0; !condition(); turns += 1) {
    assert(turns < 10_000, `waited in vain: ${what}`);
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}
