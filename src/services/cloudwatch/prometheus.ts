/** The text format that Prometheus scrapes (version 0.0.4). */
import { DURATION_BOUNDS_MS, type FunctionTotals } from "./platform-metrics.ts";

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
}

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Counters of functions that are shown, by CloudWatch's names. */
const COUNTERS: Readonly<Record<string, readonly [name: string, help: string]>> = {
  Invocations: ["hornero_function_invocations_total", "Invocations that ran."],
  Errors: ["hornero_function_errors_total", "Invocations that ended with a function error."],
  Throttles: ["hornero_function_throttles_total", "Invocations that were refused for concurrency."],
  AsyncEventsReceived: ["hornero_function_async_events_received_total", "Asynchronous events accepted."],
  AsyncEventsDropped: ["hornero_function_async_events_dropped_total", "Asynchronous events given up."],
  DestinationDeliveryFailures: ["hornero_function_destination_failures_total", "Records not delivered."],
  SignatureValidationErrors: [
    "hornero_function_signature_errors_total",
    "Code and layers whose signature is missing or not to be trusted.",
  ],
  DeadLetterErrors: ["hornero_function_dead_letter_errors_total", "Events that no dead-letter queue took."],
};

export function prometheusText(families: readonly Family[], totals: readonly FunctionTotals[]): string {
  const counters = Object.entries(COUNTERS).map(([metric, [name, help]]): Family => {
    const samples = totals
      .filter((each) => each.name === metric)
      .map(({ functionName, total }) => ({ labels: { function: functionName }, value: total }));
    return { name, help, type: "counter", samples };
  });
  const lines = [...counters, ...families].filter(({ samples }) => samples.length > 0).flatMap(familyLines);
  return [...lines, ...durationLines(totals), ""].join("\n");
}

function familyLines({ name, help, type, samples }: Family): string[] {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(({ labels = {}, value }) => `${name}${labelText(labels)} ${value}`),
  ];
}

function durationLines(totals: readonly FunctionTotals[]): string[] {
  const durations = totals.filter(({ histogram }) => histogram !== undefined);
  if (durations.length === 0) return [];
  const name = "hornero_function_duration_seconds";
  const lines = [`# HELP ${name} How long handlers ran.`, `# TYPE ${name} histogram`];
  for (const { functionName, total, count, histogram = [] } of durations) {
    let within = 0;
    DURATION_BOUNDS_MS.forEach((boundMs, at) => {
      within += histogram[at] ?? 0;
      lines.push(
        `${name}_bucket${labelText({ function: functionName, le: String(boundMs / 1000) })} ${within}`,
      );
    });
    const labels = labelText({ function: functionName });
    lines.push(
      `${name}_bucket${labelText({ function: functionName, le: "+Inf" })} ${count}`,
      `${name}_sum${labels} ${total / 1000}`,
      `${name}_count${labels} ${count}`,
    );
  }
  return lines;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (character) => ESCAPES[character] ?? "")}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
