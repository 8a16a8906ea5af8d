/**
 * Takes functions from Pending to Active or Failed, and updates from InProgress to Successful or Failed.
 *
 * It works off what it sees in the change feed, so a function that a crash left Pending is taken up again after the
 * restart, and on several nodes the first one to write wins.
 */
import { AwsError } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { newUuid } from "../../kernel/ids.ts";
import { StoreClosed } from "../../store/store.ts";
import { toFunctionVersion } from "./function-index.ts";
import { putVersion, type FunctionStore } from "./function-store.ts";
import { LATEST } from "./function-name.ts";
import type { CodePreparer, RuntimeFinder } from "./ports.ts";
import type { FunctionRecord, FunctionState, UpdateState, VersionRecord } from "./records.ts";

/** Functions that are looked at side by side. Ours. */
const PARALLEL_MAX = 8;
/** Until a verdict that the store did not take is tried again. Ours. */
const RETRY_MS = 10_000;

export const PENDING: FunctionState = {
  state: "Pending",
  reason: "The function is being created.",
  reasonCode: "Creating",
};

export const UPDATING: UpdateState = {
  status: "InProgress",
  reason: "The function is being created.",
  reasonCode: "Creating",
};

export class Activation {
  readonly #runtimes: RuntimeFinder;
  readonly #preparer: CodePreparer;
  readonly #clock: Clock;
  readonly #hostArchitecture: string;
  readonly #onFault: (fault: Error) => void;
  #functions: FunctionStore | undefined;
  /** What is waiting or under way, by name, version and build: each build is decided once. Bounded by the functions there are. */
  readonly #known = new Set<string>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;
  readonly #writing = new Set<Promise<void>>();
  #closed = false;

  constructor(options: {
    runtimes: RuntimeFinder;
    preparer: CodePreparer;
    clock: Clock;
    hostArchitecture: string;
    onFault: (fault: Error) => void;
  }) {
    this.#runtimes = options.runtimes;
    this.#preparer = options.preparer;
    this.#clock = options.clock;
    this.#hostArchitecture = options.hostArchitecture;
    this.#onFault = options.onFault;
  }

  start(functions: FunctionStore): void {
    this.#functions = functions;
    this.#fill();
  }

  /** A look-up may take minutes, when an interpreter must be fetched: closing waits for what is being written alone. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting.length = 0;
    await Promise.allSettled(this.#writing);
  }

  /** To be called for every version record that is written: takes up those that wait for a verdict. */
  notice(name: string, version: VersionRecord): void {
    if (this.#closed || !isUnsettled(version)) return;
    const key = `${name}:${version.version}:${version.buildId}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#waiting.push(async () => {
      try {
        await this.#settle(name, version);
      } catch (error) {
        if (this.#report(error)) this.#clock.after(RETRY_MS, () => this.notice(name, version));
      } finally {
        this.#known.delete(key);
      }
    });
    this.#fill();
  }

  #fill(): void {
    while (this.#functions && !this.#closed && this.#running < PARALLEL_MAX) {
      const task = this.#waiting.shift();
      if (!task) return;
      this.#running += 1;
      void task().finally(() => {
        this.#running -= 1;
        this.#fill();
      });
    }
  }

  /** Whether it is a fault. A function that was deleted needs no verdict; with a closed store the next start gives it. */
  #report(error: unknown): boolean {
    const deleted = error instanceof AwsError && error.code === "ResourceNotFoundException";
    if (deleted || error instanceof StoreClosed) return false;
    this.#onFault(coerceError(error));
    return true;
  }

  async #settle(name: string, version: VersionRecord): Promise<void> {
    const verdict = await this.#judge(version);
    let snapshot = false;
    if (verdict.state === "Active" && this.#functions) {
      const { region, accountId } = this.#functions;
      const target = toFunctionVersion(functionArn(region, accountId, name), name, version.version, version);
      ({ snapshot } = await this.#preparer.prepare(target, version.code.sizeBytes));
    }
    if (!this.#functions || this.#closed) return;
    const written = this.#write(this.#functions, name, version, { verdict, snapshot });
    this.#writing.add(written);
    try {
      await written;
    } finally {
      this.#writing.delete(written);
    }
  }

  /** The verdict is of a build: it holds whatever else of the function changed meanwhile, and is dropped with the build. */
  async #write(
    functions: FunctionStore,
    name: string,
    version: VersionRecord,
    { verdict, snapshot }: { verdict: FunctionState; snapshot: boolean },
  ): Promise<void> {
    await functions.change(name, (record) => {
      if (version.version === LATEST) {
        const waits = record.latest.buildId === version.buildId && isUnsettled(record.latest);
        return { record: waits ? settleLatest(record, verdict) : record };
      }
      const stored = functions.index.version(name, version.version);
      if (!stored || !isUnsettled(stored.value)) return { record };
      const settled = {
        ...stored.value,
        state: verdict,
        revisionId: newUuid(),
        ...(snapshot && { snapshot }),
      };
      return { record, also: [putVersion(name, settled, stored.revision)] };
    });
  }

  async #judge({ settings }: VersionRecord): Promise<FunctionState> {
    try {
      const found = await this.#runtimes.find(settings.runtime);
      if (!found.available) {
        return {
          state: "Failed",
          reason: `${found.reason} ${found.fix}`.trimEnd(),
          reasonCode: "InvalidRuntime",
        };
      }
    } catch (error) {
      this.#onFault(coerceError(error));
      return { state: "Failed", reason: "The runtime could not be looked up.", reasonCode: "InternalError" };
    }
    if (settings.architecture === this.#hostArchitecture) return { state: "Active" };
    return {
      state: "Active",
      reason: `The function asks for ${settings.architecture}; this host runs it on ${this.#hostArchitecture}.`,
    };
  }
}

function isUnsettled(version: VersionRecord): boolean {
  return version.state.state === "Pending" || version.lastUpdate?.status === "InProgress";
}

/** A failed creation fails the function; a failed update leaves it running what it ran before. */
function settleLatest(record: FunctionRecord, verdict: FunctionState): FunctionRecord {
  const { serving, ...rest } = record;
  const keepsServing = verdict.state === "Failed" && serving !== undefined;
  const { lastUpdate: updating, ...latest } = record.latest;
  const lastUpdate: UpdateState | undefined =
    verdict.state === "Active"
      ? { status: "Successful" }
      : updating && { ...verdictOf(verdict), status: "Failed" };
  return {
    ...(keepsServing ? record : rest),
    latest: {
      ...latest,
      state: keepsServing ? latest.state : stateOfLatest(latest, verdict),
      revisionId: newUuid(),
      ...(lastUpdate && { lastUpdate }),
    },
  };
}

/** On Managed Instances only what is published can be invoked. */
function stateOfLatest({ settings }: Pick<VersionRecord, "settings">, verdict: FunctionState): FunctionState {
  return settings.managed && verdict.state === "Active"
    ? { ...verdict, state: "ActiveNonInvocable" }
    : verdict;
}

function verdictOf({ reason, reasonCode }: FunctionState): Pick<UpdateState, "reason" | "reasonCode"> {
  return { ...(reason !== undefined && { reason }), ...(reasonCode && { reasonCode }) };
}
