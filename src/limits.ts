/**
 * Every quota of AWS that Hornero keeps and every bound of its own: unit in the name, source in the comment.
 * [quotas]: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html. [model]: the service model.
 */
import { assert } from "./kernel/assert.ts";

const MIB = 1024 * 1024;

// Function configuration
/** Memory, in steps of 1 MB [quotas]. The model allows 32,768 (Managed Instances). */
export const MEMORY_MB_MIN = 128;
export const MEMORY_MB_MAX = 10_240;
export const MEMORY_MB_DEFAULT = 128;
/** Functions on Managed Instances [docs: lambda-managed-instances-best-practices; model]. */
export const MANAGED_MEMORY_MB_MIN = 2048;
export const MANAGED_MEMORY_MB_MAX = 32_768;
/** [quotas] */
export const TIMEOUT_S_MIN = 1;
export const TIMEOUT_S_MAX = 900;
export const TIMEOUT_S_DEFAULT = 3;
/** `/tmp` [quotas] */
export const EPHEMERAL_STORAGE_MB_MIN = 512;
export const EPHEMERAL_STORAGE_MB_MAX = 10_240;
/** Names and values of all variables together [quotas]. */
export const ENVIRONMENT_VARIABLES_BYTES_MAX = 4096;
/** [quotas] */
export const LAYERS_MAX = 5;
/** Bytes of a resource-based policy [quotas]. */
export const RESOURCE_POLICY_BYTES_MAX = 20_480;
/** [model] */
export const FUNCTION_NAME_CHARS_MAX = 64;
export const TAGS_MAX = 50;

// Code
/** A zip sent in the request [quotas]. */
export const ZIP_UPLOAD_BYTES_MAX = 50 * MIB;
/** A zip's content with all layers [quotas]. */
export const CODE_UNZIPPED_BYTES_MAX = 262_144_000;
/** One CreateFunction request, base64 and all [measured on AWS: the error text names it]. */
export const CONTROL_REQUEST_BYTES_MAX = 70_167_211;
/** All zips of an account in a Region: 75 GB [quotas]. */
export const CODE_STORAGE_BYTES_MAX = 80_530_636_800;
/** Entries of a zip: ours; AWS names none, 250 MB of one-byte files would be 262 million inodes. */
export const ZIP_ENTRIES_MAX = 100_000;

// Invocation
/** Synchronous payload, each way: 6 MB [quotas]; the request limit is exact. */
export const INVOKE_REQUEST_BYTES_MAX = 6 * MIB;
/** The answer's limit is 100 bytes more [interop/model.go of AWS's runtime interface emulator]. */
export const INVOKE_RESPONSE_BYTES_MAX = 6 * MIB + 100;
/** An answer that is streamed: 200 MB [quotas]. */
export const STREAMED_RESPONSE_BYTES_MAX = 200 * MIB;
/** Of it, what waits in memory for a client that reads slowly: the function is held back beyond that. Ours. */
export const STREAMED_RESPONSE_WAITING_BYTES_MAX = 256 * 1024;
/** Event invocations: 1 MB [quotas]. */
export const INVOKE_EVENT_BYTES_MAX = 1 * MIB;
/** The old InvokeAsync: 256 KB [InvokeAsync API]. */
export const INVOKE_ASYNC_BYTES_MAX = 256 * 1024;
/** Asynchronous events: further attempts after a function's error, and the age that they may reach: six hours [model]. */
export const EVENT_RETRY_ATTEMPTS_MAX = 2;
export const EVENT_AGE_S_MAX = 21_600;
/** Wait before the second attempt after a function's error; twice that before the third [docs: invocation-async-error-handling]. */
export const EVENT_RETRY_DELAY_S_DEFAULT = 60;
/** Events of one function that may wait on disk; configurable. Ours. */
export const EVENTS_PER_FUNCTION_DEFAULT = 1_000_000;
/** Events that run at once, of all functions; never more than half of the account's concurrency. Ours. */
export const EVENTS_RUNNING_MAX = 100;
/** Base64 of the client context [model]. */
export const CLIENT_CONTEXT_CHARS_MAX = 3583;
/** LogResult carries the last 4 KB of the log [Invoke API]. */
export const LOG_TAIL_BYTES_MAX = 4096;
/** The init phase of an on-demand environment [quotas]. */
export const INIT_TIMEOUT_MS = 10_000;
/** The init phase with provisioned concurrency, or the function's timeout when that is longer [quotas]. */
export const PROVISIONED_INIT_TIMEOUT_MS_MIN = 130_000;
/** Body of init/error and invocation/error posts [runtime interface emulator]. */
export const RUNTIME_ERROR_BYTES_MAX = 1 * MIB;

// Concurrency
/** Concurrent executions of an account in a Region [quotas]; configurable. */
export const ACCOUNT_CONCURRENCY_DEFAULT = 1000;
/** Concurrency that must stay unreserved [quotas]. */
export const UNRESERVED_CONCURRENCY_MIN = 100;
/** Requests that may begin in a second for each unit of concurrency: account, reserved, provisioned [quotas]. */
export const REQUESTS_PER_S_PER_CONCURRENCY = 10;
/** A function may have 1,000 environments started in 10 s, refilled continuously [docs: scaling-behavior]; configurable. */
export const SCALING_BURST = 1000;
export const SCALING_MS = 10_000;

