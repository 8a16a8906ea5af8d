/** Who speaks: what a verified signature (or `--auth none`) proved. */
export interface Principal {
  readonly kind: "root" | "user" | "assumed-role" | "federated-user" | "service" | "anonymous";
  /** `arn:aws:iam::000000000000:root`, `arn:aws:sts::…:assumed-role/NAME/SESSION`, … */
  readonly arn: string;
  readonly accountId: string;
  /** The unique id that GetCallerIdentity answers as UserId. */
  readonly userId: string;
  /** The access key that signed; undefined for services and anonymous callers. */
  readonly accessKeyId?: string;
  /** Present when temporary credentials signed: what permissions and trust depend on beside the identity. */
  readonly session?: PrincipalSession;
}

/** What temporary credentials carry; the names are those of AssumeRole. */
export interface PrincipalSession {
  /** The role behind an assumed-role ARN: identity policies and boundaries hang on it. */
  readonly roleArn?: string;
  /** Of a federated user: the user (or root) whose permissions the session has at most. */
  readonly federatedBy?: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** Inline session policies as JSON texts: the session may do only what these allow too. */
  readonly policies?: readonly string[];
  /** ARNs of managed session policies. */
  readonly policyArns?: readonly string[];
  readonly tags?: Readonly<Record<string, string>>;
  readonly sourceIdentity?: string;
}
