/**
 * The zygotes of one spawner: one for each runtime that is in use, renewed now and then.
 *
 * All children of a zygote share its memory layout and the seed of its hashes. So a zygote forks a bounded number of
 * times and for a bounded time; then a new one takes its place, and the old one ends with its last child.
 */
import { statSync } from "node:fs";
import { coerceError } from "../../../../kernel/deferred.ts";
import type { Clock } from "../../../../kernel/clock.ts";
import type { CreateRequest } from "../protocol.ts";
import type { RuntimeRoots } from "../roots.ts";
import { Zygote, type ZygoteSpec } from "./zygote.ts";

/** Forks after which a zygote is renewed. Ours: few enough that a layout found out is worth little. */
const FORKS_MAX = 256;
/** Time after which a zygote that is asked to fork is renewed. */
const AGE_MS_MAX = 10 * 60_000;
/** One that has not said that it is ready by then never will. */
const READY_TIMEOUT_MS = 10_000;
/** Ends and failed starts of a runtime's zygotes in a row after which its sandboxes boot on their own for good. */
const FAILURES_MAX = 3;
/** Runtimes with a zygote at one time. Ours: every Python there is, twice. */
const LINES_MAX = 16;
/** A program of a root that nobody but its owner may write, and the runtime's own first file: nothing else is forked. */
const COMMAND = /^\/(var\/lang|usr)\/bin\/python3\.\d+ -S \/var\/runtime\/bootstrap\.py$/;
const WRITABLE_BY_ALL = 0o002;
const WRITABLE_BY_GROUP = 0o020;

export interface ZygotesOptions {
  readonly roots: RuntimeRoots;
  readonly seccompPath: string;
  readonly accounts: ZygoteSpec["accounts"];
  readonly clock: Clock;
  /** Told once for each runtime whose sandboxes will boot on their own, and why. */
  readonly onGivenUp: (root: string, reason: string) => void;
}

/** The succession of one runtime's zygotes. */
interface Line {
  readonly key: string;
  readonly root: string;
  readonly spec: ZygoteSpec;
  current: Zygote | undefined;
  next: Promise<void> | undefined;
  forks: number;
  bornMs: number;
  failures: number;
  givenUp: boolean;
}

export class Zygotes {
  readonly #options: ZygotesOptions;
  readonly #lines = new Map<string, Line>();
  readonly #all = new Set<Zygote>();
  #closing = false;

  constructor(options: ZygotesOptions) {
    this.#options = options;
  }

  /** One that can fork what `request` asks for, started on first use; undefined: it is to boot on its own. Never rejects. */
  async take(request: CreateRequest): Promise<Zygote | undefined> {
    if (!request.zygote || !request.link || this.#closing) return undefined;
    const line = this.#line(request);
    if (!line || line.givenUp) return undefined;
    const nowMs = this.#options.clock.monotonicMs();
    if (!line.current?.isAlive) await (line.next ??= this.#renew(line));
    else if (line.forks >= FORKS_MAX || nowMs - line.bornMs > AGE_MS_MAX) line.next ??= this.#renew(line);
    if (!line.current?.isAlive) return undefined;
    line.forks += 1;
    return line.current;
  }

  /** A child of it could not build its walls: what fails once fails again. */
  distrust(request: CreateRequest, error: unknown): void {
    const line = this.#lines.get(keyOf(request));
    if (line) this.#giveUp(line, coerceError(error).message);
  }

  /** Ends them all; their children must be gone. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const { next } of this.#lines.values()) await next;
    for (const zygote of this.#all) zygote.kill();
    await Promise.all([...this.#all].map((zygote) => zygote.gone));
  }

  #line(request: CreateRequest): Line | undefined {
    const key = keyOf(request);
    const known = this.#lines.get(key);
    if (known) return known;
    if (this.#lines.size >= LINES_MAX) return undefined;
    const { roots, seccompPath, accounts } = this.#options;
    const line: Line = {
      key,
      root: request.root.key,
      spec: {
        rootPath: roots.path(request.root),
        command: request.command,
        environment: request.environment,
        seccompPath,
        accounts,
      },
      current: undefined,
      next: undefined,
      forks: 0,
      bornMs: 0,
      failures: 0,
      givenUp: false,
    };
    this.#lines.set(key, line);
    const objection = untrusted(line.spec);
    if (objection !== undefined) this.#giveUp(line, objection);
    return line;
  }

  /** Resolves when the line has a new zygote, or has failed to get one. */
  async #renew(line: Line): Promise<void> {
    try {
      const zygote = await this.#start(line);
      // The one before has lived to be replaced.
      if (line.current?.isAlive) line.failures = 0;
      line.current?.retire();
      line.current = zygote;
      line.forks = 0;
      line.bornMs = this.#options.clock.monotonicMs();
    } catch (error) {
      this.#fail(line, coerceError(error).message);
    } finally {
      line.next = undefined;
    }
  }

  async #start(line: Line): Promise<Zygote> {
    const zygote = new Zygote(line.spec);
    this.#all.add(zygote);
    void zygote.gone.then(() => {
      this.#all.delete(zygote);
      if (line.current !== zygote) return;
      line.current = undefined;
      this.#fail(line, "it ended by itself");
    });
    const cancel = this.#options.clock.after(READY_TIMEOUT_MS, () => zygote.kill());
    try {
      await zygote.ready;
      return zygote;
    } finally {
      cancel();
    }
  }

  #fail(line: Line, reason: string): void {
    if (this.#closing) return;
    line.failures += 1;
    if (line.failures >= FAILURES_MAX) this.#giveUp(line, reason);
  }

  #giveUp(line: Line, reason: string): void {
    if (line.givenUp) return;
    line.givenUp = true;
    line.current?.retire();
    line.current = undefined;
    this.#options.onGivenUp(line.root, reason);
  }
}

/** What makes a fresh interpreter what it is. */
function keyOf({ root, command, environment }: CreateRequest): string {
  return JSON.stringify([root.key, command, environment]);
}

/**
 * A zygote builds the walls of its children, so it must be one that we trust: the server, which may have been taken over,
 * chooses among programs that it cannot write, those of root and of who owns this very file. Without accounts of their own
 * the server is the same user as this process, and there is nothing to be gained.
 */
function untrusted({ command, rootPath, accounts }: ZygoteSpec): string | undefined {
  if (!COMMAND.test(command.join(" "))) return `no runtime of ours: ${command.join(" ")}`;
  if (!accounts) return undefined;
  const own = statSync(import.meta.filename);
  for (const file of [command[0] ?? "", "/var/lang", "/var/runtime", "/var/runtime/bootstrap.py"]) {
    const { uid, gid, mode } = statSync(rootPath + file);
    const byGroup = (mode & WRITABLE_BY_GROUP) !== 0 && gid !== 0 && gid !== own.gid;
    if ((uid !== 0 && uid !== own.uid) || byGroup || (mode & WRITABLE_BY_ALL) !== 0) {
      return `others than root may write ${file}`;
    }
  }
  return undefined;
}
