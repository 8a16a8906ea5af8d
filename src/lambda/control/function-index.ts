/**
 * All functions in memory, kept current by the store's change feed and by nothing else: a restart, another node's
 * change and our own take the same way in. Answers the lookups of invocation without touching the store.
 */
import { AwsError, resourceConflict, resourceNotFound } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import { deferred, type Deferred } from "../../kernel/deferred.ts";
import {
  StoreClosed,
  type Change,
  type ChangeEvent,
  type Store,
  type StoredRecord,
} from "../../store/store.ts";
import type { FunctionDirectory, FunctionEvent } from "../invoke/directory.ts";
import type { FunctionVersion } from "../model.ts";
import {
  agreeOnQualifier,
  LATEST,
  LATEST_PUBLISHED,
  parseFunctionReference,
  type FunctionReference,
} from "./function-name.ts";
import { concurrencyMaxOf } from "./managed.ts";
import {
  FUNCTION_KIND,
  parseVersionKey,
  VERSION_KIND,
  type AliasRecord,
  type Build,
  type FunctionRecord,
  type FunctionState,
  type VersionRecord,
} from "./records.ts";

const DAY_MS = 24 * 60 * 60_000;
/** Parsed names that are kept; the oldest goes first. Ours. */
const PARSED_NAMES_MAX = 10_000;

export interface FunctionIndexOptions {
  readonly region: string;
  readonly accountId: string;
  /** 0 ≤ x < 1: which of a weighted alias's versions an invocation gets. */
  readonly random: () => number;
  /** Bytes that count as code storage and belong to no function: layers. */
  readonly otherCodeBytes?: () => number;
}

interface Entry {
  stored: StoredRecord<FunctionRecord> | undefined;
  latest: Target | undefined;
  readonly aliases: Map<string, AliasRecord>;
  /** By number, ascending: the feed delivers them in any order, `versionsOf` sorts. */
  readonly versions: Map<string, { stored: StoredRecord<VersionRecord>; target: Target }>;
}

/** What an invocation gets: a version to run, or why not. */
interface Target {
  readonly state: FunctionState;
  readonly version: FunctionVersion;
}

export class FunctionIndex implements FunctionDirectory {
  readonly #options: FunctionIndexOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #parsed = new Map<string, FunctionReference>();
  readonly #listeners = new Set<(event: FunctionEvent) => void>();
  readonly #watchers = new Set<(name: string) => void>();
  readonly #waiting = new Set<{ holds: () => boolean; seen: Deferred<void> }>();
  #unwatch: (() => void)[] = [];
  #onRecord: (name: string, version: VersionRecord) => void = () => {};
  #sortedNames: string[] | undefined;
  #closed = false;

  constructor(options: FunctionIndexOptions) {
    this.#options = options;
  }

