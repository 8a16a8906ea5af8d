/** CloudWatch Logs as the rest of Hornero sees it: the service on the wire, the sink for the platform, and following. */
import type { Clock } from "../../kernel/clock.ts";
import type { Store } from "../../store/store.ts";
import type { LogObserver, LogSink } from "../../telemetry/log-sink.ts";
import { silentLogger, type Logger } from "../../telemetry/logger.ts";
import type { Service } from "../../wire/service.ts";
import { groupNotFound } from "./errors.ts";
import { followGroup, type FollowOptions } from "./follow.ts";
import { LogStore, type LogStoreStats } from "./log-store.ts";
import { eventOperations } from "./operations/events.ts";
import { groupOperations } from "./operations/groups.ts";
import { liveTailOperations } from "./operations/live-tail.ts";
import { streamOperations } from "./operations/streams.ts";
import { tagOperations } from "./operations/tags.ts";

export interface LogsOptions {
  /** A folder for the segments, of its own: what is in it and belongs to no group is deleted. Made when missing. */
  readonly directory: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly region: string;
  readonly accountId: string;
  readonly logger?: Logger;
  /** Most bytes of log events on disk; the oldest go first. Default STORED_BYTES_DEFAULT, 1 GiB. */
  readonly bytesMax?: number;
}

export interface Logs {
  readonly service: Service;
  readonly sink: LogSink;
  readonly stats: () => LogStoreStats;
  /** Tells what is logged, by whomever, to whoever takes metrics out of it. */
  readonly observe: (observer: LogObserver) => void;
  /**
   * Tells events of a group as they are written, from `fromMs` on. The answer ends it. Throws ResourceNotFoundException
   * when there is no such group yet.
   */
  readonly follow: (group: string, options: FollowOptions) => () => void;
  /** Writes what is pending and closes the files. The Store must still be open. Idempotent. */
  readonly close: () => Promise<void>;
}

/** Reads what an earlier run left. Nothing else may use the directory. */
export async function createLogs(options: LogsOptions): Promise<Logs> {
  const { directory, store, clock, region, accountId, bytesMax } = options;
  const logs = await LogStore.open({
    directory,
    store,
    clock,
    logger: options.logger ?? silentLogger,
    ...(bytesMax !== undefined && { bytesMax }),
  });
  const context = { logs, clock, region, accountId };
  return {
    service: {
      model: "logs",
      operations: {
        ...groupOperations(context),
        ...streamOperations(context),
        ...eventOperations(context),
        ...tagOperations(context),
        ...liveTailOperations(context),
      },
    },
    sink: logs,
    stats: () => logs.stats,
    observe: (observer) => logs.observe(observer),
    follow: (name, follow) => {
      const group = logs.group(name);
      if (!group) throw groupNotFound();
      return followGroup(group, follow);
    },
    close: () => logs.close(),
  };
}
