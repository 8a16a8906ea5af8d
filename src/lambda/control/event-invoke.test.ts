// Goal: options of asynchronous invocation are kept per qualifier, checked and refused in AWS's words, and go with what they
// belong to; invocation is told what holds. Method: the control room over a memory store, through its operations.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type {
  FunctionEventInvokeConfig,
  ListFunctionEventInvokeConfigsResponse,
} from "@aws-sdk/client-lambda";
import { arnOf, awsError, openFixture } from "./fixture.ts";
import type { RoleChecker } from "./ports.ts";

const QUEUE = "arn:aws:sqs:us-east-1:000000000000:records";
const BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default";

type Config = FunctionEventInvokeConfig;

async function setUp() {
  /** What roles may not do: `ACTION RESOURCE`. */
  const denied = new Set<string>();
  const roles: RoleChecker = {
    check: () => Promise.resolve(),
    roleMay: (_role, { action, resource }) => !denied.has(`${action} ${resource}`),
  };
  const fixture = await openFixture({ roles });
  const { call, create } = fixture;
  await create("f");
  await create("g");
  return {
    ...fixture,
    denied,
    put: (input: object) => call<Config>("PutFunctionEventInvokeConfig", { FunctionName: "f", ...input }),
    update: (input: object) =>
      call<Config>("UpdateFunctionEventInvokeConfig", { FunctionName: "f", ...input }),
    get: (qualifier?: string) =>
      call<Config>("GetFunctionEventInvokeConfig", { FunctionName: "f", Qualifier: qualifier }),
  };
}

const withoutTime = (config: Config) => ({ ...config, LastModified: undefined });

