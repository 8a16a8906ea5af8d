/**
 * The error catalogue of the wire: every error that a caller can get is an AwsError, with AWS's code, status and words.
 * What is not an AwsError and reaches the wire is a fault of ours: it is logged with its stack and answered as
 * ServiceException / InternalFailure, status 500, without detail.
 */
export class AwsError extends Error {
  override readonly name = "AwsError";
  /** The error's shape name as the service model spells it (`ResourceNotFoundException`), without a namespace. */
  readonly code: string;
  /** HTTP status; the model's own status wins where the model has one for this code. */
  readonly status: number;
  /** Whose fault it is, told to the caller as `Type` where the shape has it. */
  readonly fault: "caller" | "platform";
  /** Other members of the error's shape, as in the model: `{ Reason: "…", retryAfterSeconds: "1" }`. */
  readonly members: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    message: string,
    options: { status?: number; members?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status ?? 400;
    this.fault = this.status >= 500 ? "platform" : "caller";
    this.members = options.members ?? {};
  }
}

// Lambda

export const resourceNotFound = (message: string) =>
  new AwsError("ResourceNotFoundException", message, { status: 404 });
export const resourceConflict = (message: string) =>
  new AwsError("ResourceConflictException", message, { status: 409 });
export const invalidParameterValue = (message: string) =>
  new AwsError("InvalidParameterValueException", message, { status: 400 });
export const preconditionFailed = (message: string) =>
  new AwsError("PreconditionFailedException", message, { status: 412 });
export const invalidRequestContent = (message: string) =>
  new AwsError("InvalidRequestContentException", message, { status: 400 });
export const requestTooLarge = (message: string) =>
  new AwsError("RequestTooLargeException", message, { status: 413 });
export const codeStorageExceeded = () =>
  new AwsError("CodeStorageExceededException", "Code storage limit exceeded.", { status: 400 });

/** Why an invocation was throttled: the members of Lambda's ThrottleReason. */
export type ThrottleReason =
  | "ConcurrentInvocationLimitExceeded"
  | "FunctionInvocationRateLimitExceeded"
  | "ReservedFunctionConcurrentInvocationLimitExceeded"
  | "ReservedFunctionInvocationRateLimitExceeded"
  | "CallerRateLimitExceeded";

export const tooManyRequests = (reason: ThrottleReason) =>
  new AwsError("TooManyRequestsException", "Rate Exceeded.", { status: 429, members: { Reason: reason } });

// Any service

/** Constraint violations: the wire layer makes these from the model; `message` is AWS's "N validation errors detected: …". */
export const validationError = (message: string) =>
  new AwsError("ValidationException", message, { status: 400 });
export const accessDenied = (message: string) =>
  new AwsError("AccessDeniedException", message, { status: 403 });
export const serviceException = (message = "An internal error occurred.") =>
  new AwsError("ServiceException", message, { status: 500 });