  /** Takes in all that the store holds and follows it. `onRecord` is told of every $LATEST and version that is written. */
  async open(store: Store, onRecord: (name: string, version: VersionRecord) => void): Promise<void> {
    this.#onRecord = onRecord;
    // Versions first: an alias that the function's record brings then finds its version.
    this.#unwatch.push(
      await store.watch<VersionRecord>(VERSION_KIND, (event) => this.#applyVersion(event)),
      await store.watch<FunctionRecord>(FUNCTION_KIND, (event) => this.#applyFunction(event)),
    );
  }

  close(): void {
    this.#closed = true;
    for (const unwatch of this.#unwatch) unwatch();
    this.#unwatch = [];
    for (const { seen } of this.#waiting) seen.reject(new StoreClosed());
    this.#waiting.clear();
  }

  resolve(nameOrArn: string, qualifier: string | undefined): FunctionVersion {
    const reference = this.#parse(nameOrArn);
    const { region, accountId } = this.#options;
    const agreed =
      reference.accountId === undefined && reference.qualifier === undefined && reference.region === undefined
        ? qualifier
        : agreeOnQualifier(reference, qualifier, { region, accountId, action: "InvokeFunction" });
    const target = this.#target(reference.name, agreed);
    if (target === undefined) {
      if (agreed === undefined && this.#entries.get(reference.name)?.stored) throw noPublishedVersion();
      throw resourceNotFound(`Function not found: ${functionArn(region, accountId, reference.name, agreed)}`);
    }
    if (target.state.state !== "Active") throw notInvocable(target.state);
    return target.version;
  }

  subscribe(listener: (event: FunctionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back with the name of each function of which anything has changed. It must not throw. */
  watch(listener: (name: string) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** A version as invocation has it; undefined when there is none, or it cannot be invoked. */
  invocable(name: string, number: string): FunctionVersion | undefined {
    const target = this.#target(name, number);
    return target?.state.state === "Active" ? target.version : undefined;
  }

  get(name: string): StoredRecord<FunctionRecord> | undefined {
    return this.#entries.get(name)?.stored;
  }

  /** A published version by its number. */
  version(name: string, number: string): StoredRecord<VersionRecord> | undefined {
    return this.#entries.get(name)?.versions.get(number)?.stored;
  }

  /** The published versions: `$LATEST.PUBLISHED`, then the oldest first. */
  versionsOf(name: string): StoredRecord<VersionRecord>[] {
    const versions = this.#entries.get(name)?.versions.values() ?? [];
    return [...versions].map(({ stored }) => stored).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Names of all functions in ascending order. The array is shared: not to be changed. */
  names(): readonly string[] {
    this.#sortedNames ??= [...this.#entries]
      .filter(([, entry]) => entry.stored !== undefined)
      .map(([name]) => name)
      .sort();
    return this.#sortedNames;
  }

  /** Every build that can run, or can come to run. */
  *builds(): Iterable<Build> {
    for (const { stored, versions } of this.#entries.values()) {
      if (stored) yield stored.value.latest;
      if (stored?.value.serving) yield stored.value.serving;
      for (const version of versions.values()) yield version.stored.value;
    }
  }

  /** Sum of the sizes of all functions', versions' and layers' zips, as AWS counts code storage. */
  codeBytes(): number {
    let bytes = this.#options.otherCodeBytes?.() ?? 0;
    for (const { stored, versions } of this.#entries.values()) {
      bytes += stored?.value.latest.code.sizeBytes ?? 0;
      for (const version of versions.values()) bytes += version.stored.value.code.sizeBytes;
    }
    return bytes;
  }

  /**
   * Resolves when what a write did to functions and versions shows here: whoever was told of a change then also sees it.
   * Rejects with StoreClosed when the index is closed first.
   */
  async seen(changes: readonly Change[], revision: number): Promise<void> {
    const holds = (): boolean => changes.every((change) => this.#shows(change, revision));
    if (holds()) return;
    if (this.#closed) throw new StoreClosed();
    const seen = deferred();
    this.#waiting.add({ holds, seen });
    await seen.promise;
  }

  #shows(change: Change, revision: number): boolean {
    if (change.op !== "put" && change.op !== "delete") return true;
    const stored =
      change.kind === FUNCTION_KIND
        ? this.#entries.get(change.key)?.stored
        : change.kind === VERSION_KIND
          ? this.#storedVersion(change.key)
          : { revision };
    if (change.op === "delete") return stored === undefined || stored.revision >= revision;
    return stored !== undefined && stored.revision >= revision;
  }

  #storedVersion(key: string): StoredRecord<VersionRecord> | undefined {
    const { name, version } = parseVersionKey(key);
    return this.#entries.get(name)?.versions.get(version)?.stored;
  }

  #parse(nameOrArn: string): FunctionReference {
    const known = this.#parsed.get(nameOrArn);
    if (known) return known;
    const reference = parseFunctionReference(nameOrArn);
    if (this.#parsed.size >= PARSED_NAMES_MAX) {
      const oldest = this.#parsed.keys().next();
      if (!oldest.done) this.#parsed.delete(oldest.value);
    }
    this.#parsed.set(nameOrArn, reference);
    return reference;
  }

  #target(name: string, qualifier: string | undefined): Target | undefined {
    const entry = this.#entries.get(name);
    if (!entry?.stored) return undefined;
    // On Managed Instances the function without a qualifier is what was published last.
    if (qualifier === undefined && entry.stored.value.latest.settings.managed)
      return entry.versions.get(LATEST_PUBLISHED)?.target;
    if (qualifier === undefined || qualifier === LATEST) return entry.latest;
    const version = entry.versions.get(qualifier);
    if (version) return version.target;
    const alias = entry.aliases.get(qualifier);
    if (!alias) return undefined;
    const number =
      alias.routing && this.#options.random() < alias.routing.weight
        ? alias.routing.version
        : alias.functionVersion;
    return number === LATEST ? entry.latest : entry.versions.get(number)?.target;
  }

  #entry(name: string): Entry {
    const known = this.#entries.get(name);
    if (known) return known;
    const entry: Entry = { stored: undefined, latest: undefined, aliases: new Map(), versions: new Map() };
    this.#entries.set(name, entry);
    return entry;
  }

  #applyFunction(event: ChangeEvent<FunctionRecord>): void {
    const name = event.op === "put" ? event.record.key : event.key;
    const entry = this.#entry(name);
    const before = entry.latest;
    if ((entry.stored === undefined) === (event.op === "put")) this.#sortedNames = undefined;
    entry.aliases.clear();
    if (event.op === "put") {
      const { latest, serving, aliases } = event.record.value;
      entry.stored = event.record;
      for (const alias of aliases) entry.aliases.set(alias.name, alias);
      entry.latest = this.#makeTarget(name, LATEST, latest.state, serving ?? latest, before);
      this.#tellChange(before, entry.latest);
      this.#onRecord(name, latest);
    } else {
      entry.stored = undefined;
      entry.latest = undefined;
      this.#forgetIfEmpty(name, entry);
      if (before) this.#tell("deleted", before.version);
    }
    for (const watcher of this.#watchers) watcher(name);
    this.#wake();
  }

  #applyVersion(event: ChangeEvent<VersionRecord>): void {
    const { name, version } = parseVersionKey(event.op === "put" ? event.record.key : event.key);
    const entry = this.#entry(name);
    const before = entry.versions.get(version)?.target;
    if (event.op === "put") {
      const { value } = event.record;
      const target = this.#makeTarget(name, version, value.state, value, before);
      entry.versions.set(version, { stored: event.record, target });
      this.#tellChange(before, target);
      this.#onRecord(name, value);
    } else {
      entry.versions.delete(version);
      this.#forgetIfEmpty(name, entry);
      if (before) this.#tell("deleted", before.version);
    }
    for (const watcher of this.#watchers) watcher(name);
    this.#wake();
  }

  #forgetIfEmpty(name: string, entry: Entry): void {
    if (entry.stored === undefined && entry.versions.size === 0) this.#entries.delete(name);
  }

  #makeTarget(
    name: string,
    version: string,
    state: FunctionState,
    build: Build,
    before: Target | undefined,
  ): Target {
    if (before?.version.revisionId === build.buildId) return { state, version: before.version };
    const { region, accountId } = this.#options;
    return { state, version: toFunctionVersion(functionArn(region, accountId, name), name, version, build) };
  }

  #tellChange(before: Target | undefined, after: Target): void {
    const wasInvocable = before?.state.state === "Active";
    if (wasInvocable && before.version === after.version) return;
    if (after.state.state === "Active") this.#tell("changed", after.version);
  }

  #tell(kind: FunctionEvent["kind"], version: FunctionVersion): void {
    const { functionArn, revisionId } = version;
    for (const listener of this.#listeners) {
      listener({ kind, functionArn, version: version.version, revisionId });
    }
  }

  #wake(): void {
    for (const waiting of this.#waiting) {
      if (!waiting.holds()) continue;
      this.#waiting.delete(waiting);
      waiting.seen.resolve();
    }
  }
}

