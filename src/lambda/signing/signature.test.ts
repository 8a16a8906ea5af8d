/**
 * Goal: a signature says what was signed by whom, and nothing passes as signed that was changed afterwards, by whatever trick of the zip format.
 * Method: zips made and patched here, signed with keys and certificates made here; what OpenSSL makes of a signature of ours, and what is made
 * here of a signature in the exact form of AWS Signer's, which has no directory attribute and comes in indefinite lengths.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { unzipSync, zipSync, type Zippable } from "fflate";
import { ZipRefused } from "../../store/blobs/plan.ts";
import { digestZip } from "../../store/blobs/zip-digest.ts";
import { InvalidSignature, signCms } from "./cms.ts";
import { encode, encodeGeneralizedTime, TAG } from "./der.ts";
import { ATTRIBUTE, fingerprintOf, readSignature, SIGNATURE_FILE } from "./signature.ts";
import { SigningError } from "./sign-zip.ts";
import {
  DAY_MS,
  JOB_ARN,
  LIMITS,
  newIdentity,
  newKey,
  PROFILE_ARN,
  signedBy,
  type Identity,
} from "./testing.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 18);
const VALID = { validFromMs: NOW_MS - DAY_MS, validToMs: NOW_MS + DAY_MS };
const signer = newIdentity("signer", VALID);
const FILES = { "index.js": Buffer.from("exports.handler = async () => 1;"), "lib/a.js": Buffer.from("bc") };
const signed = await signedBy(zipSync(FILES), [signer], { signedMs: NOW_MS });

async function read(zip: Uint8Array) {
  const digest = await digestZip(zip, SIGNATURE_FILE, LIMITS);
  assert.ok(digest, "the zip is signed");
  return readSignature(digest);
}

const isInvalid = (error: unknown) => error instanceof InvalidSignature;

/** The signed zip written anew with other files; the signature as it was. */
function rewritten(zip: Uint8Array, change: (files: Record<string, Uint8Array>) => Zippable): Uint8Array {
  return zipSync(change(unzipSync(zip)));
}

function without(files: Record<string, Uint8Array>, name: string): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(files).filter(([each]) => each !== name));
}

describe("an intact signature", () => {
  for (const kind of ["ec", "rsa"] as const) {
    test(`of a key of kind ${kind} says who signed, when, until when, and as which profile`, async () => {
      const one = newIdentity("one", { ...VALID, key: newKey(kind) });
      const zip = await signedBy(zipSync(FILES), [one], { signedMs: NOW_MS });
      assert.deepEqual(await read(zip), {
        profileVersionArn: PROFILE_ARN,
        jobArn: JOB_ARN,
        signedMs: NOW_MS,
        expiresMs: NOW_MS + 30 * DAY_MS,
        chain: [fingerprintOf(one.certificate)],
      });
      assert.deepEqual(Object.keys(unzipSync(zip)), [...Object.keys(FILES), SIGNATURE_FILE]);
    });
  }

  test("survives that the zip is compressed otherwise", async () => {
    const zip = rewritten(signed, (files) =>
      Object.fromEntries(
        Object.entries(files).map(([name, data]) => [
          name,
          [data, { level: 0, os: name === SIGNATURE_FILE ? 3 : 0 }],
        ]),
      ),
    );
    assert.notDeepEqual(zip, signed);
    assert.equal((await read(zip)).jobArn, JOB_ARN);
  });

  test("is one for OpenSSL too", async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "hornero-sign-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const digest = await digestZip(signed, SIGNATURE_FILE, LIMITS);
    assert.ok(digest);
    const file = (name: string, content: Uint8Array | string) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const options = ["-inform", "PEM", "-binary", "-purpose", "any", "-no_check_time", "-out", "/dev/null"];
    const verify = (content: Uint8Array) =>
      execFileSync(
        "openssl",
        [
          "cms",
          "-verify",
          ...options,
          "-in",
          file("signature.pem", digest.apart),
          "-content",
          file("content", content),
          "-CAfile",
          file("ca.pem", signer.certificate.toString()),
        ],
        { stdio: "pipe" },
      );
    verify(digest.contentSha384);
    assert.throws(() => verify(digest.directorySha384), /verif|digest/i);
  });

  test("of AWS Signer's form is read: no directory, indefinite lengths, a fraction of a second", async () => {
    const unsigned = zipSync({ ...FILES, "META_INF/": new Uint8Array() });
    const placed = zipSync({ ...unzipSync(unsigned), [SIGNATURE_FILE]: new Uint8Array() });
    const digest = await digestZip(placed, SIGNATURE_FILE, LIMITS);
    assert.ok(digest);
    const text = (value: string) => encode(TAG.utf8String, Buffer.from(value));
    const pem = signCms(digest.contentSha384, {
      key: signer.key,
      certificates: [signer.certificate],
      attributes: [
        [ATTRIBUTE.signingTime, encode(TAG.generalizedTime, Buffer.from("20261123180000.806Z"))],
        [ATTRIBUTE.expiry, encodeGeneralizedTime(NOW_MS + DAY_MS)],
        [ATTRIBUTE.jobArn, text(JOB_ARN)],
        [ATTRIBUTE.profileVersionArn, text(PROFILE_ARN)],
      ],
    });
    // SEQUENCE { OID, [0] { … } }, both without a length and with an end mark.
    const der = Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ""), "base64");
    const oid = der.subarray(4, 15);
    assert.equal(oid[0], TAG.oid);
    const inner = der.subarray(19);
    const indefinite = Buffer.concat([
      Buffer.from([0x30, 0x80]),
      oid,
      Buffer.from([0xa0, 0x80]),
      inner,
      Buffer.alloc(4),
    ]);
    const body = `-----BEGIN PKCS7-----\n${indefinite.toString("base64")}\n-----END PKCS7-----\n`;
    const zip = zipSync({ ...unzipSync(unsigned), [SIGNATURE_FILE]: Buffer.from(body) });
    assert.equal((await read(zip)).signedMs, NOW_MS + 806);
  });
});

