// Goal: artefacts are there whole or not at all, go with their code, and cannot be written anywhere else.
// Method: a folder of the test's own; what a crash would leave is put there by hand.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ArtefactFolders, isArtefactPath, type ArtefactFiles } from "./artefact-folders.ts";

const CODE = "ab".repeat(32);
const OTHER_CODE = "cd".repeat(32);
const nameOf = (code: string, number: number) => `${code}-${String(number).padStart(16, "0")}`;
const files = (content: string): ArtefactFiles =>
  new Map([["compiled/v24/a1", [Buffer.from(content), Buffer.from("!")]]]);

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "hornero-artefacts-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test("what was put is found, also after a restart; what a crash left half-done is gone", async (t) => {
  const path = directory(t);
  const folders = await ArtefactFolders.open(path);
  const name = nameOf(CODE, 1);
  assert.equal(folders.find(name), undefined);
  await folders.put(name, files("first"));
  await folders.put(name, files("second"));
  mkdirSync(join(path, "new-0011223344556677"));
  writeFileSync(join(path, "stray"), "");
  const reopened = await ArtefactFolders.open(path);
  assert.deepEqual(readdirSync(path), [name]);
  for (const each of [folders, reopened]) {
    const found = each.find(name) ?? "";
    assert.equal(readFileSync(join(found, "compiled/v24/a1"), "utf8"), "second!");
    assert.equal(statSync(join(found, "compiled")).mode & 0o777, 0o755);
  }
});

test("all of one code goes with it, and nothing else", async (t) => {
  const path = directory(t);
  const folders = await ArtefactFolders.open(path);
  for (const name of [nameOf(CODE, 1), nameOf(CODE, 2), nameOf(OTHER_CODE, 1)])
    await folders.put(name, files("x"));
  await folders.removeOf(CODE);
  assert.equal(folders.find(nameOf(CODE, 1)), undefined);
  assert.deepEqual(readdirSync(path), [nameOf(OTHER_CODE, 1)]);
});

test("of one code only so many are kept: the first give way", async (t) => {
  const path = directory(t);
  const folders = await ArtefactFolders.open(path);
  for (let number = 0; number < 20; number += 1) await folders.put(nameOf(CODE, number), files("x"));
  assert.equal(readdirSync(path).length, 16);
  assert.equal(folders.find(nameOf(CODE, 3)), undefined);
  assert.notEqual(folders.find(nameOf(CODE, 19)), undefined);
});

test("no name leads out of the folder, and nothing is left of what failed", async (t) => {
  const path = directory(t);
  const folders = await ArtefactFolders.open(path);
  await assert.rejects(folders.put("../x", files("x")), /not a name/);
  for (const bad of [
    "../x",
    "/x",
    "a/../../x",
    "",
    "a//b",
    "a/",
    "./a",
    "a\0b",
    ".a",
    "a/.b",
    "x".repeat(256),
  ]) {
    assert.equal(isArtefactPath(bad), false, bad);
    await assert.rejects(folders.put(nameOf(CODE, 1), new Map([[bad, []]])), /not a path/);
  }
  assert.deepEqual(readdirSync(path), []);
});
