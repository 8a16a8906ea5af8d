// Goal: every command of `hornero` does what docs/cli.md says, for people and for scripts: output, JSON, errors, exit statuses.
// Method: run the command line as processes against one real server, and compare with what the AWS SDK sees there.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { GetFunctionConfigurationCommand, InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { EXIT } from "../../src/cli/errors.ts";
import { readServerFile } from "../../src/cli/server-file.ts";
import { hornero, ROOT, startHornero, type Ran, type RunOptions } from "../support/cli.ts";
import { deploy, eventually, sharedRuntimes } from "../support/functions.ts";
import { createRole, nothingLeft, startTestServer, type TestServer } from "../support/server.ts";

const HELLO = join(ROOT, "examples", "hello");

let server: TestServer;
let folder: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "hornero-cli-"));
  server = await startTestServer({ args: sharedRuntimes });
});
after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** A command for the server. */
function on(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return hornero(args, { data: server.dataDirectory, ...options });
}

async function ok(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const ran = await on(args, options);
  assert.deepEqual({ code: ran.code, stderr: ran.stderr }, { code: EXIT.ok, stderr: "" }, args.join(" "));
  return ran;
}

async function fails(
  args: readonly string[],
  code: number,
  message: RegExp,
  options?: RunOptions,
): Promise<void> {
  const ran = await on(args, options);
  assert.match(ran.stderr, message);
  assert.deepEqual({ code: ran.code, stdout: ran.stdout }, { code, stdout: "" }, args.join(" "));
}

/** A folder with these files, as somebody's function. */
function source(name: string, files: Readonly<Record<string, string>>): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
  return path;
}

describe("hornero deploy", () => {
  it("creates the function by the folder's name, ready to invoke", async () => {
    const { stdout } = await ok(["deploy", HELLO]);
    assert.match(
      stdout,
      /^created hello: nodejs24\.x, index\.handler, 1 KB\n {2}npx hornero invoke hello\n$/,
    );
    const found = await server.lambda().send(new GetFunctionConfigurationCommand({ FunctionName: "hello" }));
    assert.equal(found.State, "Active");
  });

  it("takes runtime, handler, role and variables, and answers in JSON", async () => {
    const path = source("named", {
      "code.mjs": "export const run = () => Promise.resolve(process.env.GREETING);",
    });
    const role = await createRole(server, "somebody");
    const { stdout } = await ok(
      [
        ...["deploy", path, "--runtime", "nodejs24.x", "--handler", "code.run", "--role", role, "--json"],
      ].concat(["--env", "GREETING=a=b c", "--env", "EMPTY="]),
    );
    const { Handler, Role, Environment } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual(
      { Handler, Role, Environment },
      { Handler: "code.run", Role: role, Environment: { Variables: { GREETING: "a=b c", EMPTY: "" } } },
    );
    assert.equal((await ok(["invoke", "named"])).stdout, '"a=b c"\n');
  });

  it("says what is wrong with its arguments", async () => {
    const notes = source("notes", { "notes.txt": "no code" });
    await fails(["deploy"], EXIT.usage, /missing required argument 'dir'/);
    await fails(["deploy", join(folder, "nowhere")], EXIT.usage, /nowhere is not a folder/);
    await fails(["deploy", notes], EXIT.failed, /cannot tell what kind of function .*\n.*--runtime/);
    await fails(["deploy", HELLO, "--env", "NOVALUE"], EXIT.usage, /--env takes NAME=VALUE, not 'NOVALUE'/);
    await fails(
      ["deploy", HELLO, "--memory", "lots"],
      EXIT.usage,
      /--memory takes a whole number, not 'lots'/,
    );
    await fails(["deploy", HELLO, "--colour", "red"], EXIT.usage, /unknown option '--colour'/);
  });

  it("passes on what the server refuses, in AWS's words", async () => {
    await fails(
      ["deploy", HELLO, "--name", "big", "--memory", "99999"],
      EXIT.failed,
      /ValidationException: .*memorySize/,
    );
    await fails(["deploy", HELLO, "--name", "big", "--env", "AWS_REGION=x"], EXIT.failed, /reserved keys/);
  });
});