describe("what was changed after it was signed is found out", () => {
  const changes: [string, (files: Record<string, Uint8Array>) => Zippable][] = [
    ["a byte", (files) => ({ ...files, "index.js": Buffer.from("exports.handler = async () => 2;") })],
    [
      "a file more",
      ({ [SIGNATURE_FILE]: signature = Buffer.alloc(0), ...files }) => ({
        ...files,
        "more.js": Buffer.from("1"),
        [SIGNATURE_FILE]: signature,
      }),
    ],
    ["a file less", (files) => without(files, "lib/a.js")],
    ["an empty folder more", (files) => ({ ...files, "empty/": new Uint8Array() })],
    ["another order", (files) => Object.fromEntries(Object.entries(files).toReversed())],
    [
      "a byte that moves from the content into the name",
      (files) => {
        const { [SIGNATURE_FILE]: signature = Buffer.alloc(0), ...others } = without(files, "lib/a.js");
        return { ...others, "lib/a.jsb": Buffer.from("c"), [SIGNATURE_FILE]: signature };
      },
    ],
    [
      "a file that becomes executable",
      (files) => ({
        ...files,
        "index.js": [files["index.js"] ?? Buffer.alloc(0), { os: 3, attrs: (0o100755 << 16) >>> 0 }],
      }),
    ],
    [
      "a file that becomes a link",
      (files) => ({
        ...files,
        "lib/a.js": [files["lib/a.js"] ?? Buffer.alloc(0), { os: 3, attrs: (0o120777 << 16) >>> 0 }],
      }),
    ],
    [
      "a byte of the signature",
      ({ [SIGNATURE_FILE]: signature = Buffer.alloc(0), ...files }) => {
        const text = Buffer.from(signature).toString();
        const at = text.length - 60;
        const other = text[at] === "A" ? "B" : "A";
        return {
          ...files,
          [SIGNATURE_FILE]: Buffer.from(`${text.slice(0, at)}${other}${text.slice(at + 1)}`),
        };
      },
    ],
    [
      "a signature that is none",
      (files) => ({ ...files, [SIGNATURE_FILE]: Buffer.from("signed, honestly") }),
    ],
  ];
  for (const [what, change] of changes) {
    test(what, async () => {
      const zip = rewritten(signed, change);
      await assert.rejects(read(zip), isInvalid);
    });
  }

  test("a name that an extra field overrules is the name that counts", async () => {
    // The Info-ZIP Unicode path of index.js says another.js: readers of zips take that name.
    const raw = Buffer.from("index.js");
    const path = Buffer.alloc(5);
    path.writeUInt8(1, 0);
    path.writeUInt32LE(crc32(raw), 1);
    const field = Buffer.concat([path, Buffer.from("other.js")]);
    const zip = rewritten(signed, (files) => ({
      ...files,
      "index.js": [files["index.js"] ?? Buffer.alloc(0), { extra: { 0x7075: field } }],
    }));
    await assert.rejects(read(zip), isInvalid);
  });

  test("whatever byte of the signature changes: it is refused, or says the same", async () => {
    const digest = await digestZip(signed, SIGNATURE_FILE, LIMITS);
    assert.ok(digest);
    const { chain: _, ...claims } = readSignature(digest);
    const der = Buffer.from(
      Buffer.from(digest.apart)
        .toString()
        .replaceAll(/-----[^-]+-----/g, ""),
      "base64",
    );
    let refused = 0;
    for (let at = 0; at < der.length; at += 1) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const body = `-----BEGIN PKCS7-----\n${changed.toString("base64")}\n-----END PKCS7-----\n`;
      try {
        const { chain: _ofWhomever, ...said } = readSignature({ ...digest, apart: Buffer.from(body) });
        assert.deepEqual(said, claims);
      } catch (error) {
        if (!isInvalid(error)) throw error;
        refused += 1;
      }
    }
    assert.ok(refused > der.length / 2);
  });

  test("texts that are no PEM, short or long, are refused at once", async () => {
    const digest = await digestZip(signed, SIGNATURE_FILE, LIMITS);
    assert.ok(digest);
    const blank = " ".repeat(60_000);
    for (const text of [
      "",
      "-----BEGIN CMS-----",
      `-----BEGIN CMS-----${blank}`,
      `${blank}x`,
      "0".repeat(60_000),
    ]) {
      assert.throws(() => readSignature({ ...digest, apart: Buffer.from(text) }), isInvalid);
    }
    const deep = Buffer.alloc(30_000, Buffer.from([0x30, 0x80]));
    const apart = Buffer.from(`-----BEGIN CMS-----\n${deep.toString("base64")}\n-----END CMS-----`);
    assert.throws(() => readSignature({ ...digest, apart }), isInvalid);
  });

  test("the signature of another key under the same certificate is none", async () => {
    const impostor: Identity = { ...signer, key: newKey() };
    const zip = await signedBy(zipSync(FILES), [impostor], { signedMs: NOW_MS });
    await assert.rejects(read(zip), isInvalid);
  });
});

