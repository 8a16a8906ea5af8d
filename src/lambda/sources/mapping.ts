/** Event source mappings: what is kept of one, and which kinds of sources there are. Types, and what they depend on. */
import { parseArn } from "../../kernel/arn.ts";

/** MappingRecord by UUID. */
export const MAPPING_KIND = "lambda/event-source-mapping";
/** The UUID by source and function: no two mappings of the same pair. */
export const MAPPING_PAIR_KIND = "lambda/event-source-mapping-pair";

export type SourceKind = "sqs" | "kinesis" | "dynamodb" | "msk" | "kafka" | "mq" | "documentdb";

export interface MappingRecord {
  readonly uuid: string;
  readonly kind: SourceKind;
  /** Of all kinds but self-managed Kafka. */
  readonly sourceArn?: string;
  readonly functionName: string;
  /** `$LATEST`, a version or an alias; missing: the unqualified function. */
  readonly qualifier?: string;
  readonly enabled: boolean;
  readonly lastModifiedMs: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly options: MappingOptions;
}

/** The members of CreateEventSourceMapping that a kind of source has, with its defaults filled in. */
export interface MappingOptions {
  readonly batchSize: number;
  /** Missing: half a second, the default of Kafka, MQ and DocumentDB. */
  readonly batchingWindowS?: number;
  /** JSON patterns; a record is wanted when any matches. None: all are. */
  readonly filters: readonly string[];
  readonly startingPosition?: "TRIM_HORIZON" | "LATEST" | "AT_TIMESTAMP";
  readonly startingTimestampMs?: number;
  readonly parallelizationFactor?: number;
  readonly tumblingWindowS?: number;
  readonly bisectOnError?: boolean;
  /** −1: until the record expires. */
  readonly retryAttemptsMax?: number;
  /** −1: as long as the source keeps them. */
  readonly recordAgeSMax?: number;
  readonly onFailureArn?: string;
  readonly reportsItemFailures?: boolean;
  readonly maximumConcurrency?: number;
  /** Members that are kept and shown as they came: Kafka's, MQ's and DocumentDB's settings, metrics, logging, pollers, keys. */
  readonly asGiven: Readonly<Record<string, unknown>>;
}

/** Undefined for an ARN of no event source. */
export function sourceKindOf(sourceArn: string): SourceKind | undefined {
  const arn = parseArn(sourceArn);
  if (!arn) return undefined;
  switch (arn.service) {
    case "sqs":
      return "sqs";
    case "kinesis":
      return arn.resource.startsWith("stream/") ? "kinesis" : undefined;
    case "dynamodb":
      return /^table\/[^/]+\/stream\/.+/.test(arn.resource) ? "dynamodb" : undefined;
    case "kafka":
      return "msk";
    case "mq":
      return "mq";
    case "rds":
      return arn.resource.startsWith("cluster:") ? "documentdb" : undefined;
    default:
      return undefined;
  }
}

export function isFifo(sourceArn: string): boolean {
  return sourceArn.endsWith(".fifo");
}

export function pairKey({ kind, sourceArn, functionName, qualifier, options }: MappingRecord): string {
  // Self-managed Kafka has no ARN: its brokers and topic name it.
  const source =
    sourceArn ??
    `${kind}:${JSON.stringify([options.asGiven["SelfManagedEventSource"], options.asGiven["Topics"]])}`;
  return `${source} ${functionName}:${qualifier ?? ""}`;
}