function noPublishedVersion(): AwsError {
  return new AwsError(
    "NoPublishedVersionException",
    "The function has no published version: publish one first.",
  );
}

function notInvocable(state: FunctionState): AwsError {
  if (state.reasonCode === "InvalidRuntime") {
    return new AwsError("InvalidRuntimeException", state.reason ?? "The runtime is not supported.", {
      status: 502,
    });
  }
  return resourceConflict(
    `The operation cannot be performed at this time. The function is currently in the following state: ${state.state}`,
  );
}

/** Text logs are not filtered by level: everything passes. */
export function toFunctionVersion(arn: string, name: string, version: string, build: Build): FunctionVersion {
  const { settings, code, buildId } = build;
  return Object.freeze({
    functionArn: arn,
    name,
    version,
    revisionId: buildId,
    runtime: settings.runtime,
    handler: settings.handler,
    role: settings.role,
    codeSha256Hex: code.sha256Hex,
    memoryMb: settings.memoryMb,
    timeoutMs: settings.timeoutS * 1000,
    ephemeralStorageMb: settings.ephemeralStorageMb,
    environment: settings.environment,
    layerSha256Hex: settings.layers.map((layer) => layer.sha256Hex),
    logging: {
      format: settings.logging.format,
      applicationLevel: settings.logging.applicationLevel ?? "TRACE",
      systemLevel: settings.logging.systemLevel ?? "INFO",
      group: settings.logging.group,
    },
    tracingMode: settings.tracingMode,
    ...(settings.managed && { concurrencyMax: concurrencyMaxOf(settings, settings.managed) }),
    ...(settings.snapStartApplyOn === "PublishedVersions" && version !== LATEST && { snapStart: true }),
    ...(settings.durable && {
      durable: {
        executionTimeoutMs: settings.durable.executionTimeoutS * 1000,
        retentionMs: settings.durable.retentionDays * DAY_MS,
      },
    }),
  });
}