describe("hornero invoke", () => {
  before(async () => {
    await deploy(server.lambda(), "echo", {
      files: {
        "index.mjs": "export const handler = async (event) => { console.log('seen'); return event; };",
      },
    });
    await deploy(server.lambda(), "broken", {
      files: { "index.mjs": "export const handler = async () => { throw new RangeError('too far'); };" },
    });
  });

  it("takes the event as an argument, from a file, from standard input, or sends none", async () => {
    const file = join(folder, "event.json");
    writeFileSync(file, '{"from":"file"}');
    const answers = [
      await ok(["invoke", "echo", "--payload", '{"from":"argument"}']),
      await ok(["invoke", "echo", "--file", file]),
      await ok(["invoke", "echo", "--file", "-"], { input: '{"from":"input"}' }),
      await ok(["invoke", "echo", "--payload", "-"], { input: '{"from":"input, too"}' }),
      await ok(["invoke", "echo", "--qualifier", "$LATEST"]),
    ];
    assert.deepEqual(
      answers.map(({ stdout }) => stdout),
      ['{"from":"argument"}\n', '{"from":"file"}\n', '{"from":"input"}\n', '{"from":"input, too"}\n', "{}\n"],
    );
  });

  it("prints the log to standard error when asked to", async () => {
    const ran = await on(["invoke", "echo", "--logs"]);
    assert.equal(ran.code, EXIT.ok);
    assert.equal(ran.stdout, "{}\n");
    assert.match(ran.stderr, /^START RequestId[\s\S]*seen\n[\s\S]*^REPORT RequestId/m);
  });

  it("ends with status 3 when the function fails, and prints its error", async () => {
    const ran = await on(["invoke", "broken"]);
    assert.equal(ran.code, EXIT.functionError);
    assert.equal((JSON.parse(ran.stdout) as { errorType: string }).errorType, "RangeError");
    assert.equal(ran.stderr, "hornero: the function failed (Unhandled)\n");
  });

  it("refuses what cannot be an event before it is sent", async () => {
    await fails(
      ["invoke", "echo", "--payload", "{oops"],
      EXIT.usage,
      /--payload is not JSON: .*\n.*--payload '\{/,
    );
    await fails(
      ["invoke", "echo", "--file", join(folder, "none.json")],
      EXIT.usage,
      /cannot read .*none\.json/,
    );
    await fails(["invoke", "echo", "--file", "x", "--payload", "1"], EXIT.usage, /exclude each other/);
  });

  it("says that there is no such function", async () => {
    await fails(
      ["invoke", "nobody"],
      EXIT.failed,
      /ResourceNotFoundException: Function not found: arn:aws:lambda:.*nobody/,
    );
    await fails(["invoke", "echo", "--qualifier", "7"], EXIT.failed, /ResourceNotFoundException/);
  });
});

describe("hornero logs", () => {
  it("prints what matches, as text or JSON", async () => {
    await ok(["invoke", "echo"]);
    const lines = (await ok(["logs", "echo", "--filter", "seen"])).stdout.trim().split("\n");
    assert.ok(lines.length > 0 && lines.every((line) => /^\d{4}-\d\d-\d\dT[\d:.]+Z {2}.*\bseen$/.test(line)));
    const { stdout } = await ok(["logs", "/aws/lambda/echo", "--filter", "seen", "--json", "--since", "1h"]);
    const messages = stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { message: string }).message.trim());
    assert.deepEqual(
      messages,
      lines.map((line) => line.slice(line.indexOf("Z  ") + 3)),
    );
  });

  it("says that there is no such log, and what a time is", async () => {
    await fails(["logs", "nobody"], EXIT.failed, /there is no log \/aws\/lambda\/nobody\n.*first invocation/);
    await fails(
      ["logs", "echo", "--since", "soon"],
      EXIT.usage,
      /--since takes a time such as .*, not 'soon'/,
    );
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    it(`follows until ${signal}, which is no failure`, async () => {
      await ok(["invoke", "echo"]);
      const args = ["logs", "--follow", "echo", "--filter", "seen"];
      const following = startHornero(args, { data: server.dataDirectory });
      await eventually("the log", () => following.stdout().includes("seen"));
      following.child.kill(signal);
      const { code, stderr } = await following.ended;
      assert.deepEqual({ code, stderr }, { code: EXIT.ok, stderr: "" });
    });
});

