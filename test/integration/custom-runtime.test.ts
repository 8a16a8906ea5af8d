/**
 * Goal: a program of the user's own that speaks the HTTP Runtime API is a runtime, and its failures are told as AWS does.
 * Method: bootstraps in bash with curl, as AWS's tutorial has them, one for each way to behave; invoked through the SDK.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LambdaClient } from "@aws-sdk/client-lambda";
import { assertFailed, call, deploy } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const NEXT = `
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
calls=0
next() {
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  calls=$((calls + 1))
}
`;
const LOOP = `#!/bin/bash
${NEXT}
while true; do
  next
  case "$event" in
    *error*) curl -sS -o /dev/null -X POST -H 'Lambda-Runtime-Function-Error-Type: Shell.Oops' -d '{"errorMessage":"oops","errorType":"Shell.Oops"}' "$api/invocation/$id/error" ;;
    *dies-after*) curl -sS -o /dev/null -X POST -d '{"errorMessage":"last","errorType":"Shell.Last"}' "$api/invocation/$id/error"; exit 9 ;;
    *exit*) exit 3 ;;
    *sleep*) sleep 60 ;;
    *wrong*) curl -sS -o /tmp/answer -w '%{http_code}' -X POST -d '{}' "$api/invocation/00000000-0000-0000-0000-000000000000/response" > /tmp/status
      curl -sS -o /dev/null -X POST -d "{\\"status\\":$(cat /tmp/status),\\"answer\\":$(cat /tmp/answer)}" "$api/invocation/$id/response" ;;
    *large*) head -c 6291557 /dev/zero | tr '\\0' 1 | curl -sS -o /dev/null -X POST --data-binary @- "$api/invocation/$id/response" ;;
    *) echo "handling $id"
      curl -sS -o /dev/null -X POST -d "{\\"calls\\":$calls,\\"execution\\":\\"\${AWS_EXECUTION_ENV:-none}\\",\\"handler\\":\\"$_HANDLER\\"}" "$api/invocation/$id/response" ;;
  esac
done
`;

describe("a custom runtime", { concurrency: 3 }, () => {
  let server: TestServer;
  let lambda: LambdaClient;
  before(async () => {
    server = await startTestServer();
    lambda = server.lambda();
  });
  after(() => server.stop());
  const custom = (name: string, bootstrap: string) =>
    deploy(lambda, name, {
      Runtime: "provided.al2023",
      Handler: "my.handler",
      Timeout: 2,
      files: { bootstrap },
    });

  test("answers, reports errors, exits, takes too long", async () => {
    await custom("loop", LOOP);
    const first = await call(lambda, "loop", { way: "ok" });
    assert.deepEqual(first.body, { calls: 1, execution: "none", handler: "my.handler" });
    assert.match(
      first.log,
      new RegExp(`^START [^\\n]*\\nhandling ${first.requestId}\\nEND [^\\n]*\\nREPORT `),
    );
    assert.equal(((await call(lambda, "loop", {})).body as { calls: number }).calls, 2);
    assertFailed(await call(lambda, "loop", { way: "error" }), {
      errorMessage: "oops",
      errorType: "Shell.Oops",
    });
    assert.deepEqual((await call(lambda, "loop", { way: "wrong" })).body, {
      status: 400,
      answer: { errorMessage: "Invalid request ID", errorType: "InvalidRequestID" },
    });
    assertFailed(await call(lambda, "loop", { way: "large" }), {
      errorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
      errorType: "Function.ResponseSizeTooLarge",
    });
    assertFailed(await call(lambda, "loop", { way: "dies-after" }), {
      errorMessage: "last",
      errorType: "Shell.Last",
    });
    assert.equal((await call(lambda, "loop", {})).functionError, undefined, "not the dying environment");
    assertFailed(await call(lambda, "loop", { way: "exit" }), {
      errorType: "Runtime.ExitError",
      errorMessage: "RequestId: {id} Error: Runtime exited with error: exit status 3",
    });
    const late = await call(lambda, "loop", { way: "sleep" });
    assertFailed(late, {
      errorType: "Sandbox.Timedout",
      errorMessage: "RequestId: {id} Error: Task timed out after 2.00 seconds",
    });
    assert.match(late.log, new RegExp(`Z ${late.requestId} Task timed out after 2\\.00 seconds\\n\\n`));
    assert.match(late.log, /\nREPORT .*\tStatus: timeout/);
  });

  test("fails before it asks for an invocation", async () => {
    await custom(
      "init-error",
      `#!/bin/bash
curl -sS -o /dev/null -X POST -d '{"errorMessage":"not today","errorType":"Shell.NotToday"}' "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error"
exit 1
`,
    );
    assertFailed(await call(lambda, "init-error"), {
      errorMessage: "not today",
      errorType: "Shell.NotToday",
    });
    await custom("init-exit", "#!/bin/bash\nexit 5\n");
    const exited = await call(lambda, "init-exit");
    assertFailed(exited, {
      errorType: "Runtime.ExitError",
      errorMessage: "RequestId: {id} Error: Runtime exited with error: exit status 5",
    });
    assert.match(exited.log, /INIT_REPORT .*Phase: invoke\tStatus: error\tError Type: Runtime\.ExitError/);
  });

  test("has no program to start", async () => {
    await deploy(lambda, "empty", { Runtime: "provided.al2023", Handler: "any", files: { "README.md": "" } });
    assertFailed(await call(lambda, "empty"), {
      errorType: "Runtime.InvalidEntrypoint",
      errorMessage:
        "RequestId: {id} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    });
  });
});
