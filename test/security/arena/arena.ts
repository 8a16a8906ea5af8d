/**
 * Where hostile functions meet a real server: starts one as a process of its own, deploys functions to it with AWS's SDK,
 * and holds a bystander beside each attack, a well-behaved function that must go on answering.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext } from "node:test";
import {
  CreateFunctionCommand,
  InvokeCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import type { Wall, Walls } from "../../../src/lambda/sandbox/sandbox.ts";
import { BASH_BOOTSTRAP, NODE_AGENT, PYTHON_AGENT } from "./agents.ts";
import { familyOf, instanceOf, leftovers } from "./leaks.ts";
import type { ServerFacts } from "./server-child.ts";
import { zipOf } from "../../support/server.ts";

const CHILD = join(import.meta.dirname, "server-child.ts");
const ROLE = "arn:aws:iam::000000000000:role/lambda";
const REGION = "us-east-1";
const WAIT_S_MAX = 60;
const SERVER_WORDS_MAX = 16_384;

export interface FunctionSpec {
  readonly runtime: string;
  readonly handler?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly zip?: Uint8Array;
  readonly memoryMb?: number;
  readonly timeoutS?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly payload: unknown;
  /** `X-Amz-Function-Error`. */
  readonly functionError: string | undefined;
  /** The last 4 KB of the log. */
  readonly log: string;
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

export interface ArenaOptions {
  /** Whom the server runs as; absent: as the tests do. */
  readonly user?: User;
  readonly auth?: "sigv4" | "none";
}

/** Starts an arena before the tests of a file and takes it down after them; nothing may be left then. */
export function useArena(options: ArenaOptions & { readonly skip?: string | false } = {}): () => Arena {
  let arena: Arena | undefined;
  before(async () => {
    if (!options.skip) arena = await Arena.start(options);
  });
  after(async () => arena?.close());
  return () => {
    assert(arena, "the arena stands");
    return arena;
  };
}

export class Arena {
  readonly dataDirectory: string;
  readonly client: LambdaClient;
  readonly facts: ServerFacts;
  readonly #child: ChildProcess;
  readonly #words: { text: string };
  #deployed = 0;
  #invocations = 0;

  private constructor(options: {
    child: ChildProcess;
    words: { text: string };
    facts: ServerFacts;
    dataDirectory: string;
  }) {
    this.#child = options.child;
    this.#words = options.words;
    this.facts = options.facts;
    this.dataDirectory = options.dataDirectory;
    this.client = new LambdaClient({
      endpoint: this.facts.endpoint,
      region: REGION,
      credentials: this.facts.rootKey,
      maxAttempts: 1,
    });
  }

