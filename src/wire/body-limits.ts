/** Most bytes that a request may have, by operation. */
import { CONTROL_REQUEST_BYTES_MAX, INVOKE_REQUEST_BYTES_MAX, REQUEST_BYTES_MAX } from "../limits.ts";

const MIB = 1024 * 1024;

/** Objects and parts are collected in memory. Ours; S3's own limit for one PUT is 5 GB. */
const OBJECT_BYTES_MAX = 256 * MIB;
/** BatchWriteItem, the largest request of DynamoDB [DynamoDB API: 16 MB]. */
const DYNAMODB_REQUEST_BYTES_MAX = 16 * MIB;
/** PutRecords [Kinesis API: 10 MB of data and keys], in base64 with JSON around it. */
const KINESIS_REQUEST_BYTES_MAX = 14 * MIB;

const BY_OPERATION: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  lambda: {
    Invoke: INVOKE_REQUEST_BYTES_MAX,
    InvokeAsync: INVOKE_REQUEST_BYTES_MAX,
    InvokeWithResponseStream: INVOKE_REQUEST_BYTES_MAX,
    CreateFunction: CONTROL_REQUEST_BYTES_MAX,
    UpdateFunctionCode: CONTROL_REQUEST_BYTES_MAX,
    PublishLayerVersion: CONTROL_REQUEST_BYTES_MAX,
  },
  s3: { PutObject: OBJECT_BYTES_MAX, UploadPart: OBJECT_BYTES_MAX },
};

const BY_SERVICE: Readonly<Record<string, number>> = {
  dynamodb: DYNAMODB_REQUEST_BYTES_MAX,
  kinesis: KINESIS_REQUEST_BYTES_MAX,
};

export function bodyBytesMax(service: string, operation: string): number {
  return BY_OPERATION[service]?.[operation] ?? BY_SERVICE[service] ?? REQUEST_BYTES_MAX;
}
