/** A signature as the request carries it: found and taken apart, not judged. */
import { hash } from "node:crypto";
import { signatureError, type SignatureDialect } from "./sigv4-errors.ts";

/** `AKID/20261123/us-east-1/lambda/aws4_request`, and its pieces. */
export interface CredentialScope {
  readonly text: string;
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  /** Without the access key: `20261123/us-east-1/lambda/aws4_request`. */
  readonly scope: string;
}

const QUERY_NAMES = [
  "X-Amz-Algorithm",
  "X-Amz-Credential",
  "X-Amz-Signature",
  "X-Amz-SignedHeaders",
  "X-Amz-Date",
] as const;

const BASIC_FORMAT = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

/** Members that the request lacks are empty. */
export class SignatureParts {
  readonly presigned: boolean;
  readonly algorithm: string;
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  /** `20261123T190208Z` when the request is in order. */
  readonly date: string;
  readonly sessionToken: string | undefined;
  /** X-Amz-Expires of a presigned request, in seconds. */
  readonly expires: string | undefined;
  /** X-Amz-Content-Sha256 of a presigned request. */
  readonly contentSha256: string | undefined;
  /** The Authorization header; undefined for a presigned request. */
  readonly #authorization: string | undefined;
  /** Signed in the header and in the query: AWS does not choose. */
  readonly twofold: boolean;

  /** The signature of a request, or undefined when there is none of any kind. */
  static find(headers: Readonly<Record<string, string>>, query: string): SignatureParts | undefined {
    const presigned = query !== "" && query.includes("X-Amz-Algorithm");
    const authorization = headers["authorization"];
    if (authorization === undefined && !presigned) return undefined;
    return new SignatureParts(headers, authorization, presigned ? query : undefined);
  }

  private constructor(
    headers: Readonly<Record<string, string>>,
    authorization: string | undefined,
    query: string | undefined,
  ) {
    this.#authorization = authorization;
    this.twofold = authorization !== undefined && query !== undefined;
    this.presigned = query !== undefined;
    if (query === undefined) {
      const text = authorization ?? "";
      const space = text.indexOf(" ");
      this.algorithm = space < 0 ? text : text.slice(0, space);
      this.credential = parameter(text, "Credential=");
      this.signedHeaders = parameter(text, "SignedHeaders=");
      this.signature = parameter(text, "Signature=");
      this.date = headers["x-amz-date"] ?? fromHttpDate(headers["date"]);
      this.sessionToken = headers["x-amz-security-token"];
      this.expires = undefined;
      this.contentSha256 = undefined;
      return;
    }
    const parameters = new URLSearchParams(query);
    this.algorithm = parameters.get("X-Amz-Algorithm") ?? "";
    this.credential = parameters.get("X-Amz-Credential") ?? "";
    this.signedHeaders = parameters.get("X-Amz-SignedHeaders") ?? "";
    this.signature = parameters.get("X-Amz-Signature") ?? "";
    this.date = parameters.get("X-Amz-Date") ?? "";
    this.sessionToken = parameters.get("X-Amz-Security-Token") ?? undefined;
    this.expires = parameters.get("X-Amz-Expires") ?? undefined;
    this.contentSha256 = parameters.get("X-Amz-Content-Sha256") ?? undefined;
  }

  /** The service of the credential scope, `lambda`: which service the client means. Undefined when there is none. */
  get signingName(): string | undefined {
    const end = this.credential.lastIndexOf("/");
    const start = this.credential.lastIndexOf("/", end - 1);
    return end > 0 && start > 0 ? this.credential.slice(start + 1, end) : undefined;
  }

  /** What is missing, in AWS's words; undefined when nothing is. */
  problem(): string | undefined {
    const complete = this.credential && this.signature && this.signedHeaders && this.date;
    if (complete && this.algorithm) return undefined;
    const values = [this.algorithm, this.credential, this.signature, this.signedHeaders, this.date];
    const missing = QUERY_NAMES.filter((_, at) => !values[at]);
    if (this.presigned) {
      const sentences = missing.map((name) => `AWS query-string parameters must include '${name}'. `);
      return `${sentences.join("")}Re-examine the query-string parameters.`;
    }
    const sentences = missing.map((name) =>
      name === "X-Amz-Date"
        ? "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        : `Authorization header requires '${name.slice("X-Amz-".length)}' parameter. `,
    );
    // The header may be a secret of another scheme: it is told by its hash.
    const digest = hash("sha256", this.#authorization ?? "", "base64");
    return `${sentences.join("")}(Hashed with SHA-256 and encoded with Base64) Authorization=${digest}`;
  }
}

/** Milliseconds since the epoch; undefined when the text is not in ISO 8601's basic format. */
export function parseDate(date: string): number | undefined {
  const found = BASIC_FORMAT.exec(date);
  if (!found) return undefined;
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}

/** Takes the credential apart. Throws AwsError when it is not scoped as a credential must be. */
export function parseCredential(parts: SignatureParts, dialect: SignatureDialect): CredentialScope {
  const text = parts.credential;
  const pieces = text.split("/");
  const [accessKeyId = "", date = "", region = "", service = "", terminator = ""] = pieces;
  if (pieces.length !== 5) {
    const detail =
      "Credential must have exactly 5 slash-delimited elements, " +
      `e.g. keyid/date/region/service/term, got '${text}'`;
    throw signatureError(dialect, "incomplete", detail);
  }
  let problem = "";
  if (terminator !== "aws4_request") {
    problem += `Credential should be scoped with a valid terminator: 'aws4_request', not '${terminator}'. `;
  }
  if (!parts.date.startsWith(date) || date.length !== 8) {
    problem +=
      "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: " +
      `'${date}' != '${parts.date.slice(0, 8)}', from '${parts.date}'. `;
  }
  if (problem !== "") throw signatureError(dialect, "misscoped", problem);
  return { text, accessKeyId, date, region, service, scope: text.slice(accessKeyId.length + 1) };
}

/** `Name=value` of an Authorization header, up to the next comma. */
function parameter(authorization: string, name: string): string {
  const at = authorization.indexOf(name);
  if (at < 0) return "";
  const start = at + name.length;
  const comma = authorization.indexOf(",", start);
  return (comma < 0 ? authorization.slice(start) : authorization.slice(start, comma)).trim();
}

/** The Date header in the format that a signature uses; as it is when it is no date. */
function fromHttpDate(date: string | undefined): string {
  if (date === undefined || BASIC_FORMAT.test(date)) return date ?? "";
  const ms = Date.parse(date);
  return Number.isNaN(ms) ? date : new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, "");
}