describe("hornero ls, rm, env and bill", () => {
  it("lists the functions as a table and as JSON", async () => {
    const [head = "", ...rows] = (await ok(["ls"])).stdout.trim().split("\n");
    assert.match(head, /^FUNCTION +RUNTIME +MEMORY +TIMEOUT +MODIFIED \(UTC\)$/);
    const listed = JSON.parse((await ok(["ls", "--json"])).stdout) as { FunctionName: string }[];
    assert.deepEqual(
      rows.map((row) => row.split(/ +/)[0]),
      listed.map(({ FunctionName }) => FunctionName),
    );
    assert.ok(listed.some(({ FunctionName }) => FunctionName === "echo"));
  });

  it("deletes only when told twice", async () => {
    await ok(["deploy", HELLO, "--name", "short-lived"]);
    await fails(["rm", "short-lived"], EXIT.usage, /without being asked to twice\n +Say --yes/);
    assert.equal((await ok(["rm", "short-lived", "--yes"])).stdout, "deleted short-lived\n");
    await fails(["rm", "short-lived", "--yes"], EXIT.failed, /ResourceNotFoundException/);
  });

  it("prints variables that a shell can take, and as JSON", async () => {
    const variables = JSON.parse((await ok(["env", "--json"])).stdout) as Record<string, string>;
    assert.deepEqual(variables, server.environment());
    const lines = (await ok(["env"])).stdout.trim().split("\n");
    assert.deepEqual(lines, [
      ...Object.entries(variables).map(([name, value]) => `export ${name}=${value}`),
      "unset AWS_SESSION_TOKEN",
      "unset AWS_PROFILE",
    ]);
  });

  it("bills what was invoked", async () => {
    const bill = JSON.parse((await ok(["bill", "--json"])).stdout) as {
      month: string;
      rows: { functionName: string; requests: number }[];
    };
    const row = bill.rows.find(({ functionName }) => functionName === "broken");
    assert.equal(row?.requests, 1);
    const { stdout } = await ok(["bill"]);
    assert.match(stdout, /^FUNCTION +VERSION +REQUESTS +GB-SECONDS +USD \d{4}-\d\d\n/);
    assert.match(stdout, /^broken +\$LATEST +1 +\d+\.\d{3} +\d\.\d{6}$/m);
    assert.match((await ok(["bill", "--month", "2020-01"])).stdout, /^Nothing was invoked in 2020-01/);
    await fails(["bill", "--month", "soon"], EXIT.failed, /month/);
  });
});

