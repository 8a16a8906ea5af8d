/**
 * Goal: code is kept by its hash, unpacked once and whole, and a hostile zip writes nothing and says why in AWS's words.
 * Method: zips made here, patched byte by byte where no writer would make them; each test has a folder of its own.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { zipSync, type Zippable, type ZipAttributes } from "fflate";
import { AwsError } from "../../errors.ts";
import { ManualClock } from "../../kernel/clock.ts";
import { StoreClosed } from "../store.ts";
import { BlobNotFound, type BlobStore } from "./blobs.ts";
import { openFileBlobStore } from "./file-blobs.ts";
import type { ZipLimits } from "./plan.ts";

const COULD_NOT_UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again.";
const NON_EMPTY = "Uploaded file must be a non-empty zip";
const MODE_LINK = 0o120777;

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const unix = (mode: number): Pick<ZipAttributes, "os" | "attrs"> => ({ os: 3, attrs: mode * 0x10000 });
const link = (target: string): [Uint8Array, Pick<ZipAttributes, "os" | "attrs">] => [
  text(target),
  unix(MODE_LINK),
];

interface Scene extends AsyncDisposable {
  readonly directory: string;
  readonly blobs: BlobStore;
}

async function scene(limits?: ZipLimits): Promise<Scene> {
  const directory = await mkdtemp(join(tmpdir(), "hornero-blobs-"));
  const blobs = await openFileBlobStore({ directory, clock: new ManualClock(), ...(limits && { limits }) });
  return {
    directory,
    blobs,
    async [Symbol.asyncDispose]() {
      await blobs.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function unpackZip(blobs: BlobStore, zip: Uint8Array): Promise<string> {
  return blobs.unpack((await blobs.put(zip)).sha256Hex);
}

async function assertRefused({ blobs, directory }: Scene, zip: Uint8Array, message: string): Promise<void> {
  await assert.rejects(unpackZip(blobs, zip), (error) => {
    assert(error instanceof AwsError, String(error));
    assert.equal(error.code, "InvalidParameterValueException");
    assert.equal(error.status, 400);
    assert.equal(error.message, message);
    return true;
  });
  assert.deepEqual(await readdir(join(directory, "unpacked")), []);
  assert.deepEqual(await readdir(join(directory, "temporary")), []);
}

test("a zip comes back byte by byte, under the hash of its bytes", async () => {
  await using stage = await scene();
  const zip = zipSync({ "index.js": text("x") });
  const info = await stage.blobs.put(zip);
  const hash = createHash("sha256").update(zip);
  assert.equal(info.sha256Hex, hash.copy().digest("hex"));
  assert.equal(info.sha256Base64, hash.digest("base64"));
  assert.equal(info.sizeBytes, zip.length);
  assert.deepEqual(await stage.blobs.put(zip), info);
  const content = await stage.blobs.open(info.sha256Hex);
  assert.equal(content.sizeBytes, zip.length);
  assert((await buffer(content.stream)).equals(zip));
  assert.deepEqual(await stage.blobs.list(), [info.sha256Hex]);
});

test("a zip unpacks with its folders, links and executable bits, whatever the umask", async () => {
  await using stage = await scene();
  const big = new Uint8Array(3_000_000).fill(65);
  const files: Zippable = {
    "index.js": text("exports.handler = 1"),
    "empty.txt": text(""),
    bootstrap: [text("#!/bin/sh"), unix(0o100700)],
    "secret.py": [text("x"), unix(0o100400)],
    "dir/deeper/é.txt": text("é"),
    "stored.bin": [big, { level: 0 }],
    "deflated.bin": [big, { level: 6 }],
    "lib/libz.so": link("libz.so.1"),
    "lib/libz.so.1": text("library"),
    "node_modules/.bin/tool": link("../../index.js"),
    layer: link("/opt/nodejs"),
    "empty folder/": [new Uint8Array(0), unix(0o040700)],
    "./dotted//name.txt": text("dots"),
  };
  const before = process.umask(0o077);
  let folder: string;
  try {
    folder = await unpackZip(stage.blobs, zipSync(files));
  } finally {
    process.umask(before);
  }
  const modeOf = async (path: string): Promise<number> => (await lstat(join(folder, path))).mode & 0o777;
  assert.equal(await readFile(join(folder, "index.js"), "utf8"), "exports.handler = 1");
  assert.equal(await readFile(join(folder, "dir/deeper/é.txt"), "utf8"), "é");
  assert.equal(await readFile(join(folder, "dotted/name.txt"), "utf8"), "dots");
  assert.equal((await stat(join(folder, "empty.txt"))).size, 0);
  for (const name of ["stored.bin", "deflated.bin"])
    assert((await readFile(join(folder, name))).equals(big), name);
  assert.equal(await readlink(join(folder, "lib/libz.so")), "libz.so.1");
  assert.equal(await readFile(join(folder, "lib/libz.so"), "utf8"), "library");
  assert.equal(await readlink(join(folder, "layer")), "/opt/nodejs");
  for (const path of ["", "dir", "dir/deeper", "lib", "empty folder"])
    assert.equal(await modeOf(path), 0o755, path);
  for (const path of ["index.js", "secret.py", "dir/deeper/é.txt"])
    assert.equal(await modeOf(path), 0o644, path);
  assert.equal(await modeOf("bootstrap"), 0o755);
});

test("the unpacked size counts every file's bytes once, and no links and folders", async () => {
  await using at = await scene();
  const zip = zipSync({ "a.txt": text("12345"), deep: { "b.txt": text("123") }, "to-a": link("a.txt") });
  const { sha256Hex } = await at.blobs.put(zip);
  assert.equal(await at.blobs.unzippedBytes(sha256Hex), 8);
  await assert.rejects(at.blobs.unzippedBytes("0".repeat(64)), BlobNotFound);
});

test("concurrent calls unpack once and agree, also after the work is done", async () => {
  await using stage = await scene();
  const { sha256Hex } = await stage.blobs.put(zipSync({ "index.js": text("x") }));
  const folders = await Promise.all(Array.from({ length: 8 }, () => stage.blobs.unpack(sha256Hex)));
  const [first] = folders;
  assert(first !== undefined);
  assert.equal(new Set(folders).size, 1);
  const { ino } = await stat(first);
  assert.equal(await stage.blobs.unpack(sha256Hex), first);
  assert.equal((await stat(first)).ino, ino);
});

test("many different zips unpack at the same time", async () => {
  await using stage = await scene();
  const names = Array.from({ length: 12 }, (_, index) => `file-${index}`);
  const folders = await Promise.all(
    names.map((name) => unpackZip(stage.blobs, zipSync({ [name]: text(name) }))),
  );
  for (const [index, folder] of folders.entries()) assert.deepEqual(await readdir(folder), [names[index]]);
});

test("an open removes what a crash left half-done and keeps what is whole", async () => {
  const directory = await mkdtemp(join(tmpdir(), "hornero-blobs-"));
  const clock = new ManualClock();
  const first = await openFileBlobStore({ directory, clock });
  const { sha256Hex } = await first.put(zipSync({ "index.js": text("x") }));
  const folder = await first.unpack(sha256Hex);
  await first.close();
  await mkdir(join(directory, "temporary", "half", "deep"), { recursive: true });
  await writeFile(join(directory, "temporary", "half.zip"), "half");
  await chmod(join(directory, "temporary", "half"), 0o755);
  const second = await openFileBlobStore({ directory, clock });
  assert.deepEqual(await readdir(join(directory, "temporary")), []);
  assert.deepEqual(await second.list(), [sha256Hex]);
  assert.equal(await second.unpack(sha256Hex), folder);
  await second.close();
  await rm(directory, { recursive: true });
});

test("a removed blob is gone with its folder, may be removed again and put again", async () => {
  await using stage = await scene();
  const zip = zipSync({ "index.js": text("x") });
  const { sha256Hex } = await stage.blobs.put(zip);
  // All at once: the store takes them in turns.
  const [folder] = await Promise.all([stage.blobs.unpack(sha256Hex), stage.blobs.remove(sha256Hex)]);
  await stage.blobs.remove(sha256Hex);
  await assert.rejects(stat(folder), /ENOENT/);
  await assert.rejects(stage.blobs.open(sha256Hex), BlobNotFound);
  await assert.rejects(stage.blobs.unpack(sha256Hex), BlobNotFound);
  assert.deepEqual(await stage.blobs.list(), []);
  assert.equal(await unpackZip(stage.blobs, zip), folder);
});

test("a closed store finished its work and refuses more", async () => {
  await using stage = await scene();
  const { sha256Hex } = await stage.blobs.put(zipSync({ "index.js": text("x") }));
  const unpacking = stage.blobs.unpack(sha256Hex);
  await stage.blobs.close();
  assert.deepEqual(await readdir(await unpacking), ["index.js"]);
  await assert.rejects(stage.blobs.unpack(sha256Hex), StoreClosed);
  await assert.rejects(stage.blobs.list(), StoreClosed);
});

test("what is no zip is refused", async () => {
  await using stage = await scene();
  const zip = zipSync({ "index.js": text("x".repeat(1000)) });
  await assertRefused(stage, text("this is not a zip, but it is long enough to be one"), COULD_NOT_UNZIP);
  await assertRefused(stage, zip.subarray(0, zip.length - 10), COULD_NOT_UNZIP);
  await assertRefused(stage, zip.subarray(20), COULD_NOT_UNZIP);
  // The content of another file: the deflated bytes are whole, the checksum is not theirs.
  await assertRefused(stage, patch(zip, centralHeader(zip) + 16, [1, 2, 3, 4]), COULD_NOT_UNZIP);
  // An unknown compression method, and deflated bytes that are none.
  await assertRefused(stage, patch(zip, centralHeader(zip) + 10, [99, 0]), COULD_NOT_UNZIP);
  await assertRefused(stage, patch(zip, 30 + "index.js".length, [255, 255, 255]), COULD_NOT_UNZIP);
});

test("an empty zip is refused", async () => {
  await using stage = await scene();
  await assertRefused(stage, zipSync({}), NON_EMPTY);
  await assertRefused(stage, new Uint8Array(0), NON_EMPTY);
  await assertRefused(stage, zipSync({ "folder/": new Uint8Array(0) }), NON_EMPTY);
});

test("an encrypted entry is refused", async () => {
  await using stage = await scene();
  const zip = zipSync({ "index.js": text("x") });
  await assertRefused(stage, patch(zip, centralHeader(zip) + 8, [1, 0]), COULD_NOT_UNZIP);
});

const NAMES = [
  "../evil",
  "a/../../evil",
  "a/..",
  "/etc/evil",
  "C:/evil",
  "a\\..\\evil",
  "nul\0l",
  "n".repeat(256),
  `${"deep/".repeat(700)}x`,
];
for (const name of NAMES) {
  test(`a name that no folder should hold is refused: ${JSON.stringify(name.slice(0, 20))}`, async () => {
    await using stage = await scene();
    await assertRefused(stage, zipSync({ "index.js": text("x"), [name]: text("evil") }), COULD_NOT_UNZIP);
  });
}

test("a name that is there twice is refused, as file, folder or link", async () => {
  await using stage = await scene();
  const twice = zipSync({ "a1.js": text("1"), "a2.js": text("2") });
  await assertRefused(stage, replaceAll(twice, "a2.js", "a1.js"), COULD_NOT_UNZIP);
  await assertRefused(stage, zipSync({ "a/b": text("1"), "./a/b": text("2") }), COULD_NOT_UNZIP);
  await assertRefused(
    stage,
    replaceAll(zipSync({ a: text("1"), "b/c": text("2") }), "b/c", "a/c"),
    COULD_NOT_UNZIP,
  );
  await assertRefused(
    stage,
    replaceAll(zipSync({ "b/c": text("1"), a: text("2") }), "b/c", "a/c"),
    COULD_NOT_UNZIP,
  );
  const throughLink = zipSync({ a: link("lib"), "b/evil": text("2"), "lib/x": text("3") });
  await assertRefused(stage, replaceAll(throughLink, "b/evil", "a/evil"), COULD_NOT_UNZIP);
});

test("a link that leaves the folder is refused, also by way of another link", async () => {
  await using stage = await scene();
  const good = { "index.js": text("x") };
  await assertRefused(stage, zipSync({ ...good, a: link("../outside") }), COULD_NOT_UNZIP);
  await assertRefused(stage, zipSync({ ...good, a: link("/etc/passwd") }), COULD_NOT_UNZIP);
  await assertRefused(stage, zipSync({ ...good, "x/a": link("../b/.."), b: link("x/..") }), COULD_NOT_UNZIP);
  await assertRefused(stage, zipSync({ ...good, a: link("") }), COULD_NOT_UNZIP);
  await assertRefused(stage, zipSync({ ...good, a: link("x".repeat(5000)) }), COULD_NOT_UNZIP);
  await assertRefused(
    stage,
    zipSync({ ...good, a: [new Uint8Array([0xff]), unix(MODE_LINK)] }),
    COULD_NOT_UNZIP,
  );
});

test("devices, pipes and sockets are refused", async () => {
  await using stage = await scene();
  for (const type of [0o010000, 0o020000, 0o060000, 0o140000]) {
    await assertRefused(stage, zipSync({ a: [text(""), unix(type + 0o644)] }), COULD_NOT_UNZIP);
  }
});

test("content may be as large as the limit, not larger", async () => {
  await using stage = await scene({ unzippedBytesMax: 1000, entriesMax: 100 });
  const tooLarge = "Unzipped size must be smaller than 1000 bytes";
  await unpackZip(stage.blobs, zipSync({ a: text("x".repeat(400)), b: text("x".repeat(600)) }));
  await rm(join(stage.directory, "unpacked"), { recursive: true });
  await mkdir(join(stage.directory, "unpacked"));
  await assertRefused(stage, zipSync({ a: text("x".repeat(400)), b: text("x".repeat(601)) }), tooLarge);
});

test("a size that is a lie does not help a bomb", async () => {
  await using stage = await scene({ unzippedBytesMax: 1000, entriesMax: 100 });
  const bomb = zipSync({ a: text("x".repeat(1_000_000)) });
  const sizeAt = centralHeader(bomb) + 24;
  await assertRefused(stage, patch(bomb, sizeAt, [100, 0, 0, 0]), COULD_NOT_UNZIP);
  await assertRefused(stage, bomb, "Unzipped size must be smaller than 1000 bytes");
});

test("a large entry is held to its size and its checksum too", async () => {
  await using stage = await scene({ unzippedBytesMax: 4_000_000, entriesMax: 100 });
  const zip = zipSync({ a: text("x".repeat(5_000_000)) });
  const sizeAt = centralHeader(zip) + 24;
  const twoMillion = [0x80, 0x84, 0x1e, 0];
  await assertRefused(stage, patch(zip, sizeAt, twoMillion), COULD_NOT_UNZIP);
  const whole = zipSync({ a: text("x".repeat(3_000_000)) });
  await assertRefused(stage, patch(whole, centralHeader(whole) + 16, [1, 2, 3, 4]), COULD_NOT_UNZIP);
});

test("files and folders count, those that a path implies included", async () => {
  await using stage = await scene({ unzippedBytesMax: 1_000_000, entriesMax: 10 });
  const tooMany = "The uploaded zip has more than 10 files and folders.";
  const files = (count: number): Zippable =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, text("")]));
  await assertRefused(stage, zipSync(files(11)), tooMany);
  await assertRefused(stage, zipSync({ "a/b/c/d/e/f/g/h/i/j/k": text("") }), tooMany);
  assert.equal((await readdir(await unpackZip(stage.blobs, zipSync(files(10))))).length, 10);
});

/** Where the first entry of the central directory begins. */
function centralHeader(zip: Uint8Array): number {
  const at = Buffer.from(zip).indexOf("PK\x01\x02", 0, "latin1");
  assert(at >= 0);
  return at;
}

