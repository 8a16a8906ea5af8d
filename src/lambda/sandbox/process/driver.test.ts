// Goal: the process driver keeps the sandbox contract as far as it can without walls, says what it cannot, and cleans up
// after a server that was killed.
// Method: the conformance suite; a server process of its own that is killed with a sandbox running; the path rewriting
// and the merging of layers on their own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { systemClock } from "../../../kernel/clock.ts";
import { sandboxSuite } from "../conformance.ts";
import { createProcessDriver } from "./driver.ts";
import { linkMerged, rewritePaths } from "./paths.ts";

sandboxSuite("process", ({ data }) => createProcessDriver({ clock: systemClock, dataDirectory: data }), {
  extraVariables: ["HORNERO_SANDBOX_ID"],
});

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hornero-process-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

suite("rewritePaths", () => {
  const rewrite = (text: string) => rewritePaths(text, "/data/s1");

  test("replaces AWS's paths where a path begins and ends", () => {
    assert.equal(rewrite("/var/task"), "/data/s1/task");
    assert.equal(rewrite("/var/task/bootstrap"), "/data/s1/task/bootstrap");
    assert.equal(
      rewrite("/opt/nodejs:/var/runtime:/var/lang/bin"),
      "/data/s1/opt/nodejs:/data/s1/runtime:/data/s1/lang/bin",
    );
    assert.equal(rewrite("--require=/opt/a.js"), "--require=/data/s1/opt/a.js");
    assert.equal(
      rewrite('-javaagent:"/opt/a b.jar" -cp /var/task'),
      '-javaagent:"/data/s1/opt/a b.jar" -cp /data/s1/task',
    );
  });

  test("leaves everything else alone", () => {
    for (const text of [
      "",
      "/usr/bin:/bin",
      "/var/tasks",
      "/var/task2/x",
      "/optional",
      "https://host/opt/x",
      "/home/opt",
      "a/var/task",
    ]) {
      assert.equal(rewrite(text), text);
    }
  });
});

suite("linkMerged", () => {
  test("merges folders, later files win, and a file hides a folder", async (t) => {
    const folder = temporaryFolder(t);
    const source = (name: string, files: readonly string[]) => {
      for (const file of files) {
        mkdirSync(dirname(join(folder, name, file)), { recursive: true });
        writeFileSync(join(folder, name, file), `${name}/${file}`);
      }
      return join(folder, name);
    };
    const target = join(folder, "target");
    mkdirSync(target);
    await linkMerged(target, [
      source("one", ["only/x", "both/a", "both/b", "both/deep/c", "was-folder/x", "was-file"]),
      source("two", ["both/b", "both/deep/d", "was-folder", "was-file/x"]),
    ]);
    const read = (file: string) => readFileSync(join(target, file), "utf8");
    assert.equal(read("only/x"), "one/only/x");
    assert.equal(read("both/a"), "one/both/a");
    assert.equal(read("both/b"), "two/both/b");
    assert.equal(read("both/deep/c"), "one/both/deep/c");
    assert.equal(read("both/deep/d"), "two/both/deep/d");
    assert.equal(read("was-folder"), "two/was-folder");
    assert.equal(read("was-file/x"), "two/was-file/x");
    assert.deepEqual(readdirSync(target).toSorted(), ["both", "only", "was-file", "was-folder"]);
  });
});

test("a new driver ends what a killed server left running", async (t) => {
  const data = temporaryFolder(t);
  const source = `
    import { createProcessDriver } from ${JSON.stringify(join(import.meta.dirname, "driver.ts"))};
    import { systemClock } from ${JSON.stringify(join(import.meta.dirname, "../../../kernel/clock.ts"))};
    const driver = createProcessDriver({ clock: systemClock, dataDirectory: ${JSON.stringify(data)} });
    await driver.start();
    const sandbox = await driver.create({
      id: "left", root: { key: "none" }, command: ["/bin/sh", "-c", "echo $$; while :; do sleep 1; done"],
      environment: { PATH: "/usr/bin:/bin" }, memoryMb: 128, ephemeralStorageMb: 512, link: false });
    sandbox.output.pipe(process.stdout);`;
  const server = spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => server.kill("SIGKILL"));
  const [line] = (await once(server.stdout, "data")) as [Buffer];
  const pid = Number(line.toString());
  server.kill("SIGKILL");
  await once(server, "exit");
  const isRunning = () => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  };
  assert(isRunning(), "it outlived its server");
  const driver = createProcessDriver({ clock: systemClock, dataDirectory: data });
  await driver.start();
  assert(!isRunning());
  await driver.close();
  assert.deepEqual(readdirSync(data), []);
});

test("says of every wall that it does not hold, and what would mend it", () => {
  const { walls } = createProcessDriver({ clock: systemClock, dataDirectory: tmpdir() });
  const held = Object.entries(walls).filter(([, wall]) => wall.holds);
  assert.deepEqual(
    held.map(([name]) => name),
    ["egress"],
  );
  assert.match(walls.filesystem.detail, /bubblewrap/);
});