describe("every command", () => {
  const commands = [
    ...["start", "env", "deploy", "invoke", "logs", "ls", "rm", "bill", "iam"],
    ...["sign", "signing-profile", "doctor", "stop"],
  ];

  for (const command of commands)
    it(`${command} --help says what it is for and which options it has`, async () => {
      const { code, stdout, stderr } = await hornero([command, "--help"]);
      assert.deepEqual({ code, stderr }, { code: EXIT.ok, stderr: "" });
      assert.match(stdout, new RegExp(`^Usage: hornero ${command}[^\\n]*\\n\\n\\S[^\\n]*\\n\\n`));
      assert.match(stdout, /--help/);
    });

  it("is in hornero --help, and there is no other", async () => {
    const { stdout } = await hornero(["--help"]);
    const listed = [...(stdout.split("Commands:\n")[1] ?? "").matchAll(/^ {2}([\w-]+)/gm)].map(
      ([, name]) => name,
    );
    assert.deepEqual(listed, [...commands, "help"]);
  });

  it("answers status 2 when there is no such command or none was named", async () => {
    assert.equal((await hornero(["fly"])).code, EXIT.usage);
    assert.equal((await hornero([])).code, EXIT.usage);
  });

  for (const args of [
    ["env"],
    ["deploy", HELLO],
    ["invoke", "f"],
    ["logs", "f"],
    ["ls"],
    ["rm", "f", "--yes"],
    ["bill"],
    ["stop"],
  ])
    it(`${args[0]} answers status 4 when no server runs with the data folder`, async () => {
      const data = join(folder, "no-server");
      const ran = await hornero(args, { data });
      assert.equal(ran.code, EXIT.noServer);
      assert.match(ran.stderr, /no server runs with the data folder .*no-server[\s\S]*npm start/);
    });

  it("answers status 4 when the server it knew of is gone", async () => {
    const data = join(folder, "gone");
    mkdirSync(data);
    const file = { ...server.file, endpoint: "http://127.0.0.1:1", pid: 2 ** 22 };
    writeFileSync(join(data, "server.json"), JSON.stringify(file));
    const ran = await hornero(["ls"], { data });
    assert.equal(ran.code, EXIT.noServer);
    assert.match(ran.stderr, /no server answers at http:\/\/127\.0\.0\.1:1/);
    assert.equal((await hornero(["stop"], { data })).code, EXIT.noServer);
  });

  it("takes --data before and instead of HORNERO_DATA", async () => {
    const { code, stdout } = await hornero(["--data", server.dataDirectory, "env"], { data: "/nowhere" });
    assert.equal(code, EXIT.ok);
    assert.match(stdout, new RegExp(server.endpoint));
  });
});

describe("hornero doctor", () => {
  it("needs no server, and tells in JSON what it tells in text", async () => {
    const { code, stdout } = await hornero(["doctor", "--json"], { data: join(folder, "no-server") });
    const { walls, problem, runtimes } = JSON.parse(stdout) as {
      walls?: Record<string, { holds: boolean; detail: string }>;
      problem?: { what: string };
      runtimes: { id: string; found: boolean }[];
    };
    assert.equal(code, walls === undefined ? EXIT.failed : EXIT.ok);
    assert.equal(walls === undefined, problem !== undefined);
    const text = (await hornero(["doctor"])).stdout;
    for (const { id, found } of runtimes) assert.match(text, new RegExp(`${found ? "✓" : "✗"} ${id} `));
    for (const { detail } of Object.values(walls ?? {})) assert.ok(text.includes(detail), detail);
  });
});

