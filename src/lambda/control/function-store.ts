/**
 * How records change: read from the store, decide, write back under compare-and-set, and answer only when the write is
 * durable and shows in memory. Two updates of one function are thereby ordered, and the later one sees the earlier.
 */
import { type AwsError, preconditionFailed, resourceConflict, resourceNotFound } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import type { Clock } from "../../kernel/clock.ts";
import { newUuid } from "../../kernel/ids.ts";
import { RevisionConflict, type Change, type Store } from "../../store/store.ts";
import type { FunctionIndex } from "./function-index.ts";
import { LATEST } from "./function-name.ts";
import {
  FUNCTION_KIND,
  RETIRED_KIND,
  VERSION_KIND,
  versionKey,
  type FunctionRecord,
  type RetiredRecord,
  type StoredFunction,
  type VersionRecord,
} from "./records.ts";
import { RetryLine } from "./retry.ts";

export interface Mutation {
  readonly record: FunctionRecord;
  /** Changes of other records in the same transaction. */
  readonly also?: readonly Change[];
}

export class FunctionStore {
  readonly index: FunctionIndex;
  readonly clock: Clock;
  readonly region: string;
  readonly accountId: string;
  readonly #store: Store;
  readonly #line = new RetryLine();

  constructor(options: {
    store: Store;
    index: FunctionIndex;
    clock: Clock;
    region: string;
    accountId: string;
  }) {
    this.#store = options.store;
    this.index = options.index;
    this.clock = options.clock;
    this.region = options.region;
    this.accountId = options.accountId;
  }

  /** The function as memory has it. Throws ResourceNotFoundException, naming the qualifier that was asked for. */
  require(name: string, qualifier?: string): StoredFunction {
    return this.index.get(name) ?? this.#missing(name, qualifier);
  }

  /** The version that a qualifier means: `$LATEST`, `$LATEST.PUBLISHED`, a number or an alias. Throws ResourceNotFoundException. */
  requireVersion(name: string, qualifier: string | undefined): VersionRecord {
    const { latest, aliases } = this.require(name, qualifier).value;
    if (qualifier === undefined || qualifier === LATEST) return latest;
    const target = aliases.find((alias) => alias.name === qualifier)?.functionVersion ?? qualifier;
    if (target === LATEST) return latest;
    return this.index.version(name, target)?.value ?? this.#missing(name, qualifier);
  }

  /** Makes a function; `make` is called again when it has lost a race for another record. Throws ResourceConflictException when there is one of that name. */
  async create(name: string, make: (nextVersion: number) => Mutation): Promise<FunctionRecord> {
    return this.#line.run(
      async () => {
        const retired = await this.#store.get<RetiredRecord>(RETIRED_KIND, name);
        const { record, also = [] } = make(retired?.value.nextVersion ?? 1);
        try {
          await this.#commit([
            { op: "put", kind: FUNCTION_KIND, key: name, value: record, expect: "absent" },
            ...also,
          ]);
        } catch (error) {
          if (error instanceof RevisionConflict && error.kind === FUNCTION_KIND) throw alreadyExists(name);
          throw error;
        }
        return record;
      },
      () => this.updateInProgress(name),
    );
  }

  /** Changes a function; `decide` is called again, with what is there then, for each race it loses. It may throw AwsError. */
  async change(name: string, decide: (before: FunctionRecord) => Mutation): Promise<FunctionRecord> {
    return this.#retrying(name, async (stored) => {
      const { record, also = [] } = decide(stored.value);
      await this.#commit([
        { op: "put", kind: FUNCTION_KIND, key: name, value: record, expect: stored.revision },
        ...also,
      ]);
      return record;
    });
  }

  /** Deletes a function with all its versions and aliases; its version numbers stay used up. */
  async remove(name: string): Promise<void> {
    await this.#retrying(name, async (stored) => {
      const { nextVersion, versions } = stored.value;
      const retired: RetiredRecord = { nextVersion };
      await this.#commit([
        { op: "delete", kind: FUNCTION_KIND, key: name, expect: stored.revision },
        ...versions.map((version) => deleteVersion(name, version)),
        ...(nextVersion > 1
          ? [{ op: "put", kind: RETIRED_KIND, key: name, value: retired } satisfies Change]
          : []),
      ]);
    });
  }

  /** The record with a new RevisionId for $LATEST: what is not code or settings counts as a change too. */
  touched(record: FunctionRecord, also?: readonly Change[]): Mutation {
    const latest = { ...record.latest, revisionId: newUuid() };
    return { record: { ...record, latest }, ...(also && { also }) };
  }

  /** Throws unless $LATEST may be changed now: ready, and of the revision that the caller expects. */
  checkChangeable({ name, latest }: FunctionRecord, expectedRevisionId: string | undefined): void {
    checkRevision(latest.revisionId, expectedRevisionId);
    if (latest.state.state === "Pending") {
      throw resourceConflict(
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
      );
    }
    if (latest.lastUpdate?.status === "InProgress") throw this.updateInProgress(name);
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    const revision = await this.#store.write(changes);
    await this.index.seen(changes, revision);
  }

  #retrying<T>(name: string, attempt: (stored: StoredFunction) => Promise<T>): Promise<T> {
    return this.#line.run(
      async () => {
        const stored = await this.#store.get<FunctionRecord>(FUNCTION_KIND, name);
        return stored ? attempt(stored) : this.#missing(name);
      },
      () => this.updateInProgress(name),
    );
  }

  /** The error for who comes while, or just after, another update did. */
  updateInProgress(name: string): AwsError {
    return resourceConflict(
      `The operation cannot be performed at this time. An update is in progress for resource: ${functionArn(this.region, this.accountId, name)}`,
    );
  }

  #missing(name: string, qualifier?: string): never {
    throw resourceNotFound(
      `Function not found: ${functionArn(this.region, this.accountId, name, qualifier)}`,
    );
  }
}

/** The changes that write and delete a published version. */
export function putVersion(name: string, version: VersionRecord, expect: number | "absent"): Change {
  return { op: "put", kind: VERSION_KIND, key: versionKey(name, version.version), value: version, expect };
}

export function deleteVersion(name: string, version: string): Change {
  return { op: "delete", kind: VERSION_KIND, key: versionKey(name, version) };
}

export function alreadyExists(name: string) {
  return resourceConflict(`Function already exist: ${name}`);
}

export function checkRevision(current: string, expected: string | undefined): void {
  if (expected === undefined || expected === current) return;
  throw preconditionFailed(
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
  );
}
