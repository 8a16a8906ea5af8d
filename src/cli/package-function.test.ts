// Goal: a folder becomes the deployment package that its owner means: the right runtime and handler, every file with its bits and
//   links, and always the same bytes for the same content.
// Method: folders made by the test; the zips are read back with another library (yauzl) than the one that wrote them.
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import * as fc from "fast-check";
import yauzl from "yauzl";
import { RUNTIMES } from "../lambda/runtimes/runtimes.ts";
import { CliError } from "./errors.ts";
import { detectShape, zipFolder } from "./package-function.ts";

let root: string;
before(() => void (root = mkdtempSync(join(tmpdir(), "hornero-package-function-"))));
after(() => rmSync(root, { recursive: true }));

function folder(files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(root, "f-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

interface Entry {
  readonly content: string;
  /** As `stat` has it: type and permissions. */
  readonly mode: number;
}

const open = promisify<Buffer, yauzl.Options, yauzl.ZipFile>(yauzl.fromBuffer);

async function unzip(zip: Buffer): Promise<Record<string, Entry>> {
  const archive = await open(zip, { lazyEntries: true });
  const read = promisify(archive.openReadStream.bind(archive));
  const entries: Record<string, Entry> = {};
  archive.readEntry();
  await new Promise<void>((resolve, reject) => {
    archive.on("error", reject);
    archive.on("end", resolve);
    archive.on("entry", (entry: yauzl.Entry) => {
      void (async () => {
        const content = await text((await read(entry)) as NodeJS.ReadableStream);
        entries[entry.fileName] = { content, mode: entry.externalFileAttributes >>> 16 };
        archive.readEntry();
      })().catch(reject);
    });
  });
  return entries;
}

describe("detectShape", () => {
  const shapes: readonly [Readonly<Record<string, string>>, string, RegExp][] = [
    [{ "index.mjs": "" }, "index.handler", /^nodejs24\.x$/],
    [{ "index.js": "", "package.json": "{}" }, "index.handler", /^nodejs24\.x$/],
    [{ "index.cjs": "", "app.py": "" }, "index.handler", /^nodejs24\.x$/],
    [
      { "lib/main.mjs": "", "package.json": '{"main": "./lib/main.mjs"}' },
      "lib/main.handler",
      /^nodejs24\.x$/,
    ],
    [{ "index.js": "", "package.json": '{"main": "../outside.js"}' }, "index.handler", /^nodejs24\.x$/],
    [
      { "lambda_function.py": "def lambda_handler(e, c): pass" },
      "lambda_function.lambda_handler",
      /^python3\.\d+$/,
    ],
    [{ "app.py": "import os\n\ndef handler(event, context):\n  pass" }, "app.handler", /^python3\.\d+$/],
    [{ "main.py": "async def main(event, context): pass" }, "main.main", /^python3\.\d+$/],
    [
      { "index.py": "  def handler(): indented, so of something else" },
      "index.lambda_handler",
      /^python3\.\d+$/,
    ],
    [{ bootstrap: "#!/bin/sh", "index.mjs": "" }, "bootstrap", /^provided\.al2023$/],
  ];
  for (const [files, handler, runtime] of shapes)
    it(`${Object.entries(files).flat().join(" ")}: ${handler}`, () => {
      const shape = detectShape(folder(files));
      assert.equal(shape.handler, handler);
      assert.match(shape.runtime, runtime);
      assert.equal(RUNTIMES.get(shape.runtime)?.runs, true);
    });

  for (const [answer, runtime] of [
    ["echo python3.12", "python3.12"],
    ["echo python3.99", "python3.13"],
    ["echo python3.12; exit 1", "python3.13"],
  ] as const)
    it(`takes the Python of a machine whose python3 does '${answer}' for ${runtime}`, (t) => {
      const bin = folder({ python3: `#!/bin/sh\n${answer}\n` });
      chmodSync(join(bin, "python3"), 0o755);
      const path = process.env["PATH"] ?? "";
      process.env["PATH"] = [bin, path].join(delimiter);
      t.after(() => void (process.env["PATH"] = path));
      assert.equal(detectShape(folder({ "app.py": "" })).runtime, runtime);
    });

  it("says what it looked for when nothing is there", () => {
    assert.throws(
      () => detectShape(folder({ "README.md": "" })),
      (error) => error instanceof CliError && /bootstrap.*--runtime/.test(error.hint ?? ""),
    );
    assert.throws(
      () => detectShape(folder({ "package.json": "{", "index.js": "" })),
      /package\.json is not JSON/,
    );
  });
});

describe("zipFolder", () => {
  it("holds every file by its path, executables executable, links as links", async () => {
    const path = folder({ bootstrap: "#!/bin/sh", "lib/deep/code.py": "x = 1", "ünï cödé.txt": "" });
    chmodSync(join(path, "bootstrap"), 0o700);
    symlinkSync("deep/code.py", join(path, "lib", "link.py"));
    symlinkSync("nowhere", join(path, "broken"));
    symlinkSync("lib", join(path, "folder"));
    assert.deepEqual(await unzip(zipFolder(path)), {
      bootstrap: { content: "#!/bin/sh", mode: 0o100_755 },
      "lib/deep/code.py": { content: "x = 1", mode: 0o100_644 },
      "ünï cödé.txt": { content: "", mode: 0o100_644 },
      "lib/link.py": { content: "deep/code.py", mode: 0o120_777 },
      broken: { content: "nowhere", mode: 0o120_777 },
      folder: { content: "lib", mode: 0o120_777 },
    });
  });

  it("is readable by all, whatever the folder's own permissions say", async () => {
    const path = folder({ "secret.py": "" });
    chmodSync(join(path, "secret.py"), 0o600);
    assert.equal((await unzip(zipFolder(path)))["secret.py"]?.mode, 0o100_644);
  });

  it("leaves out what is never part of a function, wherever it lies", async () => {
    const path = folder({
      "app.py": "",
      ".git/HEAD": "",
      "lib/__pycache__/app.pyc": "",
      ".venv/bin/python": "",
      ".DS_Store": "",
      ".env": "kept",
    });
    assert.deepEqual(Object.keys(await unzip(zipFolder(path))).sort(), [".env", "app.py"]);
  });

  it("is the same for the same content, whenever and in whichever order it was written", () => {
    const name = fc.string({
      minLength: 1,
      maxLength: 8,
      unit: fc.constantFrom("a", "Z", "0", "-", "_", "b"),
    });
    fc.assert(
      fc.property(
        fc.dictionary(name, fc.string(), { minKeys: 1, maxKeys: 6, noNullPrototype: true }),
        (files) => {
          const entries = Object.entries(files);
          const [one, other] = [folder(files), folder(Object.fromEntries(entries.toReversed()))];
          for (const [file] of entries) utimesSync(join(other, file), 1, 1e9);
          assert.ok(zipFolder(one).equals(zipFolder(other)));
        },
      ),
      { numRuns: 30 },
    );
  });

  it("differs when a content, a name, a bit or a link does", () => {
    const base = { "a.txt": "1", "b.txt": "2" };
    const changed = [base, { ...base, "a.txt": "3" }, { "a.txt": "1", "c.txt": "2" }].map(folder);
    const executable = folder(base);
    chmodSync(join(executable, "a.txt"), 0o755);
    const linked = folder({ "a.txt": "1" });
    symlinkSync("2", join(linked, "b.txt"));
    const zips = [...changed, executable, linked].map((path) => zipFolder(path).toString("base64"));
    assert.equal(new Set(zips).size, zips.length);
  });

  it("refuses a folder without a file", () => {
    assert.throws(() => zipFolder(folder({})), /is empty/);
    assert.throws(() => zipFolder(folder({ ".git/HEAD": "" })), /is empty/);
  });
});
