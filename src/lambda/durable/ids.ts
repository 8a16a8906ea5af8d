/** The names of executions, callbacks and checkpoints. */
import { AwsError, invalidParameterValue } from "../../errors.ts";
import { executionArnOfCallback } from "../../iam/actions/lambda.ts";
import { newHexId } from "../../kernel/ids.ts";
import { executionKey, type ExecutionRecord } from "./records.ts";

const TIME_HEX_DIGITS = 12;

/** A version 7 UUID: ids of later milliseconds are greater. */
export function newExecutionId(nowMs: number): string {
  const time = Math.floor(nowMs).toString(16).padStart(TIME_HEX_DIGITS, "0");
  const random = newHexId(10);
  const variant = ((Number.parseInt(random.slice(3, 4), 16) & 0x3) | 0x8).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`;
}

/** `arn:…:function:NAME:VERSION/durable-execution/NAME/ID` */
export function executionArn({
  functionArn,
  version,
  name,
  id,
}: Pick<ExecutionRecord, "functionArn" | "version" | "name" | "id">): string {
  return `${functionArn}:${version}/durable-execution/${name}/${id}`;
}

const ARN = /^arn:[^:]+:lambda:[^:]+:\d{12}:function:([^:]+):[^/]+\/durable-execution\/[^/]+\/([^/]+)$/;

/** The key of the execution that an ARN names; undefined when it names none. Whether there is one is the store's to say. */
export function keyOfArn(arn: string): string | undefined {
  const [, functionName, id] = ARN.exec(arn) ?? [];
  return functionName === undefined || id === undefined ? undefined : executionKey(functionName, id);
}

/**
 * What an external system ends a callback with. It carries the execution's ARN, so that authorisation can tell what it is
 * about, and a random part, so that who knows one execution's ARN still cannot guess its callbacks.
 */
export function newCallbackId(arn: string, operationId: string): string {
  return Buffer.from(`${arn} ${operationId} ${newHexId(16)}`).toString("base64");
}

/** Throws InvalidParameterValueException when it is not one of ours. */
export function parseCallbackId(callbackId: string): { key: string; arn: string; operationId: string } {
  const arn = executionArnOfCallback(callbackId);
  const key = arn === undefined ? undefined : keyOfArn(arn);
  const [, operationId] = Buffer.from(callbackId, "base64").toString("utf8").split(" ");
  if (arn === undefined || key === undefined || operationId === undefined)
    throw invalidParameterValue("Invalid callback id");
  return { key, arn, operationId };
}

/** The caller's own error, as AWS's SDKs for durable functions recognise it: they end the invocation, and it is repeated. */
export function invalidCheckpointToken(): AwsError {
  return invalidParameterValue("Invalid Checkpoint Token");
}

/** Opaque to functions: names the invocation that may use it, and its turn. */
export function checkpointToken(invocationId: string, turn: number): string {
  return Buffer.from(`${invocationId} ${turn}`).toString("base64");
}
