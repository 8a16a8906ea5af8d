/**
 * Goal: a server that is killed at any moment loses nothing that it has acknowledged, starts again in its folder, and
 * leaves nothing on the machine.
 * Method: SIGKILL at random moments, while the server starts and while it serves writes and invocations; each restart is
 * compared with the acknowledgements (see crash-load.ts) and with the bill; processes, control groups, mounts, network
 * interfaces and rules are looked for. What this cannot show is a loss of power: the kernel outlives the server.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { GetFunctionCommand } from "@aws-sdk/client-lambda";
import { AwsClient } from "../../src/cli/aws-client.ts";
import type { Bill } from "../../src/lambda/metering/bill.ts";
import { Invoker, Writer } from "../support/crash-load.ts";
import { call, deploy, eventually } from "../support/functions.ts";
import { leftovers } from "../support/leftovers.ts";
import { alive, descendants } from "../support/processes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** In three folders at the same time. */
const LANES = 3;
const KILLS_PER_LANE = 17;
/** Of these, every so-manieth comes while the server starts. */
const EARLY_KILL_EVERY = 5;
const EARLY_MS_MAX = 600;
/** A server is killed after a random number of acknowledgements, and then at a random moment. */
const ACKNOWLEDGED_MAX = 20;
const KILL_DELAY_MS_MAX = 30;
const MAIN = join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");
const ARGS = ["--pool", "1"];
const STEADY = { files: { "index.js": "exports.handler = async () => 'steady';" } };

interface Folder extends AsyncDisposable {
  readonly path: string;
}

function temporaryFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "hornero-crash-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Kills a server that has perhaps not finished its start. */
async function killEarly(dataDirectory: string): Promise<void> {
  const args = [MAIN, "--data", dataDirectory, "start", "--port", "0", ...ARGS];
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  await pause(Math.random() * EARLY_MS_MAX);
  await killAll(child.pid ?? 0, async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  });
}

/** Kills a server, and waits until everything below it is gone too. */
async function killAll(pid: number, kill: () => Promise<void>): Promise<void> {
  const below = descendants(pid);
  await kill();
  await eventually("what the server had started has ended", () => !below.some((one) => alive(one.pid)));
}

const total = <K extends string>(clients: readonly Record<K, number>[], count: K): number =>
  clients.reduce((sum, client) => sum + client[count], 0);

async function requestsOnBill(server: TestServer, functionName: string): Promise<number> {
  const { body } = await new AwsClient(server.file).send("lambda", {
    method: "GET",
    target: "/_hornero/bill",
  });
  const bill = JSON.parse(body.toString("utf8")) as Bill;
  const rows = bill.rows.filter((row) => row.functionName === functionName);
  return rows.reduce((sum, { requests }) => sum + requests, 0);
}

async function lane(number: number): Promise<void> {
  await using folder = temporaryFolder();
  let server: TestServer | undefined;
  try {
    await killAgainAndAgain(number, folder.path, async () => {
      server = await startTestServer({ dataDirectory: folder.path, args: ARGS });
      return server;
    });
  } finally {
    // After a failure it still serves; otherwise it has ended.
    await server?.kill("SIGKILL");
  }
}

async function killAgainAndAgain(
  number: number,
  folder: string,
  start: () => Promise<TestServer>,
): Promise<void> {
  const writers = [new Writer(`w${number}a`), new Writer(`w${number}b`)];
  const invokers = [new Invoker(), new Invoker()];
  const first = await start();
  await deploy(first.lambda(), "steady", STEADY);
  await killAll(first.pid, () => first.kill("SIGKILL"));
  for (let round = 2; round <= KILLS_PER_LANE; round += 1) {
    if (round % EARLY_KILL_EVERY === 0) {
      await killEarly(folder);
      continue;
    }
    const server = await start();
    const lambda = server.lambda();
    for (const writer of writers) await writer.compare(lambda, `after kill ${round - 1}`);
    await assertMetered(server, invokers);
    const load = [
      ...writers.map((writer) => writer.run(server.lambda())),
      ...invokers.map((invoker) => invoker.run(server.lambda(), "steady")),
    ];
    const acknowledged = () => total(writers, "acknowledged") + total(invokers, "answered");
    const enough = acknowledged() + 1 + Math.random() * ACKNOWLEDGED_MAX;
    await eventually("a load", () => acknowledged() >= enough);
    await pause(Math.random() * KILL_DELAY_MS_MAX);
    const kill = () => server.kill("SIGKILL");
    // Every other time the next server starts at once, while the spawner of this one still cleans up.
    if (round % 2 === 0) await killAll(server.pid, kill);
    else await kill();
    await Promise.all(load);
  }
  const last = await start();
  const lambda = last.lambda();
  for (const writer of writers) await writer.compare(lambda, "at the end");
  await assertMetered(last, invokers);
  assert.equal((await call(lambda, "steady")).text, '"steady"');
  assert(total(writers, "acknowledged") > KILLS_PER_LANE, "writes were part of the load");
  assert(total(invokers, "answered") > 0, "invocations were part of the load");
  await last.stop();
  await eventually("nothing is left", () => leftovers(folder).length === 0);
}

/** Everything that was answered is on the bill, and nothing twice. */
async function assertMetered(server: TestServer, invokers: readonly Invoker[]): Promise<void> {
  const [answered, sent] = [total(invokers, "answered"), total(invokers, "sent")];
  const billed = await requestsOnBill(server, "steady");
  assert(billed >= answered && billed <= sent, `${billed} billed of ${answered} answered and ${sent} sent`);
}

test(`${LANES * KILLS_PER_LANE} kills under load`, async () => {
  await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
});

describe("after kill -9", () => {
  test("functions, code, tags, logs and keys are found again; nothing of the old server runs", async () => {
    await using folder = temporaryFolder();
    const before = await startTestServer({ dataDirectory: folder.path, args: ARGS });
    await deploy(before.lambda(), "kept", {
      ...STEADY,
      Tags: { team: "birds" },
      Publish: true,
      MemorySize: 192,
    });
    const { requestId } = await call(before.lambda(), "kept");
    const inLog = (server: TestServer) =>
      eventually("the invocation's log", async () => {
        const filter = {
          logGroupName: "/aws/lambda/kept",
          filterPattern: `"REPORT RequestId: ${requestId}"`,
        };
        const { events } = await server.logs().send(new FilterLogEventsCommand(filter));
        return events?.length === 1;
      });
    await inLog(before);
    const asked = new GetFunctionCommand({ FunctionName: "kept", Qualifier: "1" });
    const { Configuration: old, Tags } = await before.lambda().send(asked);
    // The log's last events are on disk 50 ms after they were logged.
    await eventually("the log is on disk", () => leftovers(folder.path).length > 0);
    await pause(200);
    await killAll(before.pid, () => before.kill("SIGKILL"));
    await eventually("nothing is left", () => leftovers(folder.path).length === 0);

    const server = await startTestServer({ dataDirectory: folder.path, args: ARGS });
    assert.equal(server.file.secretAccessKey, before.file.secretAccessKey);
    const found = await server.lambda().send(asked);
    assert.deepEqual([found.Configuration, found.Tags], [old, Tags]);
    const code = await fetch(found.Code?.Location ?? "");
    assert.equal((await code.bytes()).length, old?.CodeSize);
    assert.equal((await call(server.lambda(), "kept")).text, '"steady"');
    await inLog(server);
    await server.stop();
  });
});