  static async start({ user, auth = "sigv4" }: ArenaOptions = {}): Promise<Arena> {
    const dataDirectory = mkdtempSync(join(tmpdir(), "hornero-security-"));
    if (user) chownSync(dataDirectory, user.uid, user.gid);
    const as = user
      ? ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups", "--no-new-privs"]
      : [];
    const [command, ...args] = [...as, process.execPath, CHILD, dataDirectory, auth];
    const child = spawn(command ?? "", args, { stdio: ["ignore", "ignore", "pipe", "ipc"], cwd: "/" });
    const words = { text: "" };
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      words.text = (words.text + text).slice(-SERVER_WORDS_MAX);
    });
    const ended = once(child, "exit").then(() => undefined);
    const [facts] = ((await Promise.race([once(child, "message"), ended])) ?? []) as [ServerFacts?];
    if (!facts) {
      rmSync(dataDirectory, { recursive: true });
      assert.fail(`the server did not start: ${words.text}`);
    }
    const arena = new Arena({ child, words, facts, dataDirectory });
    await arena.deploy("bystander", { runtime: "nodejs24.x", files: { "index.mjs": NODE_AGENT } });
    return arena;
  }

  get walls(): Walls {
    return this.facts.walls;
  }

  get pid(): number {
    return this.#child.pid ?? assert.fail("the server runs");
  }

  get instance(): string {
    return instanceOf(this.dataDirectory);
  }

  /** What the server wrote on stderr: warnings and errors. */
  get words(): string {
    return this.#words.text;
  }

  /** Deploys and waits until it can be invoked. */
  async deploy(name: string, spec: FunctionSpec): Promise<string> {
    const { runtime, handler = "index.handler", memoryMb = 256, timeoutS = 60, environment } = spec;
    await this.client.send(
      new CreateFunctionCommand({
        FunctionName: name,
        Role: ROLE,
        Runtime: runtime as "nodejs24.x",
        Handler: handler,
        MemorySize: memoryMb,
        Timeout: timeoutS,
        Code: { ZipFile: spec.zip ?? zipOf(spec.files ?? {}) },
        ...(environment ? { Environment: { Variables: { ...environment } } } : {}),
      }),
    );
    await waitUntilFunctionActiveV2(
      { client: this.client, maxWaitTime: WAIT_S_MAX, minDelay: 0.05, maxDelay: 0.2 },
      { FunctionName: name },
    );
    return name;
  }

  /** A function of its own whose code comes with the event; `files` are added to its package. */
  async agent(kind: "node" | "python" | "bash", spec: Partial<FunctionSpec> = {}): Promise<Agent> {
    this.#deployed += 1;
    const name = `${kind}-${this.#deployed}`;
    const { runtime, file, source } = {
      node: { runtime: "nodejs24.x", file: "index.mjs", source: NODE_AGENT },
      python: { runtime: "python3.11", file: "index.py", source: PYTHON_AGENT },
      bash: { runtime: "provided.al2023", file: "bootstrap", source: BASH_BOOTSTRAP },
    }[kind];
    await this.deploy(name, { runtime, ...spec, files: { [file]: source, ...spec.files } });
    return new Agent(
      this,
      name,
      kind === "bash" ? (code) => Buffer.from(code).toString("base64") : undefined,
    );
  }

  async invoke(name: string, event: unknown): Promise<Answer> {
    const answer = await this.client.send(
      new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(event), LogType: "Tail" }),
    );
    const text = Buffer.from(answer.Payload ?? []).toString();
    return {
      payload: parsed(text),
      functionError: answer.FunctionError,
      log: Buffer.from(answer.LogResult ?? "", "base64").toString(),
    };
  }

  /** Runs an attack while the bystander is invoked over and over: each answer must be right, and one more afterwards. */
  async during<T>(attack: () => Promise<T>): Promise<T> {
    const attacked = { running: true };
    const result = attack().finally(() => (attacked.running = false));
    const beside = async () => {
      do await this.#greetBystander();
      while (attacked.running);
      await this.#greetBystander();
    };
    await Promise.all([result, beside()]);
    return result;
  }

  /** Largest resident memory of the server's process so far, in bytes. */
  peakServerBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "latin1");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
  }

  /** Takes the server down; nothing of it may be left on this machine. */
  async close(): Promise<void> {
    const { dataDirectory, instance } = this;
    this.client.destroy();
    const family = familyOf(this.pid);
    const exited = this.#child.exitCode === null ? once(this.#child, "exit") : undefined;
    if (this.#child.connected) this.#child.disconnect();
    await exited;
    try {
      assert.equal(this.#child.exitCode, 0, `the server ended well: ${this.words}`);
      assert.deepEqual(await leftovers({ instance, dataDirectory, family }), []);
    } finally {
      rmSync(dataDirectory, { recursive: true });
    }
  }

  async #greetBystander(): Promise<void> {
    const n = (this.#invocations += 1);
    const { payload, functionError } = await this.invoke("bystander", { code: "return event.n", n });
    assert.deepEqual({ payload, functionError }, { payload: n, functionError: undefined });
  }
}

/** A deployed agent: runs the code it is sent. */
export class Agent {
  readonly name: string;
  readonly #arena: Arena;
  readonly #encode: (code: string) => string;

  constructor(arena: Arena, name: string, encode: (code: string) => string = (code) => code) {
    this.#arena = arena;
    this.name = name;
    this.#encode = encode;
  }

  /** What the code answers; fails when the function failed. */
  async run(code: string, event: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const answer = await this.invoke(code, event);
    assert.equal(answer.functionError, undefined, `${JSON.stringify(answer.payload)}\n${answer.log}`);
    return answer.payload;
  }

  /** However it ends. */
  invoke(code: string, event: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    return this.#arena.invoke(this.name, { ...event, code: this.#encode(code) });
  }
}

/** True when the server claims the wall on this machine; else the test is skipped with the server's own reason. */
export function claims(t: TestContext, wall: Wall): boolean {
  if (!wall.holds) t.skip(`not claimed: ${wall.detail}`);
  return wall.holds;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
