/**
 * Capacity providers: what is kept of one, and how it changes. All are in memory, kept current by the change feed: functions
 * are checked against them.
 */
import { AwsError, resourceConflict, resourceNotFound } from "../../errors.ts";
import { capacityProviderArn } from "../../kernel/arn.ts";
import { CAPACITY_PROVIDERS_MAX } from "../../limits.ts";
import { RevisionConflict, type Change, type Store, type StoredRecord } from "../../store/store.ts";
import { FUNCTION_KIND, VERSION_KIND, type FunctionRecord, type VersionRecord } from "./records.ts";
import { retryConflicts } from "./retry.ts";

/** CapacityProviderRecord by name. */
export const CAPACITY_PROVIDER_KIND = "lambda/capacity-provider";

export interface CapacityProviderRecord {
  readonly name: string;
  readonly lastModifiedMs: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly architecture: "x86_64" | "arm64";
  /** Of all environments of its functions together. */
  readonly vcpusMax: number;
  /** Members that are kept and shown as they came, with AWS's defaults: nothing here depends on them. */
  readonly asGiven: Readonly<Record<string, unknown>>;
}

export type StoredCapacityProvider = StoredRecord<CapacityProviderRecord>;

export class CapacityProviders {
  readonly #store: Store;
  readonly #prefix: string;
  readonly #known = new Map<string, StoredCapacityProvider>();
  readonly #watchers = new Set<(name: string) => void>();
  #unwatch: () => void = () => {};

  constructor(options: { store: Store; region: string; accountId: string }) {
    const { store, region, accountId } = options;
    this.#store = store;
    this.#prefix = capacityProviderArn(region, accountId, "");
  }

  async open(): Promise<void> {
    this.#unwatch = await this.#store.watch<CapacityProviderRecord>(CAPACITY_PROVIDER_KIND, (event) => {
      const name = event.op === "put" ? event.record.key : event.key;
      if (event.op === "put") this.#known.set(name, event.record);
      else this.#known.delete(name);
      for (const watcher of this.#watchers) watcher(name);
    });
  }

  close(): void {
    this.#unwatch();
  }

  /** Calls back with the name of each provider that has changed. It must not throw. */
  watch(listener: (name: string) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  arnOf(name: string): string {
    return `${this.#prefix}${name}`;
  }

  /** The name in a name or an ARN. Throws ResourceNotFoundException for an ARN of another Region or account. */
  nameOf(nameOrArn: string): string {
    if (!nameOrArn.startsWith("arn:")) return nameOrArn;
    if (nameOrArn.startsWith(this.#prefix)) return nameOrArn.slice(this.#prefix.length);
    throw notFound(nameOrArn);
  }

  get(name: string): StoredCapacityProvider | undefined {
    return this.#known.get(name);
  }

  /** Throws ResourceNotFoundException. */
  require(name: string): StoredCapacityProvider {
    const found = this.#known.get(name);
    if (!found) throw notFound(this.arnOf(name));
    return found;
  }

  /** In the order of their names. */
  all(): StoredCapacityProvider[] {
    return [...this.#known.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** A change that does nothing but fail when the provider has changed since. */
  unchanged({ key, value, revision }: StoredCapacityProvider): Change {
    return { op: "put", kind: CAPACITY_PROVIDER_KIND, key, value, expect: revision };
  }

  /** Throws ResourceConflictException when there is one of that name, CapacityProviderLimitExceededException. */
  async create(record: CapacityProviderRecord): Promise<void> {
    if (!this.#known.has(record.name) && this.#known.size >= CAPACITY_PROVIDERS_MAX) {
      throw new AwsError(
        "CapacityProviderLimitExceededException",
        `No more than ${CAPACITY_PROVIDERS_MAX} capacity providers are possible.`,
      );
    }
    try {
      await this.#store.write([
        { op: "put", kind: CAPACITY_PROVIDER_KIND, key: record.name, value: record, expect: "absent" },
      ]);
    } catch (error) {
      if (error instanceof RevisionConflict)
        throw resourceConflict(`Capacity provider already exists: ${this.arnOf(record.name)}`);
      throw error;
    }
  }

  /** Changes a provider; `decide` is called again for each race it loses, and may throw AwsError. */
  change(
    name: string,
    decide: (before: CapacityProviderRecord) => CapacityProviderRecord,
  ): Promise<CapacityProviderRecord> {
    return this.#retrying(name, async ({ value, revision }) => {
      const record = decide(value);
      await this.#store.write([
        { op: "put", kind: CAPACITY_PROVIDER_KIND, key: name, value: record, expect: revision },
      ]);
      return record;
    });
  }

  /** Resolves with what was there. Throws ResourceConflictException while functions use it. */
  remove(name: string): Promise<CapacityProviderRecord> {
    return this.#retrying(name, async ({ value, revision }) => {
      // Read after the provider: a function that comes later changes its revision, and the deletion loses.
      const [functions, versions] = await Promise.all([
        this.#store.list<FunctionRecord>(FUNCTION_KIND),
        this.#store.list<VersionRecord>(VERSION_KIND),
      ]);
      const isUsed =
        functions.some((stored) => stored.value.latest.settings.managed?.provider === name) ||
        versions.some((stored) => stored.value.settings.managed?.provider === name);
      if (isUsed) {
        throw resourceConflict(
          `The capacity provider ${this.arnOf(name)} cannot be deleted: it is being used by Lambda functions.`,
        );
      }
      await this.#store.write([{ op: "delete", kind: CAPACITY_PROVIDER_KIND, key: name, expect: revision }]);
      return value;
    });
  }

  #retrying<T>(name: string, attempt: (stored: StoredCapacityProvider) => Promise<T>): Promise<T> {
    return retryConflicts(
      async () => {
        const stored = await this.#store.get<CapacityProviderRecord>(CAPACITY_PROVIDER_KIND, name);
        if (!stored) throw notFound(this.arnOf(name));
        return attempt(stored);
      },
      () =>
        resourceConflict(`The capacity provider ${this.arnOf(name)} is being changed by too many requests.`),
    );
  }
}

function notFound(arn: string): AwsError {
  return resourceNotFound(`The capacity provider could not be found: ${arn}`);
}
