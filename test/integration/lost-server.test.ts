// Goal: the command line never takes what an earlier server left for a running one, and `stop` ends the right process.
// Method: servers that are killed, stopped and replaced; what `env` prints is evaluated by a real shell.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { readServerFile } from "../../src/cli/server-file.ts";
import { hornero, startProgram } from "../support/cli.ts";
import { nothingLeft, startTestServer } from "../support/server.ts";

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hornero-lost-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe("a server that was killed", () => {
  it("is not taken for a running one, and the next start takes over", async (t) => {
    const data = temporaryFolder(t);
    const killed = await startTestServer({ dataDirectory: data });
    await killed.kill("SIGKILL");
    await nothingLeft(data);
    assert.equal(readServerFile(data)?.pid, killed.pid, "its file is still there");
    for (const command of [["env"], ["stop"], ["ls"]]) {
      const ran = await hornero(command, { data });
      assert.deepEqual([ran.code, ran.stdout], [4, ""], command.join(" "));
      assert.match(ran.stderr, /no server answers at http:/);
    }
    const next = await startTestServer({ dataDirectory: data });
    assert.equal((await hornero(["ls"], { data })).code, 0);
    await next.stop();
  });

  it("is not confused with the server of another folder that has its port by now", async (t) => {
    const other = await startTestServer();
    const data = temporaryFolder(t);
    const stale = { ...other.file, accessKeyId: "AKIAAAAAAAAAAAAAAAAA" };
    writeFileSync(join(data, "server.json"), JSON.stringify(stale));
    for (const command of ["env", "stop"]) {
      const ran = await hornero([command], { data });
      assert.deepEqual([ran.code, ran.stdout], [1, ""], command);
    }
    await other.stop();
  });
});

describe("a running server", () => {
  it("is where `env` points a shell, whatever the shell had before", async () => {
    const server = await startTestServer();
    const printed = await hornero(["env"], { data: server.dataDirectory });
    const script = `${printed.stdout}\necho "$AWS_ENDPOINT_URL $AWS_SECRET_ACCESS_KEY \${AWS_PROFILE-none} \${AWS_SESSION_TOKEN-none}"`;
    const env = { AWS_PROFILE: "work", AWS_SESSION_TOKEN: "old", AWS_SECRET_ACCESS_KEY: "old" };
    const shell = await startProgram("sh", ["-euc", script], { env }).ended;
    assert.equal(shell.stdout, `${server.endpoint} ${server.file.secretAccessKey} none none\n`);
    await server.stop();
  });

  it("is ended by `stop`, which waits for it", async (t) => {
    const data = temporaryFolder(t);
    const server = await startTestServer({ dataDirectory: data });
    const ran = await hornero(["stop"], { data });
    assert.deepEqual([ran.code, ran.stdout, ran.stderr], [0, "stopped\n", ""]);
    await nothingLeft(data);
    assert.equal(readServerFile(data), undefined);
    await server.kill("SIGTERM");
    assert.equal((await hornero(["stop"], { data })).code, 4);
  });
});
