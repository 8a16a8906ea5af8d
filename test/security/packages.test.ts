// Goal: no deployment package writes outside of its folder, costs more than the limits allow, or brings in anything but
// plain files; the server goes on.
// Method: zips made byte by byte, with what no zip tool would write, are deployed to a real server; those that are taken
// are looked at from inside.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32, deflateRawSync } from "node:zlib";
import { useArena } from "./arena/arena.ts";

const arena = useArena();

interface Entry {
  readonly name: string;
  readonly content?: Buffer | string;
  /** Unix mode with the file's type; a plain file when absent. */
  readonly mode?: number;
  /** What the directory says instead of the truth. */
  readonly claimedBytes?: number;
}

const FILE = 0o100_644;
const LINK = 0o120_777;
const DEFLATED = 8;

/** A zip with exactly these entries, however senseless. */
function zip(entries: readonly Entry[]): Buffer {
  const local: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { name, content = "", mode = FILE, claimedBytes } of entries) {
    const raw = Buffer.from(content);
    const packed = deflateRawSync(raw);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x0800, 2);
    common.writeUInt16LE(DEFLATED, 4);
    common.writeUInt32LE(crc32(raw), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(claimedBytes ?? raw.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const header = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), common, Buffer.from(name), packed]);
    const record = Buffer.alloc(46);
    record.write("PK\x01\x02", "latin1");
    record.writeUInt16LE((3 << 8) | 20, 4);
    common.copy(record, 6);
    record.writeUInt32LE((mode << 16) >>> 0, 38);
    record.writeUInt32LE(offset, 42);
    local.push(header);
    central.push(record, Buffer.from(name));
    offset += header.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...local, directory, end]);
}

const HANDLER: Entry = { name: "index.mjs", content: "export const handler = () => 'ran';" };
const escaped = () => join(arena().dataDirectory, "escaped");

/** Each of them must be refused with AWS's InvalidParameterValueException. */
const REFUSED: Readonly<Record<string, () => Buffer>> = {
  "a name that climbs": () => zip([HANDLER, { name: "../../../escaped", content: "x" }]),
  "a name that climbs inside": () => zip([HANDLER, { name: "a/../../../../escaped", content: "x" }]),
  "a name that climbs backwards": () => zip([HANDLER, { name: "..\\..\\escaped", content: "x" }]),
  "a name with a zero byte": () => zip([HANDLER, { name: "a\0b", content: "x" }]),
  "a link to a file of the host": () => zip([HANDLER, { name: "l", content: "/etc/shadow", mode: LINK }]),
  "a link that climbs": () => zip([HANDLER, { name: "l", content: "../../../../etc", mode: LINK }]),
  "a file through a link": () =>
    zip([HANDLER, { name: "l", content: "..", mode: LINK }, { name: "l/escaped", content: "x" }]),
  "a link and a file of one name": () =>
    zip([HANDLER, { name: "l", content: "index.mjs", mode: LINK }, { name: "l", content: "x" }]),
  "a file that is a folder": () => zip([HANDLER, { name: "a", content: "x" }, { name: "a/b", content: "x" }]),
  "a block device": () => zip([HANDLER, { name: "disk", mode: 0o060_666 }]),
  "a character device": () => zip([HANDLER, { name: "mem", mode: 0o020_666 }]),
  "a pipe": () => zip([HANDLER, { name: "pipe", mode: 0o010_666 }]),
  "a socket": () => zip([HANDLER, { name: "socket", mode: 0o140_666 }]),
  "a bomb that tells its size": () => zip([HANDLER, { name: "bomb", content: Buffer.alloc(280_000_000) }]),
  "a bomb that lies": () =>
    zip([HANDLER, { name: "bomb", content: Buffer.alloc(280_000_000), claimedBytes: 10 }]),
  "more entries than allowed": () =>
    zip(Array.from({ length: 65_000 }, (_, n) => ({ name: `${n}/`.repeat(3), mode: 0o040_755 }))),
  "an absolute name": () => zip([HANDLER, { name: "/escaped", content: "x" }]),
};

test("hostile packages are refused, and leave nothing outside", async () => {
  await arena().during(async () => {
    for (const [what, make] of Object.entries(REFUSED)) {
      const name = what.replaceAll(/\W/g, "-").slice(0, 60);
      const deployed = arena().deploy(name, { runtime: "nodejs24.x", zip: make() });
      await assert.rejects(
        deployed,
        { name: /^(InvalidParameterValue|CodeStorageExceeded)Exception$/ },
        what,
      );
    }
  });
  for (const path of [escaped(), "/escaped", join(arena().dataDirectory, "code", "escaped")]) {
    assert(!existsSync(path), path);
  }
  assert.doesNotMatch(arena().words, /ERROR/);
});

test("set-user-ID bits, owners and odd names of a package mean nothing", async () => {
  const package_ = zip([
    {
      name: "index.py",
      content:
        "import os\ndef handler(event, context):\n    exec(event['code'], globals())\n    return result\n",
    },
    { name: "program", content: "#!/bin/sh\nid -u\n", mode: 0o106_777 },
    { name: "sticky/", mode: 0o041_777 },
    { name: "--help", content: "x" },
    { name: "line\nbreak \u202e", content: "x" },
    { name: "link", content: "program", mode: LINK },
  ]);
  await arena().deploy("odd", { runtime: "python3.11", zip: package_ });
  const { payload } = await arena().invoke("odd", {
    code: `
import subprocess
result = {
    "mode": oct(os.stat("/var/task/program").st_mode),
    "link": os.readlink("/var/task/link"),
    "ran": subprocess.run(["/var/task/program"], capture_output=True, text=True).stdout.strip(),
    "sticky": oct(os.stat("/var/task/sticky").st_mode),
}`,
  });
  assert.deepEqual(payload, { mode: "0o100755", link: "program", ran: "993", sticky: "0o40755" });
});
