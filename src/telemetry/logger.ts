/**
 * The server's own log: JSON lines for machines, one short line for people. Not the functions' logs, which have a path
 * of their own.
 *
 * A logger never throws and never waits: what the sink cannot take is the sink's to buffer or drop.
 */
import type { Clock } from "../kernel/clock.ts";

export type LogSeverity = "debug" | "info" | "warn" | "error";

/** Facts beside the message. An Error is written with its stack and its causes. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger with fields on every line: `logger.with({ part: "wire" })`. */
  with(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** Lines below it are not made. */
  readonly level: LogSeverity | "silent";
  readonly format: "json" | "pretty";
  readonly clock: Clock;
  /** Takes one line, with its newline. */
  readonly sink: (line: string) => void;
}

const RANK = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 } as const;
const CAUSES_MAX = 5;

export function createLogger(options: LoggerOptions, common: LogFields = {}): Logger {
  const log = (severity: LogSeverity, message: string, fields: LogFields = {}): void => {
    if (RANK[severity] < RANK[options.level]) return;
    const time = new Date(options.clock.nowMs()).toISOString();
    const all = { ...common, ...fields };
    options.sink(
      options.format === "json"
        ? `${JSON.stringify({ time, level: severity, message, ...all }, replacer)}\n`
        : prettyLine(time, severity, message, all),
    );
  };
  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    with: (fields) => createLogger(options, { ...common, ...fields }),
  };
}

/** A logger that says nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLogger,
};

function prettyLine(time: string, severity: LogSeverity, message: string, fields: LogFields): string {
  let line = `${time.slice(11, 23)} ${severity.toUpperCase().padEnd(5)} ${message}`;
  let stacks = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (value instanceof Error) stacks += `\n${describeError(value)}`;
    else line += ` ${name}=${typeof value === "string" ? value : JSON.stringify(value, replacer)}`;
  }
  return `${line}${stacks}\n`;
}

function replacer(_name: string, value: unknown): unknown {
  if (value instanceof Error) return describeError(value);
  return typeof value === "bigint" ? value.toString() : value;
}

function describeError(error: Error): string {
  let text = error.stack ?? `${error.name}: ${error.message}`;
  let { cause } = error;
  for (let depth = 0; depth < CAUSES_MAX && cause instanceof Error; depth += 1) {
    text += `\ncaused by ${cause.stack ?? cause.message}`;
    ({ cause } = cause);
  }
  return text;
}
