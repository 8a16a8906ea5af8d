/** Who speaks: what a verified signature (or `--auth none`) proved. */
export interface Principal {
  readonly kind: "root" | "user" | "assumed-role" | "service" | "anonymous";
  /** `arn:aws:iam::000000000000:root`, `arn:aws:sts::…:assumed-role/NAME/SESSION`, … */
  readonly arn: string;
  readonly accountId: string;
  /** The unique id that GetCallerIdentity answers as UserId. */
  readonly userId: string;
  /** The access key that signed; undefined for services and anonymous callers. */
  readonly accessKeyId?: string;
}
