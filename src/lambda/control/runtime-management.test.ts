/**
 * Goal: when a function's runtime is updated is kept per version and shown; what AWS refuses is refused.
 * Method: the operations over a memory store.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arnOf, awsError, openFixture } from "./fixture.ts";

const RUNTIME = `arn:aws:lambda:us-east-1::runtime:${"0".repeat(64)}`;

test("$LATEST and each version have a mode of their own; Auto is the default", async () => {
  const { call, create, settled } = await openFixture();
  await create("f");
  await call("PublishVersion", { FunctionName: "f" });
  await settled("f", "1");
  const get = (Qualifier?: string) => call("GetRuntimeManagementConfig", { FunctionName: "f", Qualifier });
  const auto = { UpdateRuntimeOn: "Auto", FunctionArn: `${arnOf("f")}:$LATEST` };
  assert.deepEqual(await get(), auto);
  const manual = { UpdateRuntimeOn: "Manual", RuntimeVersionArn: RUNTIME };
  const put = await call("PutRuntimeManagementConfig", { FunctionName: "f", Qualifier: "1", ...manual });
  assert.deepEqual(put, { ...manual, FunctionArn: `${arnOf("f")}:1` });
  assert.deepEqual(await get("1"), put);
  assert.deepEqual(await get(), auto);
  await call("PutRuntimeManagementConfig", { FunctionName: "f", UpdateRuntimeOn: "FunctionUpdate" });
  assert.deepEqual(await get("$LATEST"), { ...auto, UpdateRuntimeOn: "FunctionUpdate" });
  await call("PutRuntimeManagementConfig", { FunctionName: "f", UpdateRuntimeOn: "Auto" });
  assert.deepEqual(await get(), auto);
});

test("a mode and its runtime version belong together; aliases and what is not there have none", async () => {
  const { call, create } = await openFixture();
  await create("f");
  const put = (input: Record<string, unknown>) =>
    call("PutRuntimeManagementConfig", { FunctionName: "f", UpdateRuntimeOn: "Auto", ...input });
  for (const input of [
    { UpdateRuntimeOn: "Manual" },
    { RuntimeVersionArn: RUNTIME },
    { Qualifier: "live" },
  ]) {
    await assert.rejects(put(input), awsError("InvalidParameterValueException", /./, 400));
  }
  await assert.rejects(put({ Qualifier: "7" }), awsError("ResourceNotFoundException", /f:7$/, 404));
});
