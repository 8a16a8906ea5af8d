/**
 * Where the platform's rooms report what CloudWatch shows as metrics: a port, because the rooms of lambda/ may not know
 * the service that stores them.
 */

/** What a value is measured in: CloudWatch's own names. */
export type MetricUnit = "Count" | "Milliseconds" | "Seconds" | "Bytes" | "Percent" | "None";

/** What a value belongs to; a sink makes AWS's dimensions FunctionName, Resource and ExecutedVersion of it. */
export interface MetricDimensions {
  readonly functionName: string;
  /** `NAME:QUALIFIER`, when the caller named a version or an alias. */
  readonly resource?: string;
  /** The version that an alias led to. */
  readonly executedVersion?: string;
}

export interface MetricsSink {
  /**
   * Adds one value of a metric of the namespace AWS/Lambda, by AWS's name: `count("AsyncEventAge", {…}, 12, "Milliseconds")`.
   * The sink adds the time. Never throws and never waits: what a sink cannot keep is its own to aggregate or drop.
   */
  count(name: string, dimensions: MetricDimensions, value: number, unit: MetricUnit): void;
}

/** What is measured by looking, now and then: a value that is so at this moment. */
export interface Gauge {
  readonly name: string;
  /** Absent: across all functions. Such a value counts for exactly what it names, and not for anything wider. */
  readonly dimensions?: MetricDimensions;
  readonly value: number;
  readonly unit: MetricUnit;
  /** How often the value is counted; default once. */
  readonly weight?: number;
}

/** A sink that keeps nothing. */
export const noMetrics: MetricsSink = { count: () => undefined };
