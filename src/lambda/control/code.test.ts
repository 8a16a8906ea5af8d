// Goal: code that nobody refers to goes, after a grace time and not before; code in use or on its way in stays. Method: time
// moves by hand; crashes are control rooms that are left alone and replaced by others over the same store and blobs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHash } from "node:crypto";
import type { PublishLayerVersionResponse } from "@aws-sdk/client-lambda";
import { deferred } from "../../kernel/deferred.ts";
import { CODE_STORAGE_BYTES_MAX } from "../../limits.ts";
import { CODE_GRACE_MS, CODE_SWEEP_INTERVAL_MS } from "./code.ts";
import { awsError, createInput, FakeBlobs, openFixture, type Fixture } from "./fixture.ts";
import { FUNCTION_KIND } from "./records.ts";

const shaOf = (text: string) => createHash("sha256").update(text).digest("hex");

/** Lets `ms` pass in steps of a sweep, with the sweeps' work done in between. */
async function pass({ clock }: Fixture, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += CODE_SWEEP_INTERVAL_MS) {
    clock.advance(CODE_SWEEP_INTERVAL_MS);
    for (let rounds = 0; rounds < 20; rounds += 1) await new Promise((resolve) => setImmediate(resolve));
  }
}

test("replaced code stays for the grace time, then goes; code in use stays", async () => {
  const fixture = await openFixture();
  const { call, create, settled, blobs } = fixture;
  await create("f");
  await call("PublishVersion", { FunctionName: "f" });
  await call("UpdateFunctionCode", { FunctionName: "f", ZipFile: Buffer.from("second") });
  await settled("f");
  await call("UpdateFunctionCode", { FunctionName: "f", ZipFile: Buffer.from("third") });
  await settled("f");
  await pass(fixture, CODE_GRACE_MS);
  assert.equal(blobs.zips.has(shaOf("second")), true);
  await pass(fixture, 2 * CODE_SWEEP_INTERVAL_MS);
  assert.deepEqual([...blobs.zips.keys()].sort(), [shaOf("zip of f"), shaOf("third")].sort());
  assert.deepEqual(fixture.faults, []);
});

test("what a crash left without a function goes after the restart, all grace given again", async () => {
  const first = await openFixture();
  const { store, blobs, clock } = first;
  await first.create("f");
  // The process dies between storing the code and writing the function.
  const write = store.write.bind(store);
  store.write = async (changes) => {
    if (changes.some((change) => change.op === "put" && change.kind === FUNCTION_KIND)) {
      throw new Error("the power is gone");
    }
    return write(changes);
  };
  await assert.rejects(first.call("CreateFunction", createInput("g")), /the power is gone/);
  await first.control.close();
  store.write = write;
  const second = await openFixture({ store, blobs, clock });
  assert.equal(blobs.zips.has(shaOf("zip of g")), true);
  await pass(second, CODE_GRACE_MS + 2 * CODE_SWEEP_INTERVAL_MS);
  assert.deepEqual([...blobs.zips.keys()], [shaOf("zip of f")]);
  await second.control.close();
});

test("code that comes back while its removal is under way is stored again", async () => {
  const removal = deferred();
  const removing = deferred();
  class SlowBlobs extends FakeBlobs {
    override async remove(sha256Hex: string): Promise<void> {
      removing.resolve();
      await removal.promise;
      await super.remove(sha256Hex);
    }
  }
  const fixture = await openFixture({ blobs: new SlowBlobs() });
  const { call, create, blobs, settled } = fixture;
  await create("f");
  await call("DeleteFunction", { FunctionName: "f" });
  await pass(fixture, CODE_GRACE_MS + 2 * CODE_SWEEP_INTERVAL_MS);
  await removing.promise;
  const again = call("CreateFunction", createInput("f"));
  removal.resolve();
  await again;
  await settled("f");
  assert.equal(blobs.zips.has(shaOf("zip of f")), true);
  await pass(fixture, CODE_GRACE_MS + 2 * CODE_SWEEP_INTERVAL_MS);
  assert.equal(blobs.zips.has(shaOf("zip of f")), true);
});

test("a layer's code stays until the version is deleted, and then for the functions that have it", async () => {
  const fixture = await openFixture();
  const { call, create, blobs } = fixture;
  const layer = { LayerName: "tools", VersionNumber: 1 };
  const long = CODE_GRACE_MS + 2 * CODE_SWEEP_INTERVAL_MS;
  const { LayerVersionArn } = await call<PublishLayerVersionResponse>("PublishLayerVersion", {
    ...layer,
    Content: { ZipFile: Buffer.from("a layer") },
  });
  await pass(fixture, long);
  assert.equal(blobs.zips.has(shaOf("a layer")), true);
  await create("f", { Layers: [LayerVersionArn] });
  await call("DeleteLayerVersion", layer);
  await pass(fixture, long);
  assert.equal(blobs.zips.has(shaOf("a layer")), true);
  await call("DeleteFunction", { FunctionName: "f" });
  await pass(fixture, long);
  assert.equal(blobs.zips.size, 0);
});

test("a sweep that fails is reported, and the next one is tried", async () => {
  class BrokenBlobs extends FakeBlobs {
    broken = true;
    override async remove(sha256Hex: string): Promise<void> {
      if (this.broken) throw new Error("the disk says no");
      await super.remove(sha256Hex);
    }
  }
  const blobs = new BrokenBlobs();
  const fixture = await openFixture({ blobs });
  await fixture.create("f");
  await fixture.call("DeleteFunction", { FunctionName: "f" });
  await pass(fixture, CODE_GRACE_MS + 2 * CODE_SWEEP_INTERVAL_MS);
  assert.ok(fixture.faults.length > 0);
  assert.equal(fixture.faults[0]?.message, "the disk says no");
  blobs.broken = false;
  await pass(fixture, CODE_SWEEP_INTERVAL_MS);
  assert.equal(blobs.zips.size, 0);
});

test("code beyond the account's storage is refused", async () => {
  class VastBlobs extends FakeBlobs {
    override async put(zip: Uint8Array) {
      return { ...(await super.put(zip)), sizeBytes: CODE_STORAGE_BYTES_MAX - 4 };
    }
  }
  const { call, create, settled } = await openFixture({ blobs: new VastBlobs() });
  await create("f");
  await assert.rejects(
    call("CreateFunction", createInput("g")),
    awsError("CodeStorageExceededException", "Code storage limit exceeded.", 400),
  );
  // Replacing code gives back what the old one took.
  await call("UpdateFunctionCode", { FunctionName: "f", ZipFile: Buffer.from("a smaller one") });
  assert.equal((await settled("f")).LastUpdateStatus, "Successful");
});
