/** S3, DynamoDB and Kinesis: buckets and keys, tables and indexes, streams. */
import {
  arnOrName,
  isObject,
  localArn,
  structuresOf,
  textOf,
  type Access,
  type Input,
  type Place,
} from "./access.ts";

/** S3's actions are older than its operations and named by what they protect. */
const S3_ACTIONS: Readonly<Record<string, string>> = {
  HeadObject: "GetObject",
  SelectObjectContent: "GetObject",
  HeadBucket: "ListBucket",
  ListObjects: "ListBucket",
  ListObjectsV2: "ListBucket",
  ListObjectVersions: "ListBucketVersions",
  ListBuckets: "ListAllMyBuckets",
  ListMultipartUploads: "ListBucketMultipartUploads",
  ListParts: "ListMultipartUploadParts",
  CreateMultipartUpload: "PutObject",
  UploadPart: "PutObject",
  UploadPartCopy: "PutObject",
  CompleteMultipartUpload: "PutObject",
  CopyObject: "PutObject",
  RenameObject: "PutObject",
  DeleteObjects: "DeleteObject",
  GetBucketCors: "GetBucketCORS",
  PutBucketCors: "PutBucketCORS",
  DeleteBucketCors: "PutBucketCORS",
  GetBucketLifecycle: "GetLifecycleConfiguration",
  GetBucketLifecycleConfiguration: "GetLifecycleConfiguration",
  PutBucketLifecycle: "PutLifecycleConfiguration",
  PutBucketLifecycleConfiguration: "PutLifecycleConfiguration",
  DeleteBucketLifecycle: "PutLifecycleConfiguration",
  GetBucketEncryption: "GetEncryptionConfiguration",
  PutBucketEncryption: "PutEncryptionConfiguration",
  DeleteBucketEncryption: "PutEncryptionConfiguration",
  DeleteBucketTagging: "PutBucketTagging",
  GetBucketReplication: "GetReplicationConfiguration",
  PutBucketReplication: "PutReplicationConfiguration",
  DeleteBucketReplication: "PutReplicationConfiguration",
  GetBucketAccelerateConfiguration: "GetAccelerateConfiguration",
  PutBucketAccelerateConfiguration: "PutAccelerateConfiguration",
  GetBucketNotificationConfiguration: "GetBucketNotification",
  PutBucketNotificationConfiguration: "PutBucketNotification",
  GetPublicAccessBlock: "GetBucketPublicAccessBlock",
  PutPublicAccessBlock: "PutBucketPublicAccessBlock",
  DeletePublicAccessBlock: "PutBucketPublicAccessBlock",
  DeleteBucketOwnershipControls: "PutBucketOwnershipControls",
  GetObjectLockConfiguration: "GetBucketObjectLockConfiguration",
  PutObjectLockConfiguration: "PutBucketObjectLockConfiguration",
};
/** Get-, Put-, Delete- and ListBucket…Configuration(s): two actions each. */
const S3_CONFIGURATION =
  /^(Get|Put|Delete|List)Bucket(Analytics|IntelligentTiering|Inventory|Metrics)Configurations?$/;
/** With a version they ask for more. */
const S3_VERSIONED: Readonly<Record<string, string>> = {
  GetObject: "GetObjectVersion",
  HeadObject: "GetObjectVersion",
  GetObjectAttributes: "GetObjectVersionAttributes",
  GetObjectAcl: "GetObjectVersionAcl",
  PutObjectAcl: "PutObjectVersionAcl",
  GetObjectTagging: "GetObjectVersionTagging",
  PutObjectTagging: "PutObjectVersionTagging",
  DeleteObjectTagging: "DeleteObjectVersionTagging",
  DeleteObject: "DeleteObjectVersion",
};

export function s3Action(operation: string, input: Input): string {
  const versioned = textOf(input, "VersionId") === undefined ? undefined : S3_VERSIONED[operation];
  if (versioned !== undefined) return versioned;
  const [, verb, what] = S3_CONFIGURATION.exec(operation) ?? [];
  if (what !== undefined) return `${verb === "Get" || verb === "List" ? "Get" : "Put"}${what}Configuration`;
  return S3_ACTIONS[operation] ?? operation;
}

export function s3Resources(operation: string, input: Input, place: Place): readonly string[] {
  const bucket = textOf(input, "Bucket");
  if (bucket === undefined) return ["*"];
  const arn = bucket.startsWith("arn:") ? bucket : `arn:${place.partition}:s3:::${bucket}`;
  if (operation === "DeleteObjects") {
    const request = input["Delete"];
    const keys = isObject(request) ? structuresOf(request, "Objects") : [];
    return keys.map((object) => `${arn}/${textOf(object, "Key") ?? ""}`);
  }
  const key = textOf(input, "Key");
  return [key === undefined ? arn : `${arn}/${key}`];
}

