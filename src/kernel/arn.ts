/** Amazon Resource Names: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`. Region and account may be empty (IAM, S3). */
export interface Arn {
  readonly partition: string;
  readonly service: string;
  readonly region: string;
  readonly accountId: string;
  /** Everything after the fifth colon, colons and slashes included: `function:NAME:QUALIFIER`, `role/path/NAME`. */
  readonly resource: string;
}

/** Undefined when `text` is not an ARN: six parts, the first one `arn`, none of partition, service and resource empty. */
export function parseArn(text: string): Arn | undefined {
  if (!text.startsWith("arn:")) return undefined;
  const [, partition = "", service = "", region = "", accountId = "", ...rest] = text.split(":");
  const resource = rest.join(":");
  if (partition === "" || service === "" || resource === "") return undefined;
  return { partition, service, region, accountId, resource };
}

export function formatArn(arn: Arn): string {
  return `arn:${arn.partition}:${arn.service}:${arn.region}:${arn.accountId}:${arn.resource}`;
}

/** The partition that a Region belongs to. */
export function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  if (region.startsWith("us-gov-")) return "aws-us-gov";
  return "aws";
}

/** A function's ARN; qualified when a qualifier (`$LATEST`, a version's number, an alias) is given. */
export function functionArn(region: string, accountId: string, name: string, qualifier?: string): string {
  const unqualified = `arn:${partitionOf(region)}:lambda:${region}:${accountId}:function:${name}`;
  return qualifier === undefined ? unqualified : `${unqualified}:${qualifier}`;
}

export function capacityProviderArn(region: string, accountId: string, name: string): string {
  return `arn:${partitionOf(region)}:lambda:${region}:${accountId}:capacity-provider:${name}`;
}
