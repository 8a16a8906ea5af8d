/** What every operation of CloudWatch needs. */
import type { Clock } from "../../kernel/clock.ts";
import type { Store } from "../../store/store.ts";
import type { MetricStore } from "./metrics/metric-store.ts";

export interface CloudWatchContext {
  readonly metrics: MetricStore;
  readonly store: Store;
  readonly clock: Clock;
  readonly region: string;
  readonly accountId: string;
}