test("a zip without exactly that entry is not signed", async () => {
  assert.equal(await digestZip(zipSync(FILES), SIGNATURE_FILE, LIMITS), undefined);
  const almost = zipSync({ ...FILES, [`./${SIGNATURE_FILE}`]: Buffer.from("x") });
  assert.equal(await digestZip(almost, SIGNATURE_FILE, LIMITS), undefined);
});

test("a zip is signed once, and what is no zip not at all", async () => {
  await assert.rejects(signedBy(signed, [signer], { signedMs: NOW_MS }), SigningError);
  await assert.rejects(signedBy(Buffer.from("no zip"), [signer], { signedMs: NOW_MS }), ZipRefused);
});

describe("the chain of who vouches for whom", () => {
  const root = newIdentity("root", { ...VALID, ca: true });
  const middle = newIdentity("middle", { ...VALID, ca: true, issuer: root });
  const leaf = newIdentity("leaf", { ...VALID, issuer: middle });
  const chainOf = async (...signers: [Identity, ...Identity[]]) =>
    (await read(await signedBy(zipSync(FILES), signers, { signedMs: NOW_MS }))).chain;
  const named = (...identities: Identity[]) =>
    identities.map(({ certificate }) => fingerprintOf(certificate));

  test("goes from the signer to the root, in whatever order the certificates come", async () => {
    assert.deepEqual(await chainOf(leaf, root, middle), named(leaf, middle, root));
  });

  test("goes all ways when several authorities vouch for one", async () => {
    const other = newIdentity("other", { ...VALID, ca: true });
    // As when a root is replaced: the same name and key, in a certificate of the other's.
    const crossed = newIdentity("middle", { ...VALID, ca: true, issuer: other, key: middle.key });
    const chain = await chainOf(leaf, middle, crossed, root, other);
    assert.deepEqual(chain.toSorted(), named(leaf, middle, crossed, root, other).toSorted());
  });

  test("ends where a certificate is missing, or has nothing to do with it", async () => {
    assert.deepEqual(await chainOf(leaf, root), named(leaf));
    const other = newIdentity("root", { ...VALID, ca: true });
    assert.deepEqual(await chainOf(leaf, middle, other), named(leaf, middle));
  });

  test("ends before a certificate that is no authority's", async () => {
    const person = newIdentity("person", { ...VALID, issuer: root });
    const forged = newIdentity("forged", { ...VALID, issuer: person });
    assert.deepEqual(await chainOf(forged, person, root), named(forged));
  });

  test("is the signer alone when its certificate was not made for code signing", async () => {
    const website = newIdentity("website", { ...VALID, issuer: root, forCodeSigning: false });
    assert.deepEqual(await chainOf(website, root), named(website));
  });

  test("ends before an authority whose signature anybody may have made: SHA-1, a weak key, an unusual curve", async () => {
    const hashed = newIdentity("hashed", { ...VALID, issuer: root, weakHash: true });
    assert.deepEqual(await chainOf(hashed, root), named(hashed));
    for (const kind of ["weak", "unusual"] as const) {
      const authority = newIdentity(kind, { ...VALID, ca: true, key: newKey(kind) });
      const subject = newIdentity("subject", { ...VALID, issuer: authority });
      assert.deepEqual(await chainOf(subject, authority), named(subject), kind);
      await assert.rejects(chainOf(newIdentity("self", { ...VALID, key: newKey(kind) })), isInvalid, kind);
    }
  });

  test("ends before an authority, and does not begin with a signer, that was not valid when the code was signed", async () => {
    const old = newIdentity("old", { validFromMs: 0, validToMs: NOW_MS - 1000, ca: true });
    const late = newIdentity("late", { ...VALID, issuer: old });
    assert.deepEqual(await chainOf(late, old), named(late));
    const gone = newIdentity("gone", { validFromMs: 0, validToMs: NOW_MS - 1000 });
    assert.deepEqual(await chainOf(gone), []);
  });
});
