/**
 * Goal: whatever process dies under the server's feet, callers are answered and later invocations work; and a server that
 * is told to stop lets running invocations finish.
 * Method: SIGKILL from outside to runtimes, idle and busy, and to the spawner, while a real server serves; SIGTERM to the
 * server itself. That an invocation has begun is seen in its log.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { LambdaClient, ServiceException } from "@aws-sdk/client-lambda";
import { call, deploy, eventually } from "../support/functions.ts";
import { alive, descendants, runtimesOf } from "../support/processes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SOURCE = `
let calls = 0;
exports.handler = async ({ ms }) => {
  calls += 1;
  console.log("begun");
  if (ms) await new Promise((resolve) => setTimeout(resolve, ms));
  return { calls, pid: process.pid };
};`;
const FUNCTION = { files: { "index.js": SOURCE }, Timeout: 30 };

async function serve(
  act: (server: TestServer) => Promise<void>,
  args: readonly string[] = [],
): Promise<void> {
  const server = await startTestServer({ args: ["--pool", "0", ...args] });
  try {
    await act(server);
  } catch (error) {
    await server.kill("SIGKILL");
    throw error;
  }
}

/** A client that `stop` does not close. */
function ownClient({ endpoint, file }: TestServer): Disposable & { readonly client: LambdaClient } {
  const { region, accessKeyId, secretAccessKey } = file;
  const client = new LambdaClient({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  });
  return { client, [Symbol.dispose]: () => client.destroy() };
}

/** Resolves when so many invocations of the function have begun since the server started. */
function begun(server: TestServer, name: string, count: number): Promise<unknown> {
  const logs = server.logs();
  return eventually(`${count} invocations of ${name} have begun`, async () => {
    const filter = { logGroupName: `/aws/lambda/${name}`, filterPattern: "begun" };
    const { events } = await logs.send(new FilterLogEventsCommand(filter)).catch(() => ({ events: [] }));
    return events?.length === count;
  });
}

const calls = ({ body }: { body: unknown }) => (body as { calls: number }).calls;
const spawnerOf = ({ pid }: TestServer) =>
  eventually(
    "a spawner",
    () => descendants(pid).find(({ command }) => command.startsWith("hornero-spawner"))?.pid,
  );

describe("sudden ends", { concurrency: 2 }, () => {
  test("a runtime that is killed while it waits, or while it works", () =>
    serve(async (server) => {
      const lambda = server.lambda();
      await deploy(lambda, "victim", FUNCTION);
      assert.equal(calls(await call(lambda, "victim")), 1);
      const [idle, ...others] = runtimesOf(server.pid);
      assert(idle && others.length === 0, "one environment");
      process.kill(idle.pid, "SIGKILL");
      await eventually(
        "its sandbox is gone",
        () => !descendants(server.pid).some(({ pid }) => pid === idle.parent),
      );
      assert.equal(calls(await call(lambda, "victim")), 1, "a new environment");

      const running = call(lambda, "victim", { ms: 20_000 });
      await begun(server, "victim", 3);
      for (const { pid } of runtimesOf(server.pid)) process.kill(pid, "SIGKILL");
      const killed = await running;
      assert.deepEqual(killed.body, {
        errorType: "Runtime.ExitError",
        errorMessage: `RequestId: ${killed.requestId} Error: Runtime exited with error: signal: killed`,
      });
      assert.equal(calls(await call(lambda, "victim")), 1);
      await server.stop();
    }));

  test("a spawner that is killed while invocations run, again and again", () =>
    serve(async (server) => {
      const lambda = server.lambda();
      await deploy(lambda, "survivor", FUNCTION);
      assert.equal(calls(await call(lambda, "survivor")), 1);
      for (let round = 1; round <= 3; round += 1) {
        const running = call(lambda, "survivor", { ms: 20_000 });
        await begun(server, "survivor", 2 * round);
        const spawner = await spawnerOf(server);
        process.kill(spawner, "SIGKILL");
        const answered = await running.then(
          ({ functionError }) => functionError,
          (error: unknown) => error,
        );
        assert(answered === "Unhandled" || answered instanceof ServiceException, String(answered));
        await eventually("its sandboxes are gone", () => !alive(spawner));
        assert.equal(calls(await call(lambda, "survivor")), 1, "a new environment behind a new spawner");
      }
      await server.stop();
    }));

  test("a custom runtime still finds its Runtime API behind a new spawner", () =>
    serve(async (server) => {
      const lambda = server.lambda();
      const bootstrap = `#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while id=$(curl -sSf -D - -o /dev/null "$api/next" | grep -i '^lambda-runtime-aws-request-id' | tr -d '[:space:]' | cut -d: -f2); do
  curl -sS -o /dev/null -d "\\"$id\\"" "$api/$id/response"
done`;
      await deploy(lambda, "custom", { Runtime: "provided.al2023", files: { bootstrap } });
      const first = await call(lambda, "custom");
      assert.equal(first.body, first.requestId);
      process.kill(await spawnerOf(server), "SIGKILL");
      const second = await eventually("an answer", async () => {
        const called = await call(lambda, "custom").catch(() => undefined);
        return called?.functionError === undefined && called;
      });
      assert.equal(second.body, second.requestId);
      await server.stop();
    }));
});

describe("a graceful stop", { concurrency: 2 }, () => {
  test("lets a running invocation finish", () =>
    serve(async (server) => {
      using lambda = ownClient(server);
      await deploy(lambda.client, "finishes", FUNCTION);
      const running = call(lambda.client, "finishes", { ms: 1500 });
      await begun(server, "finishes", 1);
      const stopped = server.stop();
      assert.equal(calls(await running), 1);
      await stopped;
    }));

  test("waits no longer than it was told", () =>
    serve(
      async (server) => {
        using lambda = ownClient(server);
        await deploy(lambda.client, "endless", FUNCTION);
        const running = call(lambda.client, "endless", { ms: 25_000 }).then(
          ({ functionError }) => functionError,
          (error: Error) => error.name,
        );
        await begun(server, "endless", 1);
        const stopped = server.stop();
        assert.notEqual(await running, undefined, "the caller is told that it failed");
        await stopped;
      },
      ["--drain", "1"],
    ));
});
