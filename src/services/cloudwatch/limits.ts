/**
 * Bounds of CloudWatch. [quotas]: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html, [api]: the
 * operation's page in the API reference, [emf]: the embedded metric format's specification. The others are ours.
 */
const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** How data are kept [api: GetMetricStatistics]: each resolution for its time, in pages of so many buckets. */
export interface Tier {
  readonly resolutionS: number;
  readonly keepMs: number;
  readonly pageS: number;
}

export const TIERS: readonly Tier[] = [
  { resolutionS: 1, keepMs: 3 * HOUR_MS, pageS: 300 },
  { resolutionS: 60, keepMs: 15 * DAY_MS, pageS: 3600 },
  { resolutionS: 300, keepMs: 63 * DAY_MS, pageS: 6 * 3600 },
  { resolutionS: 3600, keepMs: 455 * DAY_MS, pageS: 7 * 86_400 },
];

/** Data of one PutMetricData [quotas], and of one value array [api: MetricDatum]. */
export const DATA_PER_PUT_MAX = 1000;
export const VALUES_PER_DATUM_MAX = 150;
export const DIMENSIONS_MAX = 30;
/** Older and newer data are refused [api: PutMetricData]. */
export const DATUM_AGE_MS_MAX = 14 * DAY_MS;
export const DATUM_AHEAD_MS_MAX = 2 * HOUR_MS;
/** Values are between -2^360 and 2^360 [api: MetricDatum]. */
export const VALUE_MAX = 2 ** 360;

/** Metrics of one directive, and values of one metric [emf]. */
export const EMBEDDED_METRICS_MAX = 100;
export const EMBEDDED_VALUES_MAX = 100;
/** Sets of dimensions of one directive. */
export const EMBEDDED_DIMENSION_SETS_MAX = 100;
/** Values of one document, each counted once for every set of dimensions. */
export const EMBEDDED_VALUES_PER_DOCUMENT_MAX = 10_000;
/** Lines with embedded metrics that wait to be read. */
export const EMBEDDED_WAITING_CHARS_MAX = 16 * 1024 * 1024;
/** Series that only others than embedded metrics may begin: a function that puts an id into a dimension takes no more. */
export const SERIES_SPARED = 1000;

/** [api: GetMetricStatistics] */
export const STATISTICS_DATAPOINTS_MAX = 1440;
/** [api: GetMetricData] */
export const QUERIES_PER_REQUEST_MAX = 500;
export const DATA_DATAPOINTS_MAX = 100_800;
/** Data points that the expressions of one request may make. */
export const MATH_POINTS_MAX = 2_000_000;

/** [api: ListMetrics] */
export const LIST_PAGE_MAX = 500;
/** A metric without data for so long is listed no more [api: ListMetrics]. */
export const LISTED_MS_MAX = 14 * DAY_MS;
export const RECENTLY_ACTIVE_MS = 3 * HOUR_MS;

/** Series (namespace, name, dimensions and unit) that are kept: more are refused. */
export const SERIES_MAX = 10_000;
/** On disk, over all series: beyond, the oldest go first. */
export const STORED_BYTES_MAX = 1024 * 1024 * 1024;
/** Buckets in memory that are not in pages yet: at so many they are folded at once; a put beyond twice as many is refused. */
export const PENDING_BUCKETS_MAX = 20_000;
/** What has not been folded for so long is. */
export const FOLD_INTERVAL_MS = 60_000;
/** Platform metrics are gathered in memory for so long. */
export const FLUSH_INTERVAL_MS = 1000;
export const PRUNE_INTERVAL_MS = HOUR_MS;