describe("hornero start and stop", () => {
  const WAITS = `
    export const handler = async ({ ms }) => {
      console.log("waiting");
      await new Promise((resolve) => setTimeout(resolve, ms));
      return "waited";
    };`;

  function clientOf(data: string): { lambda: LambdaClient; pid: number } | undefined {
    const file = readServerFile(data);
    if (!file) return undefined;
    const { endpoint, region, accessKeyId, secretAccessKey, pid } = file;
    const credentials = { accessKeyId, secretAccessKey };
    return { lambda: new LambdaClient({ endpoint, region, credentials, maxAttempts: 1 }), pid };
  }

  it("runs a second server beside the first", async () => {
    const second = await startTestServer({ args: sharedRuntimes });
    try {
      assert.notEqual(second.port, server.port);
      const [first, other] = [await ok(["ls"]), await hornero(["ls"], { data: second.dataDirectory })];
      assert.match(first.stdout, /^echo /m);
      assert.match(other.stdout, /^No functions\. Deploy one: npx hornero deploy DIR/);
    } finally {
      await second.stop();
    }
    assert.equal((await ok(["invoke", "echo", "--payload", "1"])).stdout, "1\n");
  });

  it("refuses a second server on the same data folder, and the first goes on", async () => {
    const { code, stderr } = await on(["start", "--port", "0"]);
    assert.equal(code, EXIT.failed);
    assert.match(stderr, /the data folder .* is in use by another Hornero/);
    assert.equal((await ok(["invoke", "echo", "--payload", "2"])).stdout, "2\n");
    await ok(["deploy", HELLO, "--name", "after-refusal"]);
    assert.match((await ok(["invoke", "after-refusal"])).stdout, /Hello/);
  });

  it("refuses a port that is taken, and says how to run beside it", async () => {
    const data = mkdtempSync(join(tmpdir(), "hornero-cli-port-"));
    const { code, stderr } = await hornero(["start", "--port", String(server.port)], { data });
    rmSync(data, { recursive: true });
    assert.equal(code, EXIT.failed);
    assert.match(stderr, /listens on this port already[\s\S]*--port 4567 --data/);
  });

  it("refuses settings that it cannot use", async () => {
    const ran = await hornero(["start", "--pool", "many"], { data: join(folder, "unused") });
    assert.equal(ran.code, EXIT.usage);
    assert.match(ran.stderr, /--pool \(HORNERO_POOL\) takes a whole number from 0 to 1000, not 'many'/);
    const other = await hornero(["start"], { data: join(folder, "unused"), env: { HORNERO_AUTH: "maybe" } });
    assert.equal(other.code, EXIT.usage);
    assert.match(other.stderr, /--auth \(HORNERO_AUTH\) takes one of sigv4, none, not 'maybe'/);
  });

  for (const how of ["SIGTERM", "SIGINT", "hornero stop"] as const)
    it(`lets a running invocation finish at ${how}, then ends cleanly`, async () => {
      const data = mkdtempSync(join(tmpdir(), "hornero-cli-end-"));
      const running = startHornero(["start", "--port", "0", "--drain", "30", ...sharedRuntimes], { data });
      const { lambda, pid } = await eventually("a server", () => clientOf(data));
      await deploy(lambda, "waits", { files: { "index.mjs": WAITS }, Timeout: 20 });
      const answer = lambda.send(new InvokeCommand({ FunctionName: "waits", Payload: '{"ms": 1500}' }));
      await eventually("the invocation runs", async () => {
        const { stdout } = await hornero(["logs", "waits"], { data });
        return stdout.includes("waiting");
      });
      const asked = how === "hornero stop" ? hornero(["stop"], { data }) : undefined;
      if (how !== "hornero stop") process.kill(pid, how);
      assert.equal(Buffer.from((await answer).Payload ?? []).toString(), '"waited"');
      const { code, stderr } = await running.ended;
      assert.equal(code, EXIT.ok, stderr);
      assert.match(stderr, /stopping: running invocations may finish/);
      assert.doesNotMatch(stderr, /ERROR|WARN/);
      if (asked) assert.deepEqual(await asked, { code: EXIT.ok, stdout: "stopped\n", stderr: "" });
      lambda.destroy();
      await nothingLeft(data);
      rmSync(data, { recursive: true });
    });

  it("keeps functions, logs and keys over a restart, and deploys the example once", async () => {
    const data = mkdtempSync(join(tmpdir(), "hornero-cli-restart-"));
    const args = [...sharedRuntimes, "--example"];
    const first = await startTestServer({ args, dataDirectory: data });
    await eventually("the example", () => first.stdout().includes("--function-name hello"));
    const changed = join(folder, "hello");
    cpSync(HELLO, changed, { recursive: true });
    writeFileSync(join(changed, "index.mjs"), "export const handler = async () => 'mine';");
    assert.equal((await hornero(["deploy", changed], { data })).code, EXIT.ok);
    await first.stop();
    const again = await startTestServer({ args, dataDirectory: data });
    try {
      assert.equal(again.file.secretAccessKey, first.file.secretAccessKey);
      await eventually("the example", () => again.stdout().includes("--function-name hello"));
      assert.equal((await hornero(["invoke", "hello"], { data })).stdout, '"mine"\n');
    } finally {
      await again.stop();
      rmSync(data, { recursive: true });
    }
  });
});
