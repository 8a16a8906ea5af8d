import { setTimeout as pause } from "node:timers/promises";
import type { FilterLogEventsResponse, FilteredLogEvent } from "@aws-sdk/client-cloudwatch-logs";
import type { FunctionConfiguration } from "@aws-sdk/client-lambda";
import type { AwsClient } from "../aws-client.ts";
import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { CliError, EXIT, isNotFound } from "../errors.ts";

const FOLLOW_MS = 500;
/** Events may be written a moment after their time: each look goes back so far, and what was shown is left out. */
const LATE_MS = 10_000;
const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Prints a function's log; with --follow until the signal, also before the function has written anything. */
export async function logs(
  name: string,
  options: Options,
  write: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let fromMs = Math.max(0, Date.now() - since(options["since"]));
  const { client } = connect(options);
  const pattern = options["filter"];
  const query = {
    logGroupName: await logGroup(client, name),
    ...(typeof pattern === "string" ? { filterPattern: pattern } : {}),
  };
  const isFollowing = options["follow"] === true;
  const print = (event: FilteredLogEvent) =>
    write(options["json"] === true ? `${JSON.stringify(event)}\n` : line(event));
  /** Ids of what was printed and will be found again, with their time. */
  const shown = new Map<string, number>();
  while (!signal.aborted) {
    // Times before the next look's start are settled: nothing new comes there, so nothing of there is remembered.
    const nextFromMs = Math.max(fromMs, Date.now() - LATE_MS);
    for await (const event of events(client, query, fromMs, isFollowing)) {
      const { eventId = "", timestamp = 0 } = event;
      if (!shown.has(eventId)) print(event);
      if (timestamp >= nextFromMs) shown.set(eventId, timestamp);
    }
    if (!isFollowing) return;
    fromMs = nextFromMs;
    for (const [id, timeMs] of shown) if (timeMs < fromMs) shown.delete(id);
    await pause(FOLLOW_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Where the function's log goes; what no longer is a function may have left its log. */
async function logGroup(client: AwsClient, name: string): Promise<string> {
  if (name.startsWith("/")) return name;
  try {
    const path = `/2015-03-31/functions/${encodeURIComponent(name)}/configuration`;
    const { FunctionName, LoggingConfig } = await client.lambda<FunctionConfiguration>("GET", path);
    return LoggingConfig?.LogGroup ?? `/aws/lambda/${FunctionName}`;
  } catch (error) {
    if (isNotFound(error)) return `/aws/lambda/${name}`;
    throw error;
  }
}

/** Page by page, in the order of their times. `mayLack`: a group that is not there yet has no events. */
async function* events(
  client: AwsClient,
  query: { readonly logGroupName: string },
  startTime: number,
  mayLack: boolean,
): AsyncGenerator<FilteredLogEvent> {
  let nextToken: string | undefined;
  do {
    const input = { ...query, startTime, ...(nextToken === undefined ? {} : { nextToken }) };
    let page: FilterLogEventsResponse;
    try {
      page = await client.logs<FilterLogEventsResponse>("FilterLogEvents", input);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      if (mayLack) return;
      throw new CliError(`there is no log ${query.logGroupName}`, {
        hint: "A function's log begins with its first invocation. npx hornero ls lists the functions.",
        cause: error,
      });
    }
    yield* page.events ?? [];
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
}

function line({ timestamp = 0, message = "" }: FilteredLogEvent): string {
  return `${new Date(timestamp).toISOString()}  ${message.trimEnd()}\n`;
}

/** `10m`, `2h`, `1d` in milliseconds; an hour when nothing was said. */
function since(value: Options[string]): number {
  if (typeof value !== "string") return 3_600_000;
  const [, count, unit = ""] = /^(\d{1,9})([smhd])$/.exec(value) ?? [];
  if (count !== undefined) return Number(count) * (UNITS_MS[unit] ?? 0);
  throw new CliError(`--since takes a time such as 30s, 10m, 2h or 1d, not '${value}'`, {
    exitCode: EXIT.usage,
  });
}
