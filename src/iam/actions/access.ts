/** What a request asks leave for, in the policy language: the vocabulary of this folder. */

/** One action on one resource. A request may need several: each must be allowed. */
export interface Access {
  /** `lambda:InvokeFunction`. */
  readonly action: string;
  /** An ARN, or `*` when the action knows no resources. */
  readonly resource: string;
  /** Condition keys of the service, by their names in lower case; beside the global ones. */
  readonly keys?: Readonly<Record<string, readonly string[]>>;
}

export type Input = Readonly<Record<string, unknown>>;

/** Where a request arrived, and how names become ARNs there. */
export interface Place {
  readonly partition: string;
  readonly region: string;
  readonly accountId: string;
  readonly entities: EntityArns;
  /** ARN of the calling user, when it is one: IAM's default for UserName. */
  readonly callerArn: string;
}

/** IAM's ARNs contain paths that requests do not name. Names that nobody has get the ARN with the path `/`. */
export interface EntityArns {
  arnOf(kind: "user" | "role" | "group" | "instance-profile", name: string): string;
}

/** The resources that an operation of a service touches. */
export type ResourceFinder = (operation: string, input: Input, place: Place) => readonly string[];

/** A member that is a text; undefined when it is absent or something else. */
export function textOf(input: Input, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = input[name];
    if (typeof value === "string" && value !== "") return value;
  }
  return undefined;
}

export function isObject(value: unknown): value is Input {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A member that is a list of structures. */
export function structuresOf(input: Input, name: string): readonly Input[] {
  const value = input[name];
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : [];
}

/** A member that is a list of texts. */
export function textsOf(input: Input, name: string): readonly string[] {
  const value = input[name];
  return Array.isArray(value) ? (value as unknown[]).filter((text) => typeof text === "string") : [];
}

/** `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE` in the request's place. */
export function localArn(place: Place, service: string, resource: string): string {
  return `arn:${place.partition}:${service}:${place.region}:${place.accountId}:${resource}`;
}

/** An ARN as it is; a name as the resource `prefix + name` of the service. */
export function arnOrName(place: Place, service: string, prefix: string, text: string): string {
  return text.startsWith("arn:") ? text : localArn(place, service, `${prefix}${text}`);
}
