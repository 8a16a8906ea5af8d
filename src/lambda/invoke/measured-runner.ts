/** A runner that reports AWS's metrics of each invocation, however it came: synchronous, asynchronous or from a source. */
import { AwsError } from "../../errors.ts";
import type { MetricDimensions, MetricsSink } from "../../telemetry/metrics.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { InvocationOrigin } from "../placement/placement.ts";
import type { Runner } from "./run.ts";

export class MeasuredRunner implements Runner {
  readonly #runner: Runner;
  readonly #metrics: MetricsSink;

  constructor(runner: Runner, metrics: MetricsSink) {
    this.#runner = runner;
    this.#metrics = metrics;
  }

  /**
   * Errors and Throttles are reported as 0 too when there was none, as on AWS: their average is a rate, and an alarm on
   * them has data while the function runs. What the platform could not run is neither an invocation nor an error.
   */
  run(
    version: FunctionVersion,
    invocation: Invocation,
    origin?: InvocationOrigin,
  ): Promise<InvocationOutcome> {
    const dimensions = dimensionsOf(version, invocation.invokedFunctionArn);
    const outcome = this.#runner.run(version, invocation, origin);
    // Whoever has the answer finds it counted: these were the first to ask for it.
    outcome.then(
      ({ functionError, report }) => this.#count(dimensions, functionError !== undefined, report.durationMs),
      (error: unknown) => this.#countRefused(dimensions, error),
    );
    return outcome;
  }

  #count(dimensions: MetricDimensions, hasFailed: boolean, durationMs: number): void {
    const metrics = this.#metrics;
    metrics.count("Invocations", dimensions, 1, "Count");
    metrics.count("Errors", dimensions, hasFailed ? 1 : 0, "Count");
    metrics.count("Throttles", dimensions, 0, "Count");
    metrics.count("Duration", dimensions, durationMs, "Milliseconds");
  }

  #countRefused(dimensions: MetricDimensions, error: unknown): void {
    if (error instanceof AwsError && error.code === "TooManyRequestsException")
      this.#metrics.count("Throttles", dimensions, 1, "Count");
  }
}

const VERSION = /^(?:\$LATEST(?:\.PUBLISHED)?|\d+)$/;

/** `invokedArn` is the function's ARN, with a colon and a qualifier when the caller named one. */
export function dimensionsOf(
  { name, functionArn, version }: Pick<FunctionVersion, "name" | "functionArn" | "version">,
  invokedArn: string,
): MetricDimensions {
  if (invokedArn.length <= functionArn.length) return { functionName: name };
  const qualifier = invokedArn.slice(functionArn.length + 1);
  const resource = `${name}:${qualifier}`;
  return VERSION.test(qualifier)
    ? { functionName: name, resource }
    : { functionName: name, resource, executedVersion: version };
}