describe("event invoke configurations", () => {
  it("are put, shown, updated and deleted", async () => {
    const { put, update, get, call, clock } = await setUp();
    const made = await put({
      MaximumRetryAttempts: 0,
      DestinationConfig: { OnFailure: { Destination: QUEUE } },
    });
    assert.deepEqual(made, {
      LastModified: new Date(clock.nowMs()),
      FunctionArn: `${arnOf("f")}:$LATEST`,
      MaximumRetryAttempts: 0,
      MaximumEventAgeInSeconds: undefined,
      DestinationConfig: { OnSuccess: {}, OnFailure: { Destination: QUEUE } },
    });
    assert.deepEqual(await get(), made);
    assert.deepEqual(await get("$LATEST"), made);
    clock.advance(1000);
    const updated = await update({ MaximumEventAgeInSeconds: 60 });
    assert.deepEqual(withoutTime(updated), { ...withoutTime(made), MaximumEventAgeInSeconds: 60 });
    assert.deepEqual(updated.LastModified, new Date(clock.nowMs()));
    const both = await update({ DestinationConfig: { OnSuccess: { Destination: arnOf("g") } } });
    assert.deepEqual(both.DestinationConfig, { OnSuccess: { Destination: arnOf("g") }, OnFailure: {} });
    const replaced = await put({ MaximumRetryAttempts: 1 });
    assert.deepEqual(withoutTime(replaced), {
      LastModified: undefined,
      FunctionArn: `${arnOf("f")}:$LATEST`,
      MaximumRetryAttempts: 1,
      MaximumEventAgeInSeconds: undefined,
      DestinationConfig: { OnSuccess: {}, OnFailure: {} },
    });
    assert.deepEqual(await call("DeleteFunctionEventInvokeConfig", { FunctionName: "f" }), {});
    const gone = awsError(
      "ResourceNotFoundException",
      `The function ${arnOf("f")}:$LATEST doesn't have an EventInvokeConfig`,
      404,
    );
    await assert.rejects(get(), gone);
    await assert.rejects(call("DeleteFunctionEventInvokeConfig", { FunctionName: "f" }), gone);
    await assert.rejects(update({ MaximumRetryAttempts: 1 }), gone);
  });

  it("belong to a qualifier, and go with it", async () => {
    const { put, get, call } = await setUp();
    await call("PublishVersion", { FunctionName: "f" });
    await call("CreateAlias", { FunctionName: "f", Name: "live", FunctionVersion: "1" });
    await put({ MaximumRetryAttempts: 0, Qualifier: "live" });
    await put({ MaximumRetryAttempts: 1, FunctionName: `${arnOf("f")}:1` });
    await put({ MaximumRetryAttempts: 2 });
    assert.equal((await get("live")).FunctionArn, `${arnOf("f")}:live`);
    assert.equal((await get("1")).MaximumRetryAttempts, 1);
    await call("DeleteAlias", { FunctionName: "f", Name: "live" });
    await assert.rejects(get("live"), /doesn't have an EventInvokeConfig/);
    await call("DeleteFunction", { FunctionName: "f", Qualifier: "1" });
    await assert.rejects(get("1"), /doesn't have an EventInvokeConfig/);
    assert.equal((await get()).MaximumRetryAttempts, 2);
    await call("DeleteFunction", { FunctionName: "f" });
    await assert.rejects(get(), /doesn't have an EventInvokeConfig/);
  });

  it("are listed in pages", async () => {
    const { put, call } = await setUp();
    for (const name of ["c", "a", "b"]) {
      await call("CreateAlias", { FunctionName: "f", Name: name, FunctionVersion: "$LATEST" });
      await put({ MaximumRetryAttempts: 1, Qualifier: name });
    }
    const list = (input: object) =>
      call<ListFunctionEventInvokeConfigsResponse>("ListFunctionEventInvokeConfigs", {
        FunctionName: "f",
        ...input,
      });
    const first = await list({ MaxItems: 2 });
    const second = await list({ MaxItems: 2, Marker: first.NextMarker });
    const arns = [first, second].map(({ FunctionEventInvokeConfigs = [] }) =>
      FunctionEventInvokeConfigs.map(({ FunctionArn = "" }) => FunctionArn.split(":").at(-1)),
    );
    assert.deepEqual(arns, [["a", "b"], ["c"]]);
    assert.equal(second.NextMarker, undefined);
    assert.deepEqual((await list({ FunctionName: "g" })).FunctionEventInvokeConfigs, []);
    await assert.rejects(
      list({ FunctionName: "nobody" }),
      awsError("ResourceNotFoundException", "The function doesn't exist.", 404),
    );
  });

  it("are refused in AWS's words", async () => {
    const { put, update } = await setUp();
    const nothing = awsError(
      "InvalidParameterValueException",
      "You must specify at least one of error handling or destination setting.",
    );
    await assert.rejects(put({}), nothing);
    await assert.rejects(update({}), nothing);
    const nobody = awsError("ResourceNotFoundException", "The function doesn't exist.", 404);
    await assert.rejects(put({ FunctionName: "nobody", MaximumRetryAttempts: 1 }), nobody);
    await assert.rejects(put({ Qualifier: "nothing", MaximumRetryAttempts: 1 }), nobody);
    const onFailure = (destination: string) =>
      put({ DestinationConfig: { OnFailure: { Destination: destination } } });
    const onSuccess = (destination: string) =>
      put({ DestinationConfig: { OnSuccess: { Destination: destination } } });
    await assert.rejects(
      onFailure(arnOf("f")),
      awsError(
        "InvalidParameterValueException",
        "You can't specify the function as a destination for itself.",
      ),
    );
    for (const arn of [arnOf("nobody"), arnOf("g").replace("us-east-1", "eu-west-1")])
      await assert.rejects(
        onFailure(arn),
        awsError("InvalidParameterValueException", `The destination ARN ${arn} is invalid.`),
      );
    for (const arn of [
      `${QUEUE}.fifo`,
      "arn:aws:sns:us-east-1:000000000000:t.fifo",
      "arn:aws:kinesis:us-east-1:0:x",
      "arn:aws:lambda:us-east-1:000000000000:layer:x",
    ])
      await assert.rejects(
        onFailure(arn),
        awsError(
          "InvalidParameterValueException",
          `The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination=${arn})) is invalid.`,
        ),
      );
    const bucket = "arn:aws:s3:::records";
    await assert.rejects(onSuccess(bucket), /onSuccess=OnSuccess\(destination=arn:aws:s3:::records\)/);
    for (const arn of [bucket, BUS, QUEUE, arnOf("g"), `${arnOf("g")}:live`])
      assert.equal((await onFailure(arn)).DestinationConfig?.OnFailure?.Destination, arn);
  });

  it("are what invocation is told; without them it is told AWS's defaults", async () => {
    const { put, create, control, call } = await setUp();
    await create("h", { DeadLetterConfig: { TargetArn: QUEUE } });
    const { asynchronousSettings: settings } = control;
    const role = "arn:aws:iam::000000000000:role/worker";
    const defaults = {
      retryAttemptsMax: 2,
      eventAgeMsMax: 21_600_000,
      recursiveLoop: "Terminate",
      isSuspended: false,
      role,
    };
    assert.deepEqual(settings.eventSettings("f", undefined), defaults);
    assert.deepEqual(settings.eventSettings("h", "7"), { ...defaults, deadLetterTargetArn: QUEUE });
    await put({
      MaximumRetryAttempts: 0,
      MaximumEventAgeInSeconds: 60,
      DestinationConfig: { OnSuccess: { Destination: BUS }, OnFailure: { Destination: QUEUE } },
    });
    const configured = {
      ...{ ...defaults, retryAttemptsMax: 0, eventAgeMsMax: 60_000 },
      ...{ onSuccessArn: BUS, onFailureArn: QUEUE },
    };
    assert.deepEqual(settings.eventSettings("f", undefined), configured);
    assert.deepEqual(settings.eventSettings("f", "$LATEST"), configured);
    assert.deepEqual(settings.eventSettings("f", "live"), defaults);
    await call("PutFunctionConcurrency", { FunctionName: "f", ReservedConcurrentExecutions: 0 });
    assert.deepEqual(settings.eventSettings("f", "live"), { ...defaults, isSuspended: true });
  });

  it("need a role that may deliver to both destinations", async () => {
    const { denied, put } = await setUp();
    const config = { OnSuccess: { Destination: arnOf("g") }, OnFailure: { Destination: QUEUE } };
    for (const [access, operation, arn] of [
      [`sqs:SendMessage ${QUEUE}`, "SendMessage", QUEUE],
      [`lambda:InvokeFunction ${arnOf("g")}`, "InvokeFunction", arnOf("g")],
    ] as const) {
      denied.add(access);
      const message = `The function's execution role does not have permissions to call ${operation} on ${arn}`;
      await assert.rejects(
        put({ DestinationConfig: config }),
        awsError("InvalidParameterValueException", message),
      );
      denied.clear();
    }
    const bucket = "arn:aws:s3:::records";
    denied.add(`s3:PutObject ${bucket}/*`);
    await assert.rejects(
      put({ DestinationConfig: { OnFailure: { Destination: bucket } } }),
      /permissions to call PutObject on arn:aws:s3:::records$/,
    );
    await put({ DestinationConfig: config });
  });
});

describe("recursion configurations", () => {
  it("are Terminate until they are Allow", async () => {
    const { call, control } = await setUp();
    const get = () => call("GetFunctionRecursionConfig", { FunctionName: "f" });
    const put = (RecursiveLoop: string, FunctionName = "f") =>
      call("PutFunctionRecursionConfig", { FunctionName, RecursiveLoop });
    assert.deepEqual(await get(), { RecursiveLoop: "Terminate" });
    assert.deepEqual(await put("Allow"), { RecursiveLoop: "Allow" });
    assert.deepEqual(await get(), { RecursiveLoop: "Allow" });
    assert.equal(control.asynchronousSettings.eventSettings("f", undefined).recursiveLoop, "Allow");
    assert.deepEqual(await put("Terminate"), { RecursiveLoop: "Terminate" });
    assert.equal(control.asynchronousSettings.eventSettings("f", undefined).recursiveLoop, "Terminate");
    await assert.rejects(
      put("Allow", "nobody"),
      awsError("ResourceNotFoundException", `Function not found: ${arnOf("nobody")}`, 404),
    );
  });
});

describe("identities", () => {
  it("are a function's as long as it lives, through updates and restarts", async () => {
    const first = await setUp();
    const identity = (name: string) => first.control.asynchronousSettings.identity(name);
    const before = identity("f");
    assert.match(before ?? "", /^[0-9a-f-]{36}$/);
    assert.notEqual(identity("g"), before);
    await first.call("UpdateFunctionConfiguration", { FunctionName: "f", Description: "new" });
    await first.settled("f");
    assert.equal(identity("f"), before);
    const second = await openFixture({ store: first.store, blobs: first.blobs, clock: first.clock });
    assert.equal(second.control.asynchronousSettings.identity("f"), before);
    await first.call("DeleteFunction", { FunctionName: "f" });
    assert.equal(identity("f"), undefined);
    await first.create("f");
    assert.notEqual(identity("f"), before);
  });
});

describe("dead-letter queues", () => {
  it("are standard queues and topics, and removed by the empty string", async () => {
    const { create, call, control, settled } = await setUp();
    const refused = (TargetArn: string, message: string) =>
      assert.rejects(
        create("h", { DeadLetterConfig: { TargetArn } }),
        awsError("InvalidParameterValueException", message),
      );
    await refused(
      arnOf("g"),
      "Invalid dead letter queue ARN: The service specified by the TargetArn is not supported for dead letter configuration.",
    );
    await refused(
      `${QUEUE}.fifo`,
      "Invalid dead letter queue ARN: FIFO SQS queue is not supported for dead letter configuration",
    );
    await create("h", { DeadLetterConfig: { TargetArn: QUEUE } });
    await call("UpdateFunctionConfiguration", { FunctionName: "h", DeadLetterConfig: { TargetArn: "" } });
    assert.equal((await settled("h")).DeadLetterConfig, undefined);
    assert.equal(control.asynchronousSettings.eventSettings("h", undefined).deadLetterTargetArn, undefined);
  });

  it("need a role that may send to them, whichever of both is changed", async () => {
    const { create, call, denied, settled } = await setUp();
    const message = "The provided execution role does not have permissions to call SendMessage on SQS";
    const refusal = awsError("InvalidParameterValueException", message);
    denied.add(`sqs:SendMessage ${QUEUE}`);
    await assert.rejects(create("h", { DeadLetterConfig: { TargetArn: QUEUE } }), refusal);
    denied.clear();
    await create("h", { DeadLetterConfig: { TargetArn: QUEUE } });
    denied.add(`sqs:SendMessage ${QUEUE}`);
    const update = (members: object) =>
      call("UpdateFunctionConfiguration", { FunctionName: "h", ...members });
    await assert.rejects(update({ Role: "arn:aws:iam::000000000000:role/other" }), refusal);
    await update({ Timeout: 7 });
    assert.equal((await settled("h")).DeadLetterConfig?.TargetArn, QUEUE);
  });
});