function patch(zip: Uint8Array, at: number, bytes: readonly number[]): Uint8Array {
  const patched = zip.slice();
  patched.set(bytes, at);
  return patched;
}

/** Names of one length, in the local and the central header. */
function replaceAll(zip: Uint8Array, from: string, to: string): Uint8Array {
  assert.equal(from.length, to.length);
  return Buffer.from(Buffer.from(zip).toString("latin1").replaceAll(from, to), "latin1");
}

test("a digest leaves out one entry, is of any zip that can be code, and keeps nothing", async () => {
  await using stage = await scene();
  const { blobs } = stage;
  const zip = zipSync({ "a.txt": text("one"), "b/": text(""), "b/c.txt": text("two"), seal: text("sealed") });
  const digest = await blobs.digest(zip, "seal");
  assert.ok(digest);
  assert.equal(Buffer.from(digest.apart).toString(), "sealed");
  const expected = createHash("sha384").update("a.txtoneb/b/c.txttwo").digest();
  assert.deepEqual(Buffer.from(digest.contentSha384), expected);
  assert.equal(digest.directorySha384.length, 48);
  assert.equal(await blobs.digest(zip, "sea"), undefined, "no entry has exactly that name");
  assert.equal(await blobs.digest(zip, "nowhere"), undefined);
  assert.ok(zip.byteLength > 0, "the caller keeps its bytes");
  assert.deepEqual(await blobs.list(), []);
  assert.deepEqual(await readdir(join(stage.directory, "temporary")), []);
});

