/**
 * Bounds of CloudWatch Logs. [quotas]: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html,
 * [api]: the operation's page in the API reference. The others are ours.
 */
import { assert } from "../../kernel/assert.ts";
import { LOG_EVENT_BYTES_MAX } from "../../limits.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** A PutLogEvents batch: its messages in UTF-8 plus 26 bytes for each [api]. */
export const BATCH_BYTES_MAX = 1_048_576;
export const BATCH_EVENT_OVERHEAD_BYTES = 26;
/** Older and newer events are rejected one by one [api]. */
export const EVENT_AGE_MS_MAX = 14 * DAY_MS;
export const EVENT_AHEAD_MS_MAX = 2 * HOUR_MS;
/** Between the first and the last event of a batch [api]. */
export const BATCH_SPAN_MS_MAX = DAY_MS;
/** Events of one answer, and their bytes [api: GetLogEvents, FilterLogEvents]. */
export const PAGE_EVENTS_MAX = 10_000;
export const PAGE_BYTES_MAX = 1 * MIB;
/** Entries of a Describe page [api]. */
export const DESCRIBE_PAGE_MAX = 50;
/** [api: ListLogGroups] */
export const LIST_PAGE_MAX = 1000;
/** [api: PutRetentionPolicy] */
export const RETENTION_DAYS: readonly number[] = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];
/** [quotas] */
export const LOG_GROUPS_MAX = 10_000;

/** Everything on disk, unless configured: the oldest segments go first. */
export const STORED_BYTES_DEFAULT = 1024 * MIB;
/** Streams of all groups: the one that was silent for the longest goes first. */
export const STREAMS_MAX = 100_000;
/** Events taken and not written yet; a batch that goes over it is refused unless nothing waits. */
export const PENDING_BYTES_MAX = 16 * MIB;
/** What an event is reckoned to cost in memory on top of its message. */
export const PENDING_EVENT_OVERHEAD_BYTES = 64;
/** Events wait this long for company before they are written, */
export const FLUSH_DELAY_MS = 50;
/** unless so many bytes wait already. */
export const FLUSH_BYTES = 256 * KIB;
/** One write: small enough that encoding it (0.3 ms) is not felt by what else runs on the event loop. */
export const WRITE_BYTES = 256 * KIB;
/** Events of one stream in one record: what a reader may skip or must decode as a whole. */
export const RECORD_BYTES_TARGET = 64 * KIB;
/** A record on disk; anything longer is damage. */
export const RECORD_BYTES_MAX = 2 * MIB;
/** A segment is closed when it is this long (less when little may be stored), or has been open for so long. */
export const SEGMENT_BYTES_TARGET = 4 * MIB;
export const SEGMENT_BYTES_MIN = 64 * KIB;
export const SEGMENT_AGE_MS_MAX = DAY_MS;
/** New groups whose records are one write of the Store. */
export const SAVED_TOGETHER_MAX = 64;
/** Segments whose files are held open for writing, over all groups. */
export const OPEN_SEGMENTS_MAX = 64;
/** Segments that one call searches before it answers with what it has and a token. */
export const PAGE_SEGMENTS_MAX = 16;
/** Between two sweeps for retention, and before a failed write is tried again; how often that is done. */
export const SWEEP_INTERVAL_MS = 60_000;
export const WRITE_RETRY_MS = 1000;
export const WRITE_ATTEMPTS_MAX = 10;
/** Live tail: how often a session is updated, how many events an update has [api: StartLiveTail: 500], its length [api: 3 h]. */
export const TAIL_UPDATE_MS = 1000;
export const TAIL_EVENTS_MAX = 500;
export const TAIL_SESSION_MS_MAX = 3 * HOUR_MS;

assert(LOG_EVENT_BYTES_MAX + RECORD_BYTES_TARGET < RECORD_BYTES_MAX, "the longest event fits a record");
assert(RECORD_BYTES_MAX < SEGMENT_BYTES_TARGET, "a segment holds at least one record");
assert(FLUSH_BYTES < PENDING_BYTES_MAX, "writing starts long before the sink is full");
