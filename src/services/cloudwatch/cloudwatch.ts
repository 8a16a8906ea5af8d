/** CloudWatch as the rest of Hornero sees it: the service on the wire, the sink for the platform, Prometheus' text. */
import type { Clock } from "../../kernel/clock.ts";
import type { Store } from "../../store/store.ts";
import type { LogObserver } from "../../telemetry/log-sink.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Gauge, MetricsSink } from "../../telemetry/metrics.ts";
import type { Service } from "../../wire/service.ts";
import { AlarmActions, type AlarmAction } from "./alarms/actions.ts";
import { AlarmBook } from "./alarms/alarm-book.ts";
import type { CloudWatchContext } from "./context.ts";
import { EmbeddedMetrics } from "./embedded/extractor.ts";
import { MetricStore } from "./metrics/metric-store.ts";
import { alarmOperations } from "./operations/alarms.ts";
import { dataOperations } from "./operations/data.ts";
import { listOperations } from "./operations/list.ts";
import { putOperations } from "./operations/put.ts";
import { statisticsOperations } from "./operations/statistics.ts";
import { PlatformMetrics } from "./platform-metrics.ts";
import { prometheusText, type Family } from "./prometheus.ts";

export interface CloudWatchOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly region: string;
  readonly accountId: string;
}

export interface CloudWatch {
  readonly service: Service;
  /** For the platform's rooms. What it is told is on disk a second later at the latest. */
  readonly sink: MetricsSink;
  /** Takes embedded metrics out of what is logged: for the service that keeps logs. */
  readonly embedded: LogObserver;
  /** Once a second `gauges` is asked what is to be seen now; it must not throw. */
  observe(gauges: () => Iterable<Gauge>): void;
  /** Prometheus' text: functions' counters since the start, and `families`. */
  prometheus(families: readonly Family[]): string;
  /** What alarms do with targets of that service (`lambda`, `sns`). */
  registerAction(service: string, action: AlarmAction): void;
  /** Writes what has been gathered. */
  flush(): Promise<void>;
  /** Writes the rest; the Store must still be open. Idempotent. */
  close(): Promise<void>;
}

export async function createCloudWatch(options: CloudWatchOptions): Promise<CloudWatch> {
  const { store, clock, logger, region, accountId } = options;
  const metrics = await MetricStore.open({ store, clock, logger });
  let gauges: () => Iterable<Gauge> = () => [];
  const platform = new PlatformMetrics({ metrics, clock, logger, gauges: () => gauges() });
  const embedded = new EmbeddedMetrics({ metrics, clock, logger });
  const actions = new AlarmActions();
  const alarms = await AlarmBook.open({ store, metrics, clock, logger, actions, region, accountId });
  const context: CloudWatchContext = { metrics, store, clock, region, accountId };
  return {
    service: {
      model: "cloudwatch",
      operations: {
        ...putOperations(context),
        ...dataOperations(context),
        ...statisticsOperations(context),
        ...listOperations(context),
        ...alarmOperations(alarms),
      },
    },
    sink: platform,
    embedded: embedded.see,
    observe: (observed) => {
      gauges = observed;
    },
    prometheus: (families) => prometheusText(families, platform.totals()),
    registerAction: (service, action) => actions.register(service, action),
    flush: async () => {
      await platform.flush();
      await embedded.flush();
    },
    close: async () => {
      await alarms.close();
      await platform.close();
      await embedded.close();
      await metrics.close();
    },
  };
}