// Durable executions
/** Without ExecutionTimeout: ours; AWS's tools all demand it. Its range, and that of the retention, are the model's. */
export const DURABLE_EXECUTION_TIMEOUT_S_DEFAULT = 86_400;
/** [docs: AWS::Lambda::Function DurableConfig] */
export const DURABLE_RETENTION_DAYS_DEFAULT = 14;
/** Operations of an execution, and the bytes of all their payloads and errors [quotas]. */
export const DURABLE_OPERATIONS_MAX = 3000;
export const DURABLE_EXECUTION_BYTES_MAX = 100 * MIB;
/** Longest execution that a synchronous caller may start: it waits for its end [docs: durable-invoking]. */
export const DURABLE_SYNCHRONOUS_MS_MAX = 15 * 60_000;
/** An error in a checkpoint, as JSON; input and result of a chained invoke [AWS's testing library]. */
export const DURABLE_ERROR_BYTES_MAX = 32 * 1024;
export const DURABLE_CHAINED_PAYLOAD_BYTES_MAX = 1 * MIB;
/** Pages of operations and events [model]; what one page of operations may weigh: fits an answer with its quotes. Ours. */
export const DURABLE_PAGE_ITEMS_MAX = 1000;
export const DURABLE_PAGE_BYTES_MAX = 5 * MIB;
/** Events of an execution's history: steps and invocations that fail may be repeated without end. Ours. */
export const DURABLE_EVENTS_MAX = 30_000;
/** Executions that have not ended, all functions together: some 500 bytes of memory each. Ours; AWS: 5 million. */
export const DURABLE_EXECUTIONS_OPEN_MAX = 200_000;
/** Executions whose function runs at once without a caller that waits; never more than half of the concurrency. Ours. */
export const DURABLE_RUNNING_MAX = 100;

// Managed Instances [docs: lambda-managed-instances-quotas; model]
export const CAPACITY_PROVIDERS_MAX = 1000;
export const FUNCTION_VERSIONS_PER_CAPACITY_PROVIDER_MAX = 100;
export const CAPACITY_PROVIDER_VCPUS_DEFAULT = 400;
/** Its name is as long as its ARN leaves room for [model]. */
export const CAPACITY_PROVIDER_ARN_CHARS_MAX = 140;
/** Of one environment, whatever the default per vCPU comes to [model]. */
export const ENVIRONMENT_CONCURRENCY_MAX = 1600;
export const MEMORY_GIB_PER_VCPU_DEFAULT = 2;
/** Environments that a version has without a scaling configuration. AWS: 3, one for each Availability Zone; a machine is one. */
export const MANAGED_ENVIRONMENTS_MIN_DEFAULT = 1;

// Execution environment
/** One vCPU per so many MB [docs: configuration-memory]. */
export const MEMORY_MB_PER_VCPU = 1769;
/** Processes and threads; file descriptors [quotas]. */
export const ENVIRONMENT_PIDS_MAX = 1024;
export const ENVIRONMENT_FILE_DESCRIPTORS_MAX = 1024;
/** Extensions of a function [runtime interface emulator, core/registrations.go]. */
export const EXTENSIONS_MAX = 10;
/** A frame of the fast link: an answer that is too long by far is still told from a broken stream. Ours. */
export const LINK_FRAME_BYTES_MAX = 16 * MIB;
/** One log line; longer ones are cut into several events: CloudWatch Logs' event size [PutLogEvents API: 1 MB]. */
export const LOG_EVENT_BYTES_MAX = 1 * MIB;

// The server
/** Default port, the one that AWS emulators share. Ours. */
export const PORT_DEFAULT = 4566;
/** Most a request without a limit of its own may send. Ours. */
export const REQUEST_BYTES_MAX = 10 * MIB;
/** SigV4: difference between the signature's time and ours [Signature Version 4: 5 minutes; AWS services allow 15 for most]. */
export const SIGNATURE_SKEW_MS_MAX = 5 * 60_000;
/** S3 allows 15 minutes [S3: RequestTimeTooSkewed]. */
export const S3_SIGNATURE_SKEW_MS_MAX = 15 * 60_000;
/** Names and values of a request's headers together: a session token with policies and a client context fit. Ours. */
export const REQUEST_HEADERS_BYTES_MAX = 32 * 1024;
/** Bodies that are being collected, all requests together; beyond it, new ones are answered 503. Ours. */
export const REQUEST_BODIES_BYTES_MAX = 1024 * MIB;
/** The longest that the event loop polls for what is about to come: Linux's haltpoll has the same default. Ours; configurable. */
export const BUSY_POLL_US_DEFAULT = 200;
export const BUSY_POLL_US_MAX = 1000;
/** Open connections to one listener. Ours. */
export const CONNECTIONS_MAX = 10_000;
/** Of those, from one environment to the public endpoint; and to the Runtime API: a runtime and its extensions. Ours. */
export const ENVIRONMENT_CONNECTIONS_MAX = 256;
export const RUNTIME_API_CONNECTIONS_MAX = 64;

assert(INVOKE_RESPONSE_BYTES_MAX < LINK_FRAME_BYTES_MAX, "an answer of the largest size fits a frame");
assert(
  INVOKE_EVENT_BYTES_MAX <= INVOKE_REQUEST_BYTES_MAX,
  "an event is never larger than a synchronous payload",
);
assert(MEMORY_MB_MIN <= MEMORY_MB_DEFAULT, "the default memory is allowed");
assert(UNRESERVED_CONCURRENCY_MIN < ACCOUNT_CONCURRENCY_DEFAULT, "some concurrency can be reserved");