/** A copy reads its source. */
export function s3Extras(operation: string, input: Input, place: Place): readonly Access[] {
  if (operation !== "CopyObject" && operation !== "UploadPartCopy") return [];
  const source = textOf(input, "CopySource");
  if (source === undefined) return [];
  const [path = "", query] = source.split("?");
  let name: string;
  try {
    name = decodeURIComponent(path).replace(/^\//, "");
  } catch {
    // Not percent-encoded: the service will say so, or take it as it is.
    name = path.replace(/^\//, "");
  }
  const versioned = query?.startsWith("versionId=") === true;
  const resource = name.startsWith("arn:") ? name : `arn:${place.partition}:s3:::${name}`;
  return [{ action: versioned ? "s3:GetObjectVersion" : "s3:GetObject", resource }];
}

export function s3Keys(input: Input): Record<string, readonly string[]> {
  const keys: Record<string, readonly string[]> = {};
  const members: Readonly<Record<string, string>> = {
    Prefix: "s3:prefix",
    Delimiter: "s3:delimiter",
    MaxKeys: "s3:max-keys",
    VersionId: "s3:versionid",
    ACL: "s3:x-amz-acl",
    ServerSideEncryption: "s3:x-amz-server-side-encryption",
    SSEKMSKeyId: "s3:x-amz-server-side-encryption-aws-kms-key-id",
    StorageClass: "s3:x-amz-storage-class",
    CopySource: "s3:x-amz-copy-source",
    MetadataDirective: "s3:x-amz-metadata-directive",
  };
  for (const [member, key] of Object.entries(members)) {
    const value = input[member];
    if (typeof value === "string" || typeof value === "number") keys[key] = [String(value)];
  }
  return keys;
}

const TABLE = (place: Place, name: string) => arnOrName(place, "dynamodb", "table/", name);
const TRANSACTION_ACTIONS: Readonly<Record<string, string>> = {
  Get: "GetItem",
  Put: "PutItem",
  Update: "UpdateItem",
  Delete: "DeleteItem",
  ConditionCheck: "ConditionCheckItem",
};

export function dynamodbResources(_operation: string, input: Input, place: Place): readonly string[] {
  const items = input["RequestItems"];
  if (isObject(items)) return Object.keys(items).map((name) => TABLE(place, name));
  const table = textOf(input, "TableName", "SourceTableName", "TargetTableName");
  if (table !== undefined) {
    const arn = TABLE(place, table);
    const index = textOf(input, "IndexName");
    return [index === undefined ? arn : `${arn}/index/${index}`];
  }
  const arn = textOf(input, "ResourceArn", "StreamArn", "TableArn", "BackupArn", "ExportArn", "ImportArn");
  if (arn !== undefined) return [arn];
  const shardIterator = textOf(input, "ShardIterator");
  return [shardIterator?.split("|").find((part) => part.startsWith("arn:")) ?? "*"];
}

/** Transactions ask for what their parts do; statements for what their first word says. Undefined: an ordinary operation. */
export function dynamodbAccesses(operation: string, input: Input, place: Place): Access[] | undefined {
  if (operation === "TransactGetItems" || operation === "TransactWriteItems") {
    return structuresOf(input, "TransactItems").flatMap((item) =>
      Object.entries(item).flatMap(([name, part]) => {
        const action = TRANSACTION_ACTIONS[name];
        const table = isObject(part) ? textOf(part, "TableName") : undefined;
        return action === undefined || table === undefined
          ? []
          : [{ action: `dynamodb:${action}`, resource: TABLE(place, table) }];
      }),
    );
  }
  if (operation === "ExecuteStatement") return [statementAccess(input, place)];
  if (operation === "BatchExecuteStatement")
    return structuresOf(input, "Statements").map((statement) => statementAccess(statement, place));
  if (operation === "ExecuteTransaction")
    return structuresOf(input, "TransactStatements").map((statement) => statementAccess(statement, place));
  return undefined;
}

const STATEMENT =
  /^\s*(SELECT\b[^]*?\bFROM|INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?([\w.-]+)"?(?:\."([\w.-]+)")?/i;

function statementAccess(input: Input, place: Place): Access {
  const [, verb = "SELECT", table, index] = STATEMENT.exec(textOf(input, "Statement") ?? "") ?? [];
  const word = (/^\w+/.exec(verb)?.[0] ?? "").toLowerCase();
  const action = `dynamodb:PartiQL${word.charAt(0).toUpperCase()}${word.slice(1)}`;
  if (table === undefined) return { action, resource: "*" };
  const arn = TABLE(place, table);
  return { action, resource: index === undefined ? arn : `${arn}/index/${index}` };
}

export function kinesisResources(_operation: string, input: Input, place: Place): readonly string[] {
  const consumer = textOf(input, "ConsumerARN");
  if (consumer !== undefined) return [consumer];
  const arn = textOf(input, "StreamARN", "ResourceARN");
  if (arn !== undefined) return [arn];
  const name = textOf(input, "StreamName");
  return [name === undefined ? "*" : localArn(place, "kinesis", `stream/${name}`)];
}
