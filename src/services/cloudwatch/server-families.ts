/** What Prometheus is told of the server as a whole. */
import type { Family } from "./prometheus.ts";

export interface ServerReading {
  /** Execution environments by state. */
  readonly environments: ReadonlyMap<string, number>;
  readonly running: number;
  readonly accountConcurrency: number;
  /** Waiting sandboxes by kind. */
  readonly pool: Readonly<Record<string, number>>;
  /** Asynchronous events that wait or run, by function name. */
  readonly queued: Iterable<readonly [functionName: string, events: number]>;
  readonly queueRunning: number;
}

export function serverFamilies(reading: ServerReading): Family[] {
  const gauge = (name: string, help: string, samples: Family["samples"]): Family => ({
    name: `hornero_${name}`,
    help,
    type: "gauge",
    samples,
  });
  const one = (name: string, help: string, value: number) => gauge(name, help, [{ value }]);
  return [
    gauge(
      "environments",
      "Execution environments by state.",
      [...reading.environments].map(([state, value]) => ({ labels: { state }, value })),
    ),
    one("concurrency", "Invocations that run.", reading.running),
    one("concurrency_limit", "Invocations that may run at once.", reading.accountConcurrency),
    gauge(
      "pool_sandboxes",
      "Sandboxes with a booted runtime that wait for a function, by kind.",
      Object.entries(reading.pool).map(([kind, value]) => ({ labels: { kind }, value })),
    ),
    gauge(
      "async_queue_events",
      "Asynchronous events that wait or run.",
      [...reading.queued].map(([name, value]) => ({ labels: { function: name }, value })),
    ),
    one("async_queue_running", "Asynchronous events that run.", reading.queueRunning),
    ...processFamilies(),
  ];
}

function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const family = (name: string, help: string, type: Family["type"], value: number): Family => ({
    name,
    help,
    type,
    samples: [{ value }],
  });
  return [
    family(
      "process_cpu_seconds_total",
      "CPU time of the server's process.",
      "counter",
      (user + system) / 1e6,
    ),
    family("process_resident_memory_bytes", "Resident memory of the server's process.", "gauge", rss),
    family("nodejs_heap_used_bytes", "JavaScript heap in use.", "gauge", heapUsed),
    family("process_uptime_seconds", "How long the server has run.", "gauge", process.uptime()),
  ];
}
