/** How an execution begins, and what its name is good for: the same name and input never begin a second one. */
import { hash } from "node:crypto";
import { AwsError } from "../../errors.ts";
import { assert } from "../../kernel/assert.ts";
import { RevisionConflict, type Change } from "../../store/store.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import { Execution } from "./execution.ts";
import type { ExecutionStore } from "./execution-store.ts";
import { executionArn, newExecutionId } from "./ids.ts";
import { executionKey, NAME_KIND, nameKey, type ExecutionRecord, type NameRecord } from "./records.ts";

export interface StartRequest {
  readonly version: FunctionVersion;
  /** Its payload is the input; its name, when it has one, makes it idempotent. */
  readonly invocation: Invocation;
  readonly parent?: Parent;
}

type Parent = NonNullable<ExecutionRecord["parent"]>;

export interface Started {
  readonly key: string;
  readonly arn: string;
  /** Undefined: it has been there before. */
  readonly execution: Execution | undefined;
}

/** Races that one start may lose: each means that somebody else's start of that name won. */
const ATTEMPTS_MAX = 4;

/**
 * Resolves when the execution is on disk, or was. Rejects with DurableExecutionAlreadyStartedException when the name has
 * been used with another input, or by anybody else when the request has a parent.
 */
export async function begin(
  disk: ExecutionStore,
  request: StartRequest,
  identity: string,
  nowMs: number,
): Promise<Started> {
  const { version, invocation } = request;
  const { durableExecutionName: given } = invocation;
  const input = invocation.payload.toString("utf8");
  if (given === undefined) return create(disk, request, identity, input, nowMs, []);
  const inputSha256Hex = hash("sha256", input, "hex");
  for (let attempt = 1; ; attempt += 1) {
    const named = await disk.named(version.name, given);
    // A name of a deleted function's execution is free.
    if (named?.value.identity === identity) {
      const { id, inputSha256Hex: theirs } = named.value;
      const key = executionKey(version.name, id);
      const record = await disk.record(key);
      if (record) {
        if (theirs !== inputSha256Hex) throw alreadyStarted(given, "with a different payload");
        // Its end is told to the parent that it has: another one would wait in vain.
        if (request.parent && !isParent(record, request.parent))
          throw alreadyStarted(given, "by another caller");
        return { key, arn: executionArn(record), execution: undefined };
      }
    }
    const id = newExecutionId(nowMs);
    const value: NameRecord = { id, identity, inputSha256Hex };
    const expect = named ? named.revision : "absent";
    const key = nameKey(version.name, given);
    try {
      const naming: Change = { op: "put", kind: NAME_KIND, key, value, expect };
      return await create(disk, request, identity, input, nowMs, [naming], id);
    } catch (error) {
      if (!(error instanceof RevisionConflict) || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

async function create(
  disk: ExecutionStore,
  { version, invocation, parent }: StartRequest,
  identity: string,
  input: string,
  nowMs: number,
  naming: readonly Change[],
  id = newExecutionId(nowMs),
): Promise<Started> {
  const { durable, name: functionName, functionArn } = version;
  assert(durable, "only durable functions have executions");
  const { durableExecutionName, invokedFunctionArn, requestId, traceHeader, tenantId } = invocation;
  const execution = Execution.begin(
    {
      id,
      name: durableExecutionName ?? id,
      functionName,
      functionArn,
      version: version.version,
      identity,
      invokedFunctionArn,
      startMs: nowMs,
      ...durable,
      requestId,
      traceHeader,
      ...(tenantId !== undefined && { tenantId }),
      ...(durableExecutionName !== undefined && { isNamed: true }),
      ...(parent && { parent }),
    },
    input,
  );
  await disk.write([...execution.takeChanges(nowMs), ...execution.indexChanges(), ...naming]);
  return { key: execution.key, arn: execution.arn, execution };
}

function isParent({ parent }: ExecutionRecord, { key, operationId }: Parent): boolean {
  return parent?.key === key && parent.operationId === operationId;
}

function alreadyStarted(name: string, how: string): AwsError {
  return new AwsError(
    "DurableExecutionAlreadyStartedException",
    `The durable execution with the name ${name} has already been started ${how}.`,
    { status: 409 },
  );
}
