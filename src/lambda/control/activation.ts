/**
 * Takes functions from Pending to Active or Failed, and updates from InProgress to Successful or Failed.
 *
 * It works off what it sees in the change feed, so a function that a crash left Pending is taken up again after the
 * restart, and on several nodes the first one to write wins.
 */
import { AwsError } from "../../errors.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { newUuid } from "../../kernel/ids.ts";
import { RevisionConflict, StoreClosed } from "../../store/store.ts";
import { putVersion } from "./function-index.ts";
import type { FunctionStore } from "./function-store.ts";
import { LATEST } from "./function-name.ts";
import type { RuntimeFinder } from "./ports.ts";
import type { FunctionRecord, FunctionState, UpdateState, VersionRecord } from "./records.ts";

/** Functions that are looked at side by side. Ours. */
const PARALLEL_MAX = 8;

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
  readonly #hostArchitecture: string;
  readonly #onFault: (fault: Error) => void;
  #functions: FunctionStore | undefined;
  /** What is waiting or under way, by name, version and build: each build is decided once. Bounded by the functions there are. */
  readonly #known = new Set<string>();
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  constructor(options: {
    runtimes: RuntimeFinder;
    hostArchitecture: string;
    onFault: (fault: Error) => void;
  }) {
    this.#runtimes = options.runtimes;
    this.#hostArchitecture = options.hostArchitecture;
    this.#onFault = options.onFault;
  }

  start(functions: FunctionStore): void {
    this.#functions = functions;
    this.#fill();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting.length = 0;
    await Promise.all(this.#running);
  }

  /** To be called for every version record that is written: takes up those that wait for a verdict. */
  notice(name: string, version: VersionRecord): void {
    if (!isUnsettled(version)) return;
    const key = `${name}:${version.version}:${version.buildId}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#waiting.push(async () => {
      try {
        await this.#settle(name, version);
      } finally {
        this.#known.delete(key);
      }
    });
    this.#fill();
  }

  #fill(): void {
    while (this.#functions && !this.#closed && this.#running.size < PARALLEL_MAX) {
      const task = this.#waiting.shift();
      if (!task) return;
      const run = task()
        .catch((error: unknown) => this.#report(error))
        .finally(() => {
          this.#running.delete(run);
          this.#fill();
        });
      this.#running.add(run);
    }
  }

  /** A function deleted or changed meanwhile is somebody else's by now; a closed store is taken up after the restart. */
  #report(error: unknown): void {
    const gone = error instanceof AwsError && error.code === "ResourceNotFoundException";
    if (gone || error instanceof StoreClosed || error instanceof RevisionConflict) return;
    this.#onFault(coerceError(error));
  }

  async #settle(name: string, version: VersionRecord): Promise<void> {
    const verdict = await this.#judge(version);
    const functions = this.#functions;
    if (!functions || this.#closed) return;
    if (version.version === LATEST) {
      const settled = (record: FunctionRecord) =>
        record.latest.buildId === version.buildId && isUnsettled(record.latest)
          ? settleLatest(record, verdict)
          : record;
      // Other changes of the function may win the race: the verdict holds for the build, whatever else changed.
      await functions.change(name, (record) => ({ record: settled(record) }));
      return;
    }
    await functions.change(name, (record) => {
      const stored = functions.index.versionsOf(name).find(({ value }) => value.version === version.version);
      if (!stored || !isUnsettled(stored.value)) return { record };
      const settled = { ...stored.value, state: verdict, revisionId: newUuid() };
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
      state: keepsServing ? latest.state : verdict,
      revisionId: newUuid(),
      ...(lastUpdate && { lastUpdate }),
    },
  };
}

function verdictOf({ reason, reasonCode }: FunctionState): Pick<UpdateState, "reason" | "reasonCode"> {
  return { ...(reason !== undefined && { reason }), ...(reasonCode && { reasonCode }) };
}
