import { setTimeout as pause } from "node:timers/promises";
import type { FilterLogEventsResponse, FilteredLogEvent } from "@aws-sdk/client-cloudwatch-logs";
import type { AwsClient } from "../aws-client.ts";
import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { CliError, EXIT } from "../errors.ts";

const FOLLOW_MS = 500;
/** Events may be written a moment after their time: each look goes back so far, and what was shown is left out. */
const LATE_MS = 10_000;
const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Prints a function's log; with --follow until the signal. */
export async function logs(
  name: string,
  options: Options,
  write: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { client } = connect(options);
  const group = name.startsWith("/") ? name : `/aws/lambda/${name}`;
  const pattern = options["filter"];
  const query = { logGroupName: group, ...(typeof pattern === "string" ? { filterPattern: pattern } : {}) };
  let fromMs = Date.now() - since(options["since"]);
  const shown = new Map<string, number>();
  const show = async () => {
    for (const event of await events(client, query, fromMs)) {
      const [id, timeMs] = [event.eventId ?? "", event.timestamp ?? 0];
      if (shown.has(id)) continue;
      shown.set(id, timeMs);
      write(options["json"] === true ? `${JSON.stringify(event)}\n` : line(event));
    }
  };
  await show();
  if (options["follow"] !== true) return;
  while (!signal.aborted) {
    await pause(FOLLOW_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    await show();
    fromMs = Math.max(fromMs, Date.now() - LATE_MS);
    for (const [id, timeMs] of shown) if (timeMs < fromMs - LATE_MS) shown.delete(id);
  }
}

async function events(client: AwsClient, query: object, startTime: number): Promise<FilteredLogEvent[]> {
  const found: FilteredLogEvent[] = [];
  let nextToken: string | undefined;
  do {
    const page = await client.logs<FilterLogEventsResponse>("FilterLogEvents", {
      ...query,
      startTime,
      ...(nextToken === undefined ? {} : { nextToken }),
    });
    found.push(...(page.events ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return found;
}

function line({ timestamp = 0, message = "" }: FilteredLogEvent): string {
  return `${new Date(timestamp).toISOString()}  ${message.trimEnd()}\n`;
}

/** `10m`, `2h`, `1d` in milliseconds; an hour when nothing was said. */
function since(value: Options[string]): number {
  if (typeof value !== "string") return 3_600_000;
  const [, count, unit = ""] = /^(\d+)([smhd])$/.exec(value) ?? [];
  if (count !== undefined) return Number(count) * (UNITS_MS[unit] ?? 0);
  throw new CliError(`--since takes a time such as 30s, 10m, 2h or 1d, not '${value}'`, {
    exitCode: EXIT.usage,
  });
}
