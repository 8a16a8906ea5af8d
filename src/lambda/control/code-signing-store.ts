/** Code signing configurations: what is kept of them, how they change, and which functions have one. */
import { AwsError, resourceConflict, resourceNotFound } from "../../errors.ts";
import { partitionOf } from "../../kernel/arn.ts";
import { KeyedMutex } from "../../kernel/keyed-mutex.ts";
import type { Store, StoredRecord } from "../../store/store.ts";
import type { FunctionIndex } from "./function-index.ts";
import { retryConflicts } from "./retry.ts";

/** CodeSigningConfigRecord by id. */
export const CODE_SIGNING_KIND = "lambda/code-signing-config";

export interface CodeSigningConfigRecord {
  /** `csc-` and 17 hexadecimal digits. */
  readonly id: string;
  readonly description: string;
  /** In the order that the caller gave. */
  readonly allowedProfileVersionArns: readonly string[];
  /** What becomes of code whose signature is intact and not to be trusted, or missing. */
  readonly untrusted: "Warn" | "Enforce";
  readonly tags: Readonly<Record<string, string>>;
  readonly lastModifiedMs: number;
}

export class CodeSigningStore {
  readonly #store: Store;
  readonly #index: FunctionIndex;
  readonly #arnPrefix: string;
  /** By ARN, from the change feed: authorisation asks for tags and does not wait. */
  readonly #tags = new Map<string, Readonly<Record<string, string>>>();
  /** By ARN: attaching a configuration and deleting it take turns. */
  readonly #turns = new KeyedMutex();
  #unwatch: () => void = () => {};

  constructor(options: { store: Store; index: FunctionIndex; region: string; accountId: string }) {
    const { store, index, region, accountId } = options;
    this.#store = store;
    this.#index = index;
    this.#arnPrefix = `arn:${partitionOf(region)}:lambda:${region}:${accountId}:code-signing-config:`;
  }

  async open(): Promise<void> {
    this.#unwatch = await this.#store.watch<CodeSigningConfigRecord>(CODE_SIGNING_KIND, (event) => {
      if (event.op === "put") this.#tags.set(this.arnOf(event.record.key), event.record.value.tags);
      else this.#tags.delete(this.arnOf(event.key));
    });
  }

  close(): void {
    this.#unwatch();
  }

  arnOf(id: string): string {
    return `${this.#arnPrefix}${id}`;
  }

  tagsOf(arn: string): Readonly<Record<string, string>> | undefined {
    return this.#tags.get(arn);
  }

  /** By id, ascending. */
  list(): Promise<StoredRecord<CodeSigningConfigRecord>[]> {
    return this.#store.list(CODE_SIGNING_KIND);
  }

  /** One of another account or Region is none that is here. */
  async find(arn: string): Promise<StoredRecord<CodeSigningConfigRecord> | undefined> {
    if (!arn.startsWith(this.#arnPrefix)) return undefined;
    return this.#store.get(CODE_SIGNING_KIND, arn.slice(this.#arnPrefix.length));
  }

  /** For who names the configuration as the resource of a request. Throws ResourceNotFoundException. */
  async require(arn: string): Promise<StoredRecord<CodeSigningConfigRecord>> {
    const stored = await this.find(arn);
    if (!stored) throw resourceNotFound(`The Lambda code signing configuration ${arn} can not be found.`);
    return stored;
  }

  /** For who names it as a part of a function. Throws CodeSigningConfigNotFoundException. */
  async requireForFunction(arn: string): Promise<CodeSigningConfigRecord> {
    const stored = await this.find(arn);
    if (stored) return stored.value;
    throw new AwsError(
      "CodeSigningConfigNotFoundException",
      `The code signing configuration cannot be found. Check that the provided configuration is not deleted: ${arn}.`,
      { status: 404 },
    );
  }

  async insert(record: CodeSigningConfigRecord): Promise<void> {
    await this.#store.write([
      { op: "put", kind: CODE_SIGNING_KIND, key: record.id, value: record, expect: "absent" },
    ]);
  }

  /** `decide` is called again for each race it loses, and may throw AwsError. */
  change(
    arn: string,
    decide: (before: CodeSigningConfigRecord) => CodeSigningConfigRecord,
  ): Promise<CodeSigningConfigRecord> {
    return retryConflicts(
      async () => {
        const { key, value, revision } = await this.require(arn);
        const after = decide(value);
        await this.#store.write([
          { op: "put", kind: CODE_SIGNING_KIND, key, value: after, expect: revision },
        ]);
        return after;
      },
      () => resourceConflict(`The code signing configuration ${arn} is being changed by too many requests.`),
    );
  }

  /** Throws ResourceConflictException while a function has it. */
  remove(arn: string): Promise<void> {
    return this.#turns.run(arn, async () => {
      const { key } = await this.require(arn);
      const [user] = this.functionsWith(arn);
      if (user !== undefined) {
        throw resourceConflict(
          `The code signing configuration ${arn} cannot be deleted because functions use it, ${user} among them. Remove it from them first.`,
        );
      }
      await this.#store.write([{ op: "delete", kind: CODE_SIGNING_KIND, key }]);
    });
  }

  /** Runs `attach`, which gives a function the configuration, while it cannot be deleted. Throws CodeSigningConfigNotFoundException. */
  attaching<T>(arn: string, attach: () => Promise<T>): Promise<T> {
    return this.#turns.run(arn, async () => {
      await this.requireForFunction(arn);
      return attach();
    });
  }

  /** Names of the functions that have it, ascending. */
  functionsWith(arn: string): string[] {
    return this.#index.names().filter((name) => this.#index.get(name)?.value.codeSigningConfigArn === arn);
  }
}
