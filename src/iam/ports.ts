/** What authorisation asks of the rooms whose resources it guards. All answers come from memory: it is on every request's path. */

/** Policies that are attached to resources: functions', queues', topics', buckets'. */
export interface ResourcePolicies {
  /**
   * The JSON text of the policy of the resource with exactly this ARN, or undefined when it has none. Qualified function
   * ARNs name a version's or an alias's own policy. The same text as long as the policy is the same: it is compiled once.
   */
  policyOf(resourceArn: string): string | undefined;
}

/** Tags of resources, for aws:ResourceTag/KEY. */
export interface ResourceTags {
  /** Undefined when the resource does not exist or has no tags. */
  tagsOf(resourceArn: string): Readonly<Record<string, string>> | undefined;
}

/** What one service tells about its resources; the service is that of the ARN (`lambda`, `sqs`, `s3`). */
export interface ResourceFacts {
  readonly service: string;
  readonly policies?: ResourcePolicies;
  readonly tags?: ResourceTags;
}
