/**
 * Layers: what is kept of them, and how it changes. Requests read the store itself; memory, kept by the change feed, only
 * holds what is asked without waiting: which blobs are in use, how many bytes they count, and who may use a version.
 */
import { AwsError, resourceNotFound } from "../../errors.ts";
import { partitionOf } from "../../kernel/arn.ts";
import type { Change, Store, StoredRecord } from "../../store/store.ts";
import type { LayerResolver } from "./ports.ts";
import type { CodeReference, LayerReference } from "./records.ts";
import { retryConflicts } from "./retry.ts";

/** LayerRecord by the layer's name; stays when all its versions are deleted: AWS never gives a number twice. */
export const LAYER_KIND = "lambda/layer";
/** LayerVersionRecord by `layerVersionKey`. */
export const LAYER_VERSION_KIND = "lambda/layer-version";

export interface LayerRecord {
  readonly nextVersion: number;
}

export interface LayerVersionRecord {
  readonly layer: string;
  readonly version: number;
  readonly createdMs: number;
  readonly description: string;
  readonly code: CodeReference;
  /** In the order that the publisher gave. */
  readonly compatibleRuntimes: readonly string[];
  readonly compatibleArchitectures: readonly string[];
  readonly licenseInfo?: string;
  /** Who else may use it. */
  readonly policy?: LayerPolicy;
}

export interface LayerPolicy {
  readonly revisionId: string;
  readonly statements: readonly LayerStatement[];
}

/** As AWS renders it. */
export interface LayerStatement {
  readonly Sid: string;
  readonly Effect: "Allow";
  readonly Principal: "*" | { readonly AWS: string };
  readonly Action: string;
  readonly Resource: string;
  readonly Condition?: { readonly StringEquals: { readonly "aws:PrincipalOrgID": string } };
}

export type StoredLayerVersion = StoredRecord<LayerVersionRecord>;

const VERSION_DIGITS = 16;

export class LayerStore implements LayerResolver {
  readonly region: string;
  readonly accountId: string;
  readonly #store: Store;
  readonly #code = new Map<string, CodeReference>();
  /** Policies by the ARN of their version. */
  readonly #policies = new Map<string, string>();
  #unwatch: () => void = () => {};

  constructor(options: { store: Store; region: string; accountId: string }) {
    this.#store = options.store;
    this.region = options.region;
    this.accountId = options.accountId;
  }