test("a digest of what cannot be code is refused as unpacking it is", async () => {
  await using stage = await scene({ unzippedBytesMax: 1000, entriesMax: 4 });
  const { blobs } = stage;
  const many = Object.fromEntries([1, 2, 3, 4].map((each) => [`${each}`, text("x")]));
  const rows: [Zippable, RegExp][] = [
    [{ seal: text("s"), "../up": text("x") }, /Could not unzip/],
    [{ seal: text("s"), "large.txt": text("x".repeat(1001)) }, /Unzipped size must be smaller/],
    [{ seal: text("s"), "folder/": text("x".repeat(100_000)) }, /Unzipped size must be smaller/],
    [{ seal: text("s"), ...many }, /more than 4 files/],
  ];
  for (const [content, message] of rows) {
    await assert.rejects(
      blobs.digest(zipSync(content), "seal"),
      (error: unknown) => error instanceof AwsError && message.test(error.message),
      message.source,
    );
  }
  const long = zipSync({ seal: new Uint8Array(64 * 1024 + 1), "a.txt": text("x") });
  await using roomy = await scene();
  await assert.rejects(roomy.blobs.digest(long, "seal"), /Could not unzip/);
  await assert.rejects(blobs.digest(text("seal, but no zip"), "seal"), /Could not unzip/);
});
