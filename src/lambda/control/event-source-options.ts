/**
 * The members of Create- and UpdateEventSourceMapping as the options of a mapping: which of them a kind of source takes, its
 * defaults, and Lambda's refusals. Where AWS's wording is not documented the sentence is ours; the code and status are AWS's.
 */
import type {
  CreateEventSourceMappingRequest,
  UpdateEventSourceMappingRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import { InvalidFilterPattern, parseFilter } from "../sources/filter.ts";
import { isFifo, type MappingOptions, type SourceKind } from "../sources/mapping.ts";

type Members = Omit<CreateEventSourceMappingRequest, "FunctionName"> &
  Omit<UpdateEventSourceMappingRequest, "FunctionName" | "UUID">;
type Member = keyof Members;

/** Filters of one mapping [quotas: 5, up to 10 on request]. */
const FILTERS_MAX = 10;
/** A batch of SQS or of a window-less source may not be larger without a batching window. */
const BATCH_SIZE_WITHOUT_WINDOW_MAX = 10;

const COMMON: readonly Member[] = [
  "EventSourceArn",
  "Enabled",
  "BatchSize",
  "FilterCriteria",
  "KMSKeyArn",
  "MetricsConfig",
  "LoggingConfig",
  "MaximumBatchingWindowInSeconds",
  "Tags",
];
const STREAM: readonly Member[] = [
  "StartingPosition",
  "StartingPositionTimestamp",
  "ParallelizationFactor",
  "DestinationConfig",
  "MaximumRecordAgeInSeconds",
  "BisectBatchOnFunctionError",
  "MaximumRetryAttempts",
  "TumblingWindowInSeconds",
  "FunctionResponseTypes",
];
const KAFKA: readonly Member[] = [
  "StartingPosition",
  "StartingPositionTimestamp",
  "Topics",
  "SourceAccessConfigurations",
  "DestinationConfig",
  "ProvisionedPollerConfig",
  "MaximumRecordAgeInSeconds",
  "BisectBatchOnFunctionError",
  "MaximumRetryAttempts",
  "FunctionResponseTypes",
];

interface Kind {
  readonly batchSize: number;
  readonly takes: ReadonlySet<Member>;
  readonly requires: readonly Member[];
  /** Shards or partitions with a position, retries and ages. */
  readonly isStream: boolean;
}

const KINDS: Readonly<Record<SourceKind, Kind>> = {
  sqs: kind(10, false, ["ScalingConfig", "FunctionResponseTypes", "ProvisionedPollerConfig"], []),
  kinesis: kind(100, true, STREAM, ["StartingPosition"]),
  dynamodb: kind(100, true, STREAM, ["StartingPosition"]),
  msk: kind(100, true, [...KAFKA, "AmazonManagedKafkaEventSourceConfig"], ["StartingPosition", "Topics"]),
  kafka: kind(
    100,
    true,
    [...KAFKA, "SelfManagedEventSource", "SelfManagedKafkaEventSourceConfig"],
    ["StartingPosition", "Topics", "SourceAccessConfigurations"],
  ),
  mq: kind(100, false, ["Queues", "SourceAccessConfigurations"], ["Queues", "SourceAccessConfigurations"]),
  documentdb: kind(
    100,
    false,
    [
      "StartingPosition",
      "StartingPositionTimestamp",
      "SourceAccessConfigurations",
      "DocumentDBEventSourceConfig",
    ],
    ["StartingPosition", "SourceAccessConfigurations", "DocumentDBEventSourceConfig"],
  ),
};

/** Kept as they came. */
const AS_GIVEN: readonly Member[] = [
  "Topics",
  "Queues",
  "SourceAccessConfigurations",
  "SelfManagedEventSource",
  "AmazonManagedKafkaEventSourceConfig",
  "SelfManagedKafkaEventSourceConfig",
  "DocumentDBEventSourceConfig",
  "ProvisionedPollerConfig",
  "MetricsConfig",
  "LoggingConfig",
  "KMSKeyArn",
];

function kind(
  batchSize: number,
  isStream: boolean,
  own: readonly Member[],
  requires: readonly Member[],
): Kind {
  return { batchSize, isStream, takes: new Set([...COMMON, ...own]), requires };
}

/** The options after the request; members that it leaves out keep their values. Throws AwsError. */
export function mappingOptions(
  sourceKind: SourceKind,
  sourceArn: string | undefined,
  input: Partial<Members>,
  before: MappingOptions | undefined,
): MappingOptions {
  const { batchSize, takes, requires, isStream } = KINDS[sourceKind];
  for (const [name, value] of Object.entries(input)) {
    if (value !== undefined && !takes.has(name as Member)) {
      throw invalidParameterValue(`${name} is not supported for this type of event source.`);
    }
  }
  if (!before) requireMembers(requires, input);
  const options: MappingOptions = {
    batchSize: input.BatchSize ?? before?.batchSize ?? batchSize,
    ...window(sourceKind, input, before),
    filters: input.FilterCriteria ? patterns(input.FilterCriteria) : (before?.filters ?? []),
    ...(before ? positionOf(before) : startingPosition(sourceKind, sourceArn, input)),
    ...(isStream && streamOptions(sourceKind, input, before)),
    ...(takes.has("FunctionResponseTypes") && {
      reportsItemFailures: input.FunctionResponseTypes
        ? input.FunctionResponseTypes.length > 0
        : (before?.reportsItemFailures ?? false),
    }),
    ...concurrency(input, before),
    asGiven: { ...before?.asGiven, ...pick(input, AS_GIVEN) },
  };
  checkBatch(sourceKind, sourceArn, options);
  return options;
}

function requireMembers(required: readonly Member[], input: Partial<Members>): void {
  for (const name of required) {
    if (input[name] !== undefined) continue;
    const member = `${name.charAt(0).toLowerCase()}${name.slice(1)}`;
    throw invalidParameterValue(
      name === "StartingPosition"
        ? `1 validation error detected: Value null at '${member}' failed to satisfy constraint: Member must not be null.`
        : `Required '${member}' parameter is missing.`,
    );
  }
}

function window(
  sourceKind: SourceKind,
  input: Partial<Members>,
  before: MappingOptions | undefined,
): Pick<MappingOptions, "batchingWindowS"> {
  const none = ["sqs", "kinesis", "dynamodb"].includes(sourceKind) ? 0 : undefined;
  const seconds = input.MaximumBatchingWindowInSeconds ?? before?.batchingWindowS ?? none;
  return seconds === undefined ? {} : { batchingWindowS: seconds };
}

/** Throws InvalidParameterValueException for what is no pattern. */
function patterns(criteria: NonNullable<Members["FilterCriteria"]>): string[] {
  const texts = (criteria.Filters ?? []).map(({ Pattern }) => Pattern ?? "");
  if (texts.length > FILTERS_MAX) {
    throw invalidParameterValue(`Maximum number of filters is ${FILTERS_MAX}.`);
  }
  for (const text of texts) {
    try {
      parseFilter(text);
    } catch (error) {
      if (!(error instanceof InvalidFilterPattern)) throw error;
      throw invalidParameterValue(`Invalid filter pattern definition. (${error.message})`);
    }
  }
  return texts;
}

function startingPosition(
  sourceKind: SourceKind,
  sourceArn: string | undefined,
  input: Partial<Members>,
): Pick<MappingOptions, "startingPosition" | "startingTimestampMs"> {
  const { StartingPosition: position, StartingPositionTimestamp: timestamp } = input;
  if (position === undefined) return {};
  if (position === "AT_TIMESTAMP" && sourceKind === "dynamodb") {
    throw invalidParameterValue(`Unsupported starting position for arn type: ${sourceArn}`);
  }
  if ((position === "AT_TIMESTAMP") !== (timestamp !== undefined)) {
    throw invalidParameterValue(
      "StartingPositionTimestamp is required with StartingPosition AT_TIMESTAMP, and with no other.",
    );
  }
  return {
    startingPosition: position,
    ...(timestamp !== undefined && { startingTimestampMs: timestamp.getTime() }),
  };
}

function positionOf({
  startingPosition: position,
  startingTimestampMs: timestampMs,
}: MappingOptions): Pick<MappingOptions, "startingPosition" | "startingTimestampMs"> {
  return {
    ...(position !== undefined && { startingPosition: position }),
    ...(timestampMs !== undefined && { startingTimestampMs: timestampMs }),
  };
}

function streamOptions(
  sourceKind: SourceKind,
  input: Partial<Members>,
  before: MappingOptions | undefined,
): Partial<MappingOptions> {
  const sharded = sourceKind === "kinesis" || sourceKind === "dynamodb";
  const onFailureArn = input.DestinationConfig
    ? input.DestinationConfig.OnFailure?.Destination
    : before?.onFailureArn;
  if (input.DestinationConfig?.OnSuccess?.Destination !== undefined) {
    throw invalidParameterValue("An event source mapping has no destination on success.");
  }
  return {
    ...(sharded && {
      parallelizationFactor: input.ParallelizationFactor ?? before?.parallelizationFactor ?? 1,
      tumblingWindowS: input.TumblingWindowInSeconds ?? before?.tumblingWindowS ?? 0,
    }),
    bisectOnError: input.BisectBatchOnFunctionError ?? before?.bisectOnError ?? false,
    retryAttemptsMax: input.MaximumRetryAttempts ?? before?.retryAttemptsMax ?? -1,
    recordAgeSMax: recordAge(input.MaximumRecordAgeInSeconds ?? before?.recordAgeSMax ?? -1),
    ...(onFailureArn !== undefined && onFailureArn !== "" && { onFailureArn }),
  };
}

/** −1, or at least a minute [CreateEventSourceMapping API]. */
function recordAge(seconds: number): number {
  if (seconds === -1 || seconds >= 60) return seconds;
  throw invalidParameterValue("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800.");
}

/** An empty ScalingConfig removes the limit. */
function concurrency(
  input: Partial<Members>,
  before: MappingOptions | undefined,
): Pick<MappingOptions, "maximumConcurrency"> {
  const maximumConcurrency = input.ScalingConfig
    ? input.ScalingConfig.MaximumConcurrency
    : before?.maximumConcurrency;
  return maximumConcurrency === undefined ? {} : { maximumConcurrency };
}

function checkBatch(
  sourceKind: SourceKind,
  sourceArn: string | undefined,
  { batchSize, batchingWindowS }: MappingOptions,
): void {
  if (sourceKind !== "sqs") return;
  if (isFifo(sourceArn ?? "")) {
    if (batchSize > BATCH_SIZE_WITHOUT_WINDOW_MAX) {
      throw invalidParameterValue(
        `Batch size ${batchSize} is greater than the maximum of ${BATCH_SIZE_WITHOUT_WINDOW_MAX} for FIFO queues.`,
      );
    }
    if (batchingWindowS !== 0)
      throw invalidParameterValue("Batching window is not supported for FIFO queues.");
    return;
  }
  if (batchSize > BATCH_SIZE_WITHOUT_WINDOW_MAX && batchingWindowS === 0) {
    throw invalidParameterValue(
      "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
    );
  }
}

function pick(input: Partial<Members>, names: readonly Member[]): Record<string, unknown> {
  return Object.fromEntries(
    names.filter((name) => input[name] !== undefined).map((name) => [name, input[name]]),
  );
}