  async open(): Promise<void> {
    this.#unwatch = await this.#store.watch<LayerVersionRecord>(LAYER_VERSION_KIND, (event) => {
      const key = event.op === "put" ? event.record.key : event.key;
      const arn = this.versionArn(...parseLayerVersionKey(key));
      this.#code.delete(key);
      this.#policies.delete(arn);
      if (event.op === "delete") return;
      const { code, policy } = event.record.value;
      this.#code.set(key, code);
      if (policy) this.#policies.set(arn, renderPolicy(policy));
    });
  }

  close(): void {
    this.#unwatch();
  }

  /** Hashes of the zips that layer versions refer to. */
  *hashes(): Iterable<string> {
    for (const { sha256Hex } of this.#code.values()) yield sha256Hex;
  }

  /** Sum of the sizes of all layer versions' zips: they count as code storage. */
  bytes(): number {
    let bytes = 0;
    for (const { sizeBytes } of this.#code.values()) bytes += sizeBytes;
    return bytes;
  }

  policyOf(layerVersionArn: string): string | undefined {
    return this.#policies.get(layerVersionArn);
  }

  /** Only layers of this account and Region are there. */
  async resolve(layerVersionArn: string): Promise<LayerReference | undefined> {
    const at = layerVersionArn.lastIndexOf(":");
    const name = layerVersionArn.slice(this.layerArn("").length, at);
    const version = Number(layerVersionArn.slice(at + 1));
    if (layerVersionArn !== this.versionArn(name, version)) return undefined;
    const stored = await this.find(name, version);
    return stored && { arn: layerVersionArn, ...referenceOf(stored.value.code) };
  }

  layerArn(name: string): string {
    return `arn:${partitionOf(this.region)}:lambda:${this.region}:${this.accountId}:layer:${name}`;
  }

  versionArn(name: string, version: number): string {
    return `${this.layerArn(name)}:${version}`;
  }

  find(name: string, version: number): Promise<StoredLayerVersion | undefined> {
    return this.#store.get(LAYER_VERSION_KIND, layerVersionKey(name, version));
  }

  /** A layer's versions, oldest first. */
  versionsOf(name: string): Promise<StoredLayerVersion[]> {
    return this.#store.list(LAYER_VERSION_KIND, { prefix: `${name}:` });
  }

  /** All versions of all layers, by name and oldest first. */
  all(): Promise<StoredLayerVersion[]> {
    return this.#store.list(LAYER_VERSION_KIND);
  }

  /** Gives the version the layer's next number, and makes the layer when there is none. Durable when it resolves. */
  async publish(made: Omit<LayerVersionRecord, "version">): Promise<LayerVersionRecord> {
    return this.#retrying(made.layer, async () => {
      const layer = await this.#store.get<LayerRecord>(LAYER_KIND, made.layer);
      const version = layer?.value.nextVersion ?? 1;
      const next: LayerRecord = { nextVersion: version + 1 };
      const record: LayerVersionRecord = { ...made, version };
      await this.#store.write([
        { op: "put", kind: LAYER_KIND, key: made.layer, value: next, expect: layer?.revision ?? "absent" },
        putLayerVersion(record, "absent"),
      ]);
      return record;
    });
  }

  /** Harmless when there is none. Functions that have the version keep it: they refer to its zip themselves. */
  async remove(name: string, version: number): Promise<void> {
    await this.#store.write([
      { op: "delete", kind: LAYER_VERSION_KIND, key: layerVersionKey(name, version) },
    ]);
  }

  /** Changes a version; `decide` is called again for each race it loses, and may throw AwsError. */
  async change(
    name: string,
    version: number,
    decide: (before: LayerVersionRecord) => LayerVersionRecord,
  ): Promise<LayerVersionRecord> {
    return this.#retrying(name, async () => {
      const stored = await this.find(name, version);
      if (!stored) throw resourceNotFound(`Layer version ${this.versionArn(name, version)} does not exist.`);
      const record = decide(stored.value);
      await this.#store.write([putLayerVersion(record, stored.revision)]);
      return record;
    });
  }

  #retrying<T>(name: string, attempt: () => Promise<T>): Promise<T> {
    return retryConflicts(
      attempt,
      () =>
        new AwsError("TooManyRequestsException", `Layer ${name} is being changed by too many requests.`, {
          status: 429,
        }),
    );
  }
}

function referenceOf({ sha256Hex, sizeBytes, signature }: CodeReference): Omit<LayerReference, "arn"> {
  return { sha256Hex, sizeBytes, ...(signature && { signature }) };
}

function putLayerVersion(record: LayerVersionRecord, expect: number | "absent"): Change {
  const key = layerVersionKey(record.layer, record.version);
  return { op: "put", kind: LAYER_VERSION_KIND, key, value: record, expect };
}

/** Versions of one layer lie together, in numeric order. No layer's name has a colon. */
function layerVersionKey(name: string, version: number): string {
  return `${name}:${String(version).padStart(VERSION_DIGITS, "0")}`;
}

function parseLayerVersionKey(key: string): [name: string, version: number] {
  const colon = key.indexOf(":");
  return [key.slice(0, colon), Number(key.slice(colon + 1))];
}

/** The whole document, as it is shown. */
export function renderPolicy({ statements }: LayerPolicy): string {
  return JSON.stringify({ Version: "2012-10-17", Id: "default", Statement: statements });
}
