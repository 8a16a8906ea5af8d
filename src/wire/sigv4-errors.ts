/**
 * What a caller is told whose signature does not hold. Services disagree about codes, status and words: one table.
 * Sources: the common errors pages of Lambda, DynamoDB, IAM and S3, and answers recorded from these services.
 */
import { AwsError } from "../errors.ts";
import type { Match } from "./protocol.ts";

/** `rest`: Lambda and most newer ones; `json`: X-Amz-Target services; `query`: STS, IAM, SNS and the like; `s3`. */
export type SignatureDialect = "rest" | "json" | "query" | "s3";

export type SignatureFault =
  /** No signature at all. */
  | "missing"
  /** Parts are missing or malformed. */
  | "incomplete"
  /** Credential scope, date or signed headers are not what they must be. */
  | "misscoped"
  | "unknown-key"
  | "invalid-token"
  | "expired-token"
  | "mismatch"
  /** Signed too long ago, or for the future. */
  | "skewed"
  /** A presigned URL's time is over. */
  | "presign-expired"
  /** The body is not the one whose hash was declared. */
  | "content-mismatch"
  /** S3: an x-amz header that the signature does not cover. */
  | "unsigned-headers";

type Wording = readonly [code: string, status: number, message?: string];

const INVALID_TOKEN = "The security token included in the request is invalid.";
const EXPIRED_TOKEN = "The security token included in the request is expired";
const MISMATCH =
  "The request signature we calculated does not match the signature you provided. " +
  "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
const MISMATCH_S3 =
  "The request signature we calculated does not match the signature you provided. Check your key and signing method.";

const REST: Record<SignatureFault, Wording> = {
  missing: ["MissingAuthenticationTokenException", 403, "Missing Authentication Token"],
  incomplete: ["IncompleteSignatureException", 403],
  misscoped: ["InvalidSignatureException", 403],
  "unknown-key": ["UnrecognizedClientException", 403, INVALID_TOKEN],
  "invalid-token": ["UnrecognizedClientException", 403, INVALID_TOKEN],
  "expired-token": ["ExpiredTokenException", 403, EXPIRED_TOKEN],
  mismatch: ["InvalidSignatureException", 403, MISMATCH],
  skewed: ["InvalidSignatureException", 403],
  "presign-expired": ["InvalidSignatureException", 403],
  "content-mismatch": ["InvalidSignatureException", 403, MISMATCH],
  "unsigned-headers": ["InvalidSignatureException", 403],
};

const QUERY: Record<SignatureFault, Wording> = {
  missing: ["MissingAuthenticationToken", 403, "Request is missing Authentication Token"],
  incomplete: ["IncompleteSignature", 400],
  misscoped: ["SignatureDoesNotMatch", 403],
  "unknown-key": ["InvalidClientTokenId", 403, INVALID_TOKEN],
  "invalid-token": ["InvalidClientTokenId", 403, INVALID_TOKEN],
  "expired-token": ["ExpiredToken", 403, EXPIRED_TOKEN],
  mismatch: ["SignatureDoesNotMatch", 403, MISMATCH],
  skewed: ["SignatureDoesNotMatch", 403],
  "presign-expired": ["SignatureDoesNotMatch", 403],
  "content-mismatch": ["SignatureDoesNotMatch", 403, MISMATCH],
  "unsigned-headers": ["SignatureDoesNotMatch", 403],
};

const S3: Record<SignatureFault, Wording> = {
  missing: ["AccessDenied", 403, "Access Denied"],
  incomplete: ["AuthorizationHeaderMalformed", 400],
  misscoped: ["AuthorizationHeaderMalformed", 400],
  "unknown-key": [
    "InvalidAccessKeyId",
    403,
    "The AWS Access Key Id you provided does not exist in our records.",
  ],
  "invalid-token": ["InvalidToken", 400, "The provided token is malformed or otherwise invalid."],
  "expired-token": ["ExpiredToken", 400, "The provided token has expired."],
  mismatch: ["SignatureDoesNotMatch", 403, MISMATCH_S3],
  skewed: [
    "RequestTimeTooSkewed",
    403,
    "The difference between the request time and the current time is too large.",
  ],
  "presign-expired": ["AccessDenied", 403, "Request has expired"],
  "content-mismatch": [
    "XAmzContentSHA256Mismatch",
    400,
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  ],
  "unsigned-headers": [
    "AccessDenied",
    403,
    "There were headers present in the request which were not signed",
  ],
};

export function signatureDialect(match: Pick<Match, "service" | "protocol">): SignatureDialect {
  if (match.service === "s3" || match.service === "s3control") return "s3";
  if (match.protocol === "awsQuery" || match.protocol === "ec2Query") return "query";
  return match.protocol === "restJson1" || match.protocol === "restXml" ? "rest" : "json";
}

/** The error of a fault; `detail` is the message where the table has none of its own. */
export function signatureError(dialect: SignatureDialect, fault: SignatureFault, detail?: string): AwsError {
  const table = dialect === "s3" ? S3 : dialect === "query" ? QUERY : REST;
  const [code, status, message] = table[fault];
  // X-Amz-Target services use the same codes, but status 400 for all of them.
  return new AwsError(code, message ?? detail ?? MISMATCH, { status: dialect === "json" ? 400 : status });
}
