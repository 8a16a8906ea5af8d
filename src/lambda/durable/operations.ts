/** The nine operations of durable executions. */
import type {
  CheckpointDurableExecutionRequest,
  CheckpointDurableExecutionResponse,
  Execution as ListedExecution,
  ExecutionStatus,
  GetDurableExecutionHistoryRequest,
  GetDurableExecutionHistoryResponse,
  GetDurableExecutionRequest,
  GetDurableExecutionResponse,
  GetDurableExecutionStateRequest,
  GetDurableExecutionStateResponse,
  ListDurableExecutionsByFunctionRequest,
  ListDurableExecutionsByFunctionResponse,
  SendDurableExecutionCallbackFailureRequest,
  SendDurableExecutionCallbackHeartbeatRequest,
  SendDurableExecutionCallbackSuccessRequest,
  StopDurableExecutionRequest,
  StopDurableExecutionResponse,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import { DURABLE_ERROR_BYTES_MAX, DURABLE_PAGE_ITEMS_MAX } from "../../limits.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { OperationHandler } from "../../wire/service.ts";
import type { AsynchronousSettings } from "../invoke/asynchronous/settings.ts";
import type { FunctionDirectory } from "../invoke/directory.ts";
import { invokedArn } from "../invoke/invoke.ts";
import type { ExecutionStore } from "./execution-store.ts";
import type { DurableExecutions } from "./executions.ts";
import { DurableRequests } from "./requests.ts";
import { historyPage } from "./history-page.ts";
import { executionArn } from "./ids.ts";
import { executionKey, newestKey, type ExecutionRecord, type OperationRecord } from "./records.ts";

export interface DurableOperationsOptions {
  readonly executions: DurableExecutions;
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly settings: Pick<AsynchronousSettings, "identity">;
  readonly clock: Clock;
}

/** Items of a page of operations when none are asked for [AWS's testing library], and of the other lists [docs]. */
const STATE_ITEMS_DEFAULT = 100;
const LIST_ITEMS_DEFAULT = 100;
/** Executions that one request for a list looks at; with filters it may find nothing, and says where to go on. Ours. */
const LOOKED_AT_MAX = 10_000;
const LOOK_PAGE = 200;

interface Parts extends DurableOperationsOptions {
  readonly requests: DurableRequests;
  readonly disk: ExecutionStore;
}

export function durableOperations(options: DurableOperationsOptions): Record<string, OperationHandler> {
  const requests = new DurableRequests(options);
  const parts = { ...options, requests, disk: options.executions.disk };
  return {
    CheckpointDurableExecution: (
      input: CheckpointDurableExecutionRequest,
    ): Promise<CheckpointDurableExecutionResponse> =>
      requests.checkpoint(
        input.DurableExecutionArn ?? "",
        input.CheckpointToken ?? "",
        input.Updates ?? [],
        input.ClientToken,
      ),
    GetDurableExecutionState: (input: GetDurableExecutionStateRequest) => getState(parts, input),
    GetDurableExecution: (input: GetDurableExecutionRequest) => getExecution(parts, input),
    GetDurableExecutionHistory: (input: GetDurableExecutionHistoryRequest) => getHistory(parts, input),
    ListDurableExecutionsByFunction: (input: ListDurableExecutionsByFunctionRequest) => list(parts, input),
    async StopDurableExecution(input: StopDurableExecutionRequest): Promise<StopDurableExecutionResponse> {
      checkError(input.Error);
      const stoppedMs = await requests.stopExecution(input.DurableExecutionArn ?? "", input.Error);
      return { StopTimestamp: new Date(stoppedMs) };
    },
    async SendDurableExecutionCallbackSuccess(input: SendDurableExecutionCallbackSuccessRequest) {
      const { CallbackId = "", Result } = input;
      const result =
        Result === undefined || Result.length === 0 ? undefined : Buffer.from(Result).toString("utf8");
      await requests.completeCallback(CallbackId, "SUCCEEDED", { result });
      return {};
    },
    async SendDurableExecutionCallbackFailure(input: SendDurableExecutionCallbackFailureRequest) {
      const { CallbackId = "", Error: error = {} } = input;
      checkError(error);
      await requests.completeCallback(CallbackId, "FAILED", { error });
      return {};
    },
    async SendDurableExecutionCallbackHeartbeat(input: SendDurableExecutionCallbackHeartbeatRequest) {
      await requests.heartbeat(input.CallbackId ?? "");
      return {};
    },
  };
}

function checkError(error: object | undefined): void {
  if (error !== undefined && Buffer.byteLength(JSON.stringify(error)) > DURABLE_ERROR_BYTES_MAX)
    throw invalidParameterValue(`Error object size must be less than ${DURABLE_ERROR_BYTES_MAX} bytes.`);
}

/** Zero stands for the most that there may be. */
function itemsOf(asked: number | undefined, fallback: number): number {
  return asked === 0 ? DURABLE_PAGE_ITEMS_MAX : (asked ?? fallback);
}

async function getState(
  { requests }: Parts,
  { DurableExecutionArn = "", CheckpointToken = "", Marker, MaxItems }: GetDurableExecutionStateRequest,
): Promise<GetDurableExecutionStateResponse> {
  const items = itemsOf(MaxItems, STATE_ITEMS_DEFAULT);
  const { operations, nextMarker } = await requests.state(
    DurableExecutionArn,
    CheckpointToken,
    Marker,
    items,
  );
  return { Operations: operations, ...(nextMarker !== undefined && { NextMarker: nextMarker }) };
}

function summary(record: ExecutionRecord): ListedExecution {
  return {
    DurableExecutionArn: executionArn(record),
    DurableExecutionName: record.name,
    FunctionArn: `${record.functionArn}:${record.version}`,
    Status: record.status,
    StartTimestamp: new Date(record.startMs),
    ...(record.endMs !== undefined && { EndTimestamp: new Date(record.endMs) }),
  };
}

async function getExecution(
  { requests, disk }: Parts,
  { DurableExecutionArn = "", IncludeExecutionData: withData = true }: GetDurableExecutionRequest,
): Promise<GetDurableExecutionResponse> {
  const record = await requests.require(DurableExecutionArn);
  const root = await disk.operation(executionKey(record.functionName, record.id), 0);
  return {
    ...summary(record),
    Version: record.version,
    TraceHeader: { XAmznTraceId: record.traceHeader },
    DurableConfig: {
      ExecutionTimeout: record.executionTimeoutMs / 1000,
      RetentionPeriodInDays: record.retentionMs / DAY_MS,
    },
    ExecutionDataIncluded: withData,
    ...(withData && root && dataOf(root)),
  };
}

const DAY_MS = 24 * 60 * 60_000;

function dataOf({ input, result, error }: OperationRecord): Partial<GetDurableExecutionResponse> {
  return {
    ...(input !== undefined && { InputPayload: input }),
    ...(result !== undefined && { Result: result }),
    ...(error && { Error: error }),
  };
}

async function getHistory(
  { requests, disk }: Parts,
  input: GetDurableExecutionHistoryRequest,
): Promise<GetDurableExecutionHistoryResponse> {
  const { DurableExecutionArn = "", IncludeExecutionData = true, ReverseOrder = false, Marker } = input;
  const record = await requests.require(DurableExecutionArn);
  const { events, nextMarker } = await historyPage(disk, record, {
    marker: Marker,
    itemsMax: itemsOf(input.MaxItems, LIST_ITEMS_DEFAULT),
    newestFirst: ReverseOrder,
    withData: IncludeExecutionData,
  });
  return { Events: events, ...(nextMarker !== undefined && { NextMarker: nextMarker }) };
}

function invalidMarker() {
  return invalidParameterValue("The marker is not valid.");
}

async function list(
  { disk, directory, settings }: Parts,
  input: ListDurableExecutionsByFunctionRequest,
): Promise<ListDurableExecutionsByFunctionResponse> {
  const { FunctionName = "", Qualifier, Marker, ReverseOrder } = input;
  const version = directory.resolve(FunctionName, Qualifier);
  const isQualified = invokedArn(version, input) !== version.functionArn;
  const identity = settings.identity(version.name);
  const wanted = (record: ExecutionRecord): boolean =>
    record.identity === identity &&
    (!isQualified || record.version === version.version) &&
    matches(record, input);
  const limit = itemsOf(input.MaxItems, LIST_ITEMS_DEFAULT);
  const order = ReverseOrder ? "newest" : "oldest";
  const found: ExecutionRecord[] = [];
  let after = Marker === undefined ? undefined : decodeMarker(Marker, version.name);
  for (let lookedAt = 0; lookedAt < LOOKED_AT_MAX; lookedAt += LOOK_PAGE) {
    const page = await disk.page(version.name, order, after, LOOK_PAGE);
    for (const record of page.records) {
      // The marker is the place behind the last one that was looked at.
      if (found.length === limit) return listed(found, after);
      after = markedKey(record, order);
      if (wanted(record)) found.push(record);
    }
    if (page.isEnd) return listed(found, undefined);
    after = page.last;
  }
  return listed(found, after);
}

function listed(
  found: readonly ExecutionRecord[],
  after: string | undefined,
): ListDurableExecutionsByFunctionResponse {
  return {
    DurableExecutions: found.map(summary),
    ...(after !== undefined && { NextMarker: encodeMarker(after) }),
  };
}

/** Where an execution stands in a list of that order. */
function markedKey({ functionName, id, startMs }: ExecutionRecord, order: "newest" | "oldest"): string {
  return order === "newest" ? newestKey(functionName, startMs, id) : executionKey(functionName, id);
}

function matches(record: ExecutionRecord, input: ListDurableExecutionsByFunctionRequest): boolean {
  const { DurableExecutionName, Statuses, StartedAfter, StartedBefore } = input;
  const statuses: readonly ExecutionStatus[] | undefined = Statuses;
  return (
    (DurableExecutionName === undefined || record.name === DurableExecutionName) &&
    (statuses === undefined || statuses.includes(record.status)) &&
    (StartedAfter === undefined || record.startMs > StartedAfter.getTime()) &&
    (StartedBefore === undefined || record.startMs < StartedBefore.getTime())
  );
}

function encodeMarker(key: string): string {
  return Buffer.from(key).toString("base64url");
}

function decodeMarker(marker: string, functionName: string): string {
  const key = Buffer.from(marker, "base64url").toString("utf8");
  if (!key.startsWith(`${functionName}/`)) throw invalidMarker();
  return key;
}
