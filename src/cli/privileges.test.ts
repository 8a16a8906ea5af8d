// Goal: a server that starts as root gives its data, and nothing else, to its own user, and then is that user for good.
// Method: folders with links in them; the step itself in a process of its own. Without root there is nothing to give up.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { prepareDataDirectory } from "./privileges.ts";

const USER = "hornero";
const isRoot = process.getuid?.() === 0;
const serverUid = spawnSync("id", ["-u", USER], { encoding: "utf8" }).stdout.trim();
const needsRoot = isRoot && serverUid !== "" ? false : `needs root and a user '${USER}'`;

describe("giving up root", () => {
  let parent: string;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), "privileges-"));
    chmodSync(parent, 0o755);
  });
  afterEach(() => rmSync(parent, { recursive: true }));

  const uidOf = (...parts: string[]) => String(lstatSync(join(parent, ...parts)).uid);

  it(
    "makes the data folder for its owner alone, and the folders in it",
    { skip: isRoot && needsRoot },
    () => {
      const data = join(parent, "new", "data");
      prepareDataDirectory(data, [join(data, "code"), join(data, "runtimes")]);
      assert.equal(lstatSync(data).mode & 0o777, 0o700);
      assert.ok(lstatSync(join(data, "code")).isDirectory());
      prepareDataDirectory(data, [join(data, "code"), join(data, "runtimes")]);
    },
  );

  it("gives what is there to the server's user", { skip: needsRoot }, () => {
    const data = join(parent, "data");
    mkdirSync(join(data, "deep", "deeper"), { recursive: true });
    writeFileSync(join(data, "deep", "deeper", "file"), "x");
    prepareDataDirectory(data, [join(data, "code")]);
    for (const path of [
      ["data"],
      ["data", "code"],
      ["data", "deep", "deeper"],
      ["data", "deep", "deeper", "file"],
    ])
      assert.equal(uidOf(...path), serverUid, path.join("/"));
  });

  it("follows the link that the data folder is itself", { skip: needsRoot }, () => {
    mkdirSync(join(parent, "disk"));
    symlinkSync(join(parent, "disk"), join(parent, "data"));
    prepareDataDirectory(join(parent, "data"), [join(parent, "data", "code")]);
    assert.deepEqual([uidOf("disk"), uidOf("disk", "code"), uidOf("data")], [serverUid, serverUid, "0"]);
  });

  it("gives away nothing that a link in the folder leads to", { skip: needsRoot }, () => {
    const data = join(parent, "data");
    mkdirSync(data);
    mkdirSync(join(parent, "outside"));
    writeFileSync(join(parent, "outside", "file"), "x");
    symlinkSync(join(parent, "outside"), join(data, "folder-link"));
    symlinkSync(join(parent, "outside", "file"), join(data, "file-link"));
    linkSync(join(parent, "outside", "file"), join(data, "hard-link"));
    prepareDataDirectory(data, []);
    assert.equal(uidOf("data"), serverUid);
    assert.deepEqual([uidOf("outside"), uidOf("outside", "file")], ["0", "0"]);
  });

  it("does not follow a link that stands where one of its folders was", { skip: needsRoot }, () => {
    const data = join(parent, "data");
    prepareDataDirectory(data, [join(data, "code")]);
    mkdirSync(join(parent, "outside"));
    rmSync(join(data, "code"), { recursive: true });
    symlinkSync(join(parent, "outside"), join(data, "code"));
    prepareDataDirectory(data, [join(data, "code")]);
    assert.equal(uidOf("outside"), "0");
  });

  /** What a process tells after it became the server's user, which a plain user's process already is. */
  function become(dataDirectory: string): { status: number | null; stdout: string; stderr: string } {
    const script = `
      import { becomeServerUser } from ${JSON.stringify(join(import.meta.dirname, "privileges.ts"))};
      becomeServerUser(${JSON.stringify(dataDirectory)});
      let back = "no";
      try { process.setuid(0); back = "yes"; } catch {}
      console.log(JSON.stringify([process.getuid(), process.geteuid(), process.getgroups().length, process.env.HOME, back]));`;
    return spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      encoding: "utf8",
      env: { ...process.env, HOME: "/root" },
    });
  }

  it("becomes the server's user, without a way back", { skip: needsRoot }, () => {
    const data = join(parent, "data");
    prepareDataDirectory(data, []);
    const { status, stdout, stderr } = become(data);
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), [Number(serverUid), Number(serverUid), 1, data, "no"]);
  });

  it("says what to do when that user cannot use the data folder", { skip: needsRoot }, () => {
    const data = join(parent, "closed", "data");
    prepareDataDirectory(data, []);
    chmodSync(join(parent, "closed"), 0o700);
    const { status, stderr } = become(data);
    assert.notEqual(status, 0);
    assert.match(stderr, /the user 'hornero' cannot read .* or use .*closed\/data/);
  });

  it("changes nothing for a plain user", { skip: isRoot && "is root" }, () => {
    const { status, stdout } = become(parent);
    assert.equal(status, 0);
    assert.equal(
      (JSON.parse(stdout) as unknown[])[0],
      Number(execFileSync("id", ["-u"], { encoding: "utf8" })),
    );
  });
});
