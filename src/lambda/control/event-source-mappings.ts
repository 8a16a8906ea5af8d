/**
 * Create-, Get-, Update-, Delete- and ListEventSourceMapping(s).
 *
 * A change is one transaction, and its answer tells the state that AWS would be passing through (Creating, Enabling, …): the
 * record itself is never between two states, so that a crash leaves none of them behind.
 */
import type {
  CreateEventSourceMappingRequest,
  DeleteEventSourceMappingRequest,
  EventSourceMappingConfiguration,
  GetEventSourceMappingRequest,
  ListEventSourceMappingsRequest,
  ListEventSourceMappingsResponse,
  UpdateEventSourceMappingRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import { functionArn, partitionOf } from "../../kernel/arn.ts";
import type { Clock } from "../../kernel/clock.ts";
import { newUuid } from "../../kernel/ids.ts";
import type { Store } from "../../store/store.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import { MAPPING_KIND, sourceKindOf, type MappingOptions, type MappingRecord } from "../sources/mapping.ts";
import { mappingOptions } from "./event-source-options.ts";
import type { FunctionStore } from "./function-store.ts";
import { locate } from "./locate.ts";
import { changeMapping, insertMapping, removeMapping, requireMapping } from "./mapping-store.ts";
import { page } from "./paging.ts";
import { checkTags } from "./tags.ts";

export interface MappingOperationsOptions {
  readonly store: Store;
  readonly functions: FunctionStore;
  readonly clock: Clock;
}

export function mappingOperations(options: MappingOperationsOptions): Record<string, OperationHandler> {
  const { store, functions, clock } = options;
  return {
    async CreateEventSourceMapping(
      input: CreateEventSourceMappingRequest,
      context,
    ): Promise<EventSourceMappingConfiguration> {
      const record = newMapping(functions, input, context, clock.nowMs());
      await insertMapping(store, record);
      return show(functions, record, "Creating");
    },

    async GetEventSourceMapping(
      input: GetEventSourceMappingRequest,
    ): Promise<EventSourceMappingConfiguration> {
      const { value } = await requireMapping(store, input.UUID);
      return show(functions, value);
    },

    async UpdateEventSourceMapping(
      input: UpdateEventSourceMappingRequest,
      context,
    ): Promise<EventSourceMappingConfiguration> {
      const { before, after } = await changeMapping(store, input.UUID, (current) =>
        updatedMapping(functions, current, input, context, clock.nowMs()),
      );
      const state = before.enabled === after.enabled ? "Updating" : after.enabled ? "Enabling" : "Disabling";
      return show(functions, after, state);
    },

    async DeleteEventSourceMapping(
      input: DeleteEventSourceMappingRequest,
    ): Promise<EventSourceMappingConfiguration> {
      const value = await removeMapping(store, input.UUID);
      return show(functions, value, "Deleting");
    },

    async ListEventSourceMappings(
      input: ListEventSourceMappingsRequest,
      context,
    ): Promise<ListEventSourceMappingsResponse> {
      const target =
        input.FunctionName === undefined
          ? undefined
          : locate(input.FunctionName, undefined, context, "ListEventSourceMappings");
      const all = await store.list<MappingRecord>(MAPPING_KIND);
      const wanted = all.filter(
        ({ value }) =>
          (input.EventSourceArn === undefined || value.sourceArn === input.EventSourceArn) &&
          (target === undefined ||
            (value.functionName === target.name && value.qualifier === target.qualifier)),
      );
      const { items, nextMarker } = page(wanted, ({ key }) => key, input);
      return {
        EventSourceMappings: items.map(({ value }) => show(functions, value)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

function newMapping(
  functions: FunctionStore,
  input: CreateEventSourceMappingRequest,
  context: RequestContext,
  nowMs: number,
): MappingRecord {
  const { EventSourceArn: sourceArn, FunctionName: nameOrArn, ...members } = input;
  const kind =
    sourceArn !== undefined ? sourceKindOf(sourceArn) : input.SelfManagedEventSource ? "kafka" : undefined;
  if (!kind || (sourceArn !== undefined && input.SelfManagedEventSource)) {
    throw invalidParameterValue("Unrecognized event source.");
  }
  const options = mappingOptions(kind, sourceArn, members, undefined);
  const { name, qualifier } = locate(nameOrArn, undefined, context, "CreateEventSourceMapping");
  functions.requireVersion(name, qualifier);
  const tags = input.Tags ?? {};
  checkTags(tags);
  return {
    uuid: newUuid(),
    kind,
    functionName: name,
    enabled: input.Enabled ?? true,
    lastModifiedMs: nowMs,
    tags,
    options,
    ...(sourceArn !== undefined && { sourceArn }),
    ...(qualifier !== undefined && { qualifier }),
  };
}

function updatedMapping(
  functions: FunctionStore,
  before: MappingRecord,
  input: UpdateEventSourceMappingRequest,
  context: RequestContext,
  nowMs: number,
): MappingRecord {
  const { UUID: _uuid, FunctionName: nameOrArn, Enabled: enabled = before.enabled, ...members } = input;
  const options = mappingOptions(before.kind, before.sourceArn, members, before.options);
  const { functionName, qualifier: formerQualifier, ...rest } = before;
  const target =
    nameOrArn === undefined
      ? { name: functionName, qualifier: formerQualifier }
      : locate(nameOrArn, undefined, context, "UpdateEventSourceMapping");
  functions.requireVersion(target.name, target.qualifier);
  return {
    ...rest,
    functionName: target.name,
    ...(target.qualifier !== undefined && { qualifier: target.qualifier }),
    enabled,
    options,
    lastModifiedMs: nowMs,
  };
}

/** `state` is the one that AWS passes through in answer to a change. */
function show(
  { region, accountId }: FunctionStore,
  record: MappingRecord,
  state: string = record.enabled ? "Enabled" : "Disabled",
): EventSourceMappingConfiguration {
  const { uuid, sourceArn, functionName, qualifier, lastModifiedMs, options } = record;
  return {
    UUID: uuid,
    EventSourceMappingArn: mappingArn(region, accountId, uuid),
    FunctionArn: functionArn(region, accountId, functionName, qualifier),
    ...(sourceArn !== undefined && { EventSourceArn: sourceArn }),
    State: state,
    StateTransitionReason: "USER_INITIATED",
    LastModified: new Date(lastModifiedMs),
    ...showOptions(options),
  };
}

function showOptions(options: MappingOptions): EventSourceMappingConfiguration {
  const { startingTimestampMs, onFailureArn, reportsItemFailures, maximumConcurrency } = options;
  const isStream = options.retryAttemptsMax !== undefined;
  return defined({
    ...options.asGiven,
    BatchSize: options.batchSize,
    MaximumBatchingWindowInSeconds: options.batchingWindowS,
    FilterCriteria:
      options.filters.length === 0 ? undefined : { Filters: options.filters.map((Pattern) => ({ Pattern })) },
    StartingPosition: options.startingPosition,
    StartingPositionTimestamp: startingTimestampMs === undefined ? undefined : new Date(startingTimestampMs),
    ParallelizationFactor: options.parallelizationFactor,
    TumblingWindowInSeconds: options.tumblingWindowS,
    BisectBatchOnFunctionError: options.bisectOnError,
    MaximumRetryAttempts: options.retryAttemptsMax,
    MaximumRecordAgeInSeconds: options.recordAgeSMax,
    DestinationConfig: isStream
      ? { OnFailure: onFailureArn === undefined ? {} : { Destination: onFailureArn } }
      : undefined,
    FunctionResponseTypes:
      reportsItemFailures === undefined ? undefined : reportsItemFailures ? ["ReportBatchItemFailures"] : [],
    ScalingConfig: maximumConcurrency === undefined ? undefined : { MaximumConcurrency: maximumConcurrency },
    LastProcessingResult: isStream ? "No records processed" : undefined,
  });
}

function defined(members: Record<string, unknown>): EventSourceMappingConfiguration {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

export function mappingArn(region: string, accountId: string, uuid: string): string {
  return `arn:${partitionOf(region)}:lambda:${region}:${accountId}:event-source-mapping:${uuid}`;
}
