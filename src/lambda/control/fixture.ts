/** For tests: a control room over a memory store, with blobs, runtimes and time in the test's hands. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { FunctionConfiguration } from "@aws-sdk/client-lambda";
import { AwsError, invalidParameterValue } from "../../errors.ts";
import { ManualClock } from "../../kernel/clock.ts";
import { deferred, type Deferred } from "../../kernel/deferred.ts";
import { CODE_UNZIPPED_BYTES_MAX, ZIP_ENTRIES_MAX } from "../../limits.ts";
import { MemoryStore } from "../../store/memory.ts";
import { BlobNotFound, type BlobContent, type BlobInfo, type BlobStore } from "../../store/blobs/blobs.ts";
import { digestZip, type ZipDigest } from "../../store/blobs/zip-digest.ts";
import type { Store } from "../../store/store.ts";
import type { RequestContext } from "../../wire/service.ts";
import { createControl, type Control, type ControlOptions } from "./control.ts";
import type { RuntimeFinder } from "./ports.ts";

export const REGION = "us-east-1";
export const ACCOUNT_ID = "000000000000";
export const ROLE = "arn:aws:iam::000000000000:role/worker";

export function arnOf(name: string): string {
  return `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:function:${name}`;
}

export const context: RequestContext = {
  requestId: "11111111-1111-4111-8111-111111111111",
  principal: {
    kind: "root",
    arn: "arn:aws:iam::000000000000:root",
    accountId: ACCOUNT_ID,
    userId: ACCOUNT_ID,
  },
  region: REGION,
  accountId: ACCOUNT_ID,
  sourceIp: "127.0.0.1",
  endpoint: "http://127.0.0.1:4566",
  signal: new AbortController().signal,
  header: () => undefined,
};

/** Blobs in memory. A zip that is the text "broken" cannot be unpacked. */
export class FakeBlobs implements BlobStore {
  readonly zips = new Map<string, Buffer>();

  async put(zip: Uint8Array): Promise<BlobInfo> {
    const digest = createHash("sha256").update(zip).digest();
    this.zips.set(digest.toString("hex"), Buffer.from(zip));
    return {
      sha256Hex: digest.toString("hex"),
      sha256Base64: digest.toString("base64"),
      sizeBytes: zip.length,
    };
  }

  async open(sha256Hex: string): Promise<BlobContent> {
    const zip = this.zips.get(sha256Hex);
    if (!zip) throw new BlobNotFound(sha256Hex);
    return { sizeBytes: zip.length, stream: Readable.from([zip]) };
  }

  async list(): Promise<string[]> {
    return [...this.zips.keys()];
  }

  async close(): Promise<void> {}

  async unpack(sha256Hex: string): Promise<string> {
    if (this.zips.get(sha256Hex)?.toString() === "broken") {
      throw invalidParameterValue(
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
      );
    }
    return `/code/${sha256Hex}`;
  }

  /** As long as the zip itself: a test chooses. */
  async unzippedBytes(sha256Hex: string): Promise<number> {
    return this.zips.get(sha256Hex)?.length ?? 0;
  }

  /** As the real one. */
  async digest(zip: Uint8Array, apart: string): Promise<ZipDigest | undefined> {
    if (Buffer.from(zip).lastIndexOf(apart) < 0) return undefined;
    return digestZip(zip, apart, { unzippedBytesMax: CODE_UNZIPPED_BYTES_MAX, entriesMax: ZIP_ENTRIES_MAX });
  }

  async remove(sha256Hex: string): Promise<void> {
    this.zips.delete(sha256Hex);
  }
}

/** A host with every runtime but those in `missing`; while `held`, a look-up waits. */
export class FakeRuntimes implements RuntimeFinder {
  readonly missing = new Set<string>();
  lookups = 0;
  #gate: Deferred<void> | undefined;

  hold(): void {
    this.#gate = deferred();
  }

  release(): void {
    this.#gate?.resolve();
  }

  async find(runtimeId: string) {
    this.lookups += 1;
    await this.#gate?.promise;
    if (!this.missing.has(runtimeId)) return { available: true } as const;
    return { available: false, reason: `${runtimeId} was not found.`, fix: "Install it." } as const;
  }
}

export interface Fixture {
  readonly control: Control;
  readonly store: Store;
  readonly blobs: FakeBlobs;
  readonly runtimes: FakeRuntimes;
  readonly clock: ManualClock;
  readonly faults: Error[];
  /** Calls an operation as the root user. The answer's type is the caller's to know. */
  readonly call: <T = FunctionConfiguration>(operation: string, input?: unknown) => Promise<T>;
  /** Creates a function with sensible members, and waits until it is Active or Failed. */
  readonly create: (name: string, members?: Record<string, unknown>) => Promise<FunctionConfiguration>;
  /** The configuration once neither creation nor update is under way. */
  readonly settled: (name: string, qualifier?: string) => Promise<FunctionConfiguration>;
}

export async function openFixture(
  options: Partial<ControlOptions> & {
    store?: Store;
    blobs?: FakeBlobs;
    clock?: ManualClock;
    runtimes?: FakeRuntimes;
  } = {},
): Promise<Fixture> {
  const clock = options.clock ?? new ManualClock(Date.UTC(2026, 10, 23, 18));
  const store = options.store ?? new MemoryStore(clock);
  const blobs = options.blobs ?? new FakeBlobs();
  const runtimes = options.runtimes ?? new FakeRuntimes();
  const faults: Error[] = [];
  const control = await createControl({
    region: REGION,
    accountId: ACCOUNT_ID,
    codeUrlSecret: "a secret",
    onFault: (fault) => faults.push(fault),
    ...options,
    store,
    blobs,
    runtimes,
    clock,
  });
  async function call<T = FunctionConfiguration>(operation: string, input: unknown = {}): Promise<T> {
    const handler = control.operations[operation];
    if (!handler) throw new Error(`no operation ${operation}`);
    return (await handler(input, context)) as T;
  }
  async function settled(name: string, qualifier?: string): Promise<FunctionConfiguration> {
    // Each round lets pending promises go on; nothing here waits for time.
    for (let rounds = 0; rounds < 1000; rounds += 1) {
      const found = await call("GetFunctionConfiguration", { FunctionName: name, Qualifier: qualifier });
      if (found.State !== "Pending" && found.LastUpdateStatus !== "InProgress") return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error(`${name} stays unsettled`);
  }
  async function create(name: string, members: Record<string, unknown> = {}): Promise<FunctionConfiguration> {
    await call("CreateFunction", { ...createInput(name), ...members });
    return settled(name);
  }
  return { control, store, blobs, runtimes, clock, faults, call, create, settled };
}

export function createInput(name: string): Record<string, unknown> {
  return {
    FunctionName: name,
    Runtime: "nodejs24.x",
    Handler: "index.handler",
    Role: ROLE,
    Code: { ZipFile: Buffer.from(`zip of ${name}`) },
  };
}

/** For assert.rejects and assert.throws: an AwsError of this code with exactly this message. */
export function awsError(
  code: string,
  message: string | RegExp,
  status?: number,
): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof AwsError)) throw error;
    const matches = typeof message === "string" ? error.message === message : message.test(error.message);
    if (error.code === code && matches && (status === undefined || error.status === status)) return true;
    throw new Error(`expected ${code} "${message}", got ${error.code} ${error.status} "${error.message}"`);
  };
}
