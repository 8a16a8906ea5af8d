/** PutMetricData: values, value arrays with counts, statistic sets. Acknowledged when all of it is on disk. */
import type { MetricDatum, PutMetricDataInput } from "@aws-sdk/client-cloudwatch";
import type { OperationHandler } from "../../../wire/service.ts";
import type { CloudWatchContext } from "../context.ts";
import { invalidCombination, invalidParameter, missingParameter } from "../errors.ts";
import {
  DATA_PER_PUT_MAX,
  DATUM_AGE_MS_MAX,
  DATUM_AHEAD_MS_MAX,
  DIMENSIONS_MAX,
  VALUE_MAX,
  VALUES_PER_DATUM_MAX,
} from "../limits.ts";
import { Bucket } from "../metrics/bucket.ts";
import type { Contribution } from "../metrics/metric-store.ts";
import { sortedDimensions } from "../metrics/series.ts";

export function putOperations(context: CloudWatchContext): Record<string, OperationHandler> {
  return {
    PutMetricData: async (input: PutMetricDataInput) => {
      await context.metrics.append(contributionsOf(input, context.clock.nowMs()), "refuse");
      return {};
    },
  };
}

function contributionsOf(input: PutMetricDataInput, nowMs: number): Contribution[] {
  const namespace = input.Namespace ?? "";
  if (namespace.startsWith("AWS/"))
    throw invalidParameter(
      "The value AWS/ for parameter Namespace is invalid: namespaces that begin with AWS/ are reserved.",
    );
  const plain = (input.MetricData ?? []).map((datum, at) => ({ datum, path: `MetricData.member.${at + 1}` }));
  const ofEntities = (input.EntityMetricData ?? []).flatMap(({ MetricData = [] }, entity) =>
    MetricData.map((datum, at) => ({
      datum,
      path: `EntityMetricData.member.${entity + 1}.MetricData.member.${at + 1}`,
    })),
  );
  const all = [...plain, ...ofEntities];
  if (all.length === 0)
    throw missingParameter(
      "At least one of the parameters MetricData and EntityMetricData must be specified.",
    );
  if (all.length > DATA_PER_PUT_MAX)
    throw invalidParameter(
      `The collection MetricData must not have a size greater than ${DATA_PER_PUT_MAX}.`,
    );
  return all.map(({ datum, path }) => contributionOf(namespace, datum, path, nowMs));
}

function contributionOf(namespace: string, datum: MetricDatum, path: string, nowMs: number): Contribution {
  const atMs = datum.Timestamp?.getTime() ?? nowMs;
  if (atMs < nowMs - DATUM_AGE_MS_MAX || atMs > nowMs + DATUM_AHEAD_MS_MAX)
    throw invalidParameter(
      `The parameter ${path}.Timestamp must specify a time within the past two weeks or the next two hours.`,
    );
  const resolutionS = datum.StorageResolution ?? 60;
  if (resolutionS !== 1 && resolutionS !== 60)
    throw invalidParameter(`The parameter ${path}.StorageResolution must be 1 or 60.`);
  const dimensions = sortedDimensions(datum.Dimensions);
  if (dimensions.length > DIMENSIONS_MAX)
    throw invalidParameter(
      `The collection ${path}.Dimensions must not have a size greater than ${DIMENSIONS_MAX}.`,
    );
  if (new Set(dimensions.map(([name]) => name)).size < dimensions.length)
    throw invalidParameter(`${path}.Dimensions: No two dimensions can have the same name.`);
  const series = { namespace, name: datum.MetricName ?? "", dimensions, unit: datum.Unit ?? "None" };
  return { series, atS: Math.floor(atMs / 1000), isFine: resolutionS === 1, bucket: bucketOf(datum, path) };
}

function bucketOf(datum: MetricDatum, path: string): Bucket {
  const { Value: value, Values: values, Counts: counts, StatisticValues: set } = datum;
  const forms = [value, values, set].filter((form) => form !== undefined).length;
  if (forms > 1)
    throw invalidCombination(
      `The parameters ${path}.Value, ${path}.Values and ${path}.StatisticValues are mutually exclusive and you have specified more than one.`,
    );
  if (forms === 0)
    throw missingParameter(
      `At least one of the parameters ${path}.Value, ${path}.Values, ${path}.StatisticValues must be specified.`,
    );
  const bucket = new Bucket();
  if (value !== undefined) bucket.add(checked(value, `${path}.Value`));
  else if (set) {
    const { SampleCount: count = 0, Sum: sum = 0, Minimum: min = 0, Maximum: max = 0 } = set;
    for (const [name, number] of Object.entries({ SampleCount: count, Sum: sum, Minimum: min, Maximum: max }))
      checked(number, `${path}.StatisticValues.${name}`);
    if (min > max)
      throw invalidParameter(
        `The parameter ${path}.StatisticValues.Maximum must be greater than ${path}.StatisticValues.Minimum.`,
      );
    if (count <= 0)
      throw invalidParameter(`The parameter ${path}.StatisticValues.SampleCount must be greater than 0.`);
    bucket.addSet({ count, sum, min, max });
  } else addValues(bucket, values ?? [], counts, path);
  return bucket;
}

function addValues(
  bucket: Bucket,
  values: readonly number[],
  counts: readonly number[] | undefined,
  path: string,
): void {
  if (values.length === 0 || values.length > VALUES_PER_DATUM_MAX)
    throw invalidParameter(
      `The collection ${path}.Values must have between 1 and ${VALUES_PER_DATUM_MAX} members.`,
    );
  if (counts && counts.length !== values.length)
    throw invalidParameter(`The parameters ${path}.Values and ${path}.Counts must be of the same size.`);
  values.forEach((value, at) => {
    const weight = counts?.[at] ?? 1;
    if (!(weight > 0) || !Number.isFinite(weight))
      throw invalidParameter(`The parameter ${path}.Counts.member.${at + 1} must be greater than 0.`);
    bucket.add(checked(value, `${path}.Values.member.${at + 1}`), weight);
  });
}

function checked(value: number, path: string): number {
  if (!Number.isFinite(value) || Math.abs(value) > VALUE_MAX)
    throw invalidParameter(`The value ${value} for parameter ${path} is invalid.`);
  return value;
}
