/**
 * What a server can be told: options of `hornero start`, else HORNERO_* variables, else defaults. Parsed by hand, so that
 * every wrong value is named with what would be right.
 */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import {
  ACCOUNT_CONCURRENCY_DEFAULT,
  BUSY_POLL_US_DEFAULT,
  BUSY_POLL_US_MAX,
  EVENTS_PER_FUNCTION_DEFAULT,
  EVENT_RETRY_DELAY_S_DEFAULT,
  PORT_DEFAULT,
  REQUESTS_PER_S_PER_CONCURRENCY,
  SCALING_BURST,
} from "../limits.ts";

export interface Configuration {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Absolute. */
  readonly dataDirectory: string;
  /** Where fetched interpreters are kept; several servers may share it. Absolute. */
  readonly runtimesDirectory: string;
  readonly auth: "sigv4" | "none";
  /** "auto": bubblewrap where it works; without walls only when that was asked for by name. */
  readonly driver: "auto" | "bubblewrap" | "process";
  readonly region: string;
  readonly accountId: string;
  readonly accountConcurrency: number;
  /** Synchronous requests that may begin in a second for each unit of concurrency. */
  readonly requestRate: number;
  /** Environments that a function may have started in ten seconds. */
  readonly scalingRate: number;
  /** How long idle environments are kept. `adapts`: as each function's arrivals advise, for as much memory-time as that would take. */
  readonly keepAlive: { readonly adapts: boolean; readonly keepAliveMs: number };
  /** Waiting sandboxes per runtime and memory size that is in use. */
  readonly poolSize: number;
  /** Asynchronous events of one function that may wait. */
  readonly asyncEventsMax: number;
  /** Wait before an asynchronous event's second attempt after a function's error; twice that before its third. */
  readonly asyncRetryDelayMs: number;
  /** The longest that the event loop polls for an answer or the next request before it sleeps; 0: never. */
  readonly busyPollMs: number;
  /** Running invocations are given this long when the server stops. */
  readonly drainMs: number;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  readonly logFormat: "pretty" | "json";
  /** Deploy the example function when the server is new. */
  readonly example: boolean;
}

const KEEP_ALIVE_S_DEFAULT = 600;
const KEEP_ALIVE_S_MAX = 86_400;

/** A value that cannot be used; the message says which and what would be right. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
}

/** Options as the command line has them: names without dashes. */
export type Options = Readonly<Record<string, string | boolean | undefined>>;
type Variables = Readonly<Record<string, string | undefined>>;

export function readConfiguration(options: Options, variables: Variables): Configuration {
  const text = (option: string, variable: string, fallback: string): string => {
    const value = options[option] ?? variables[variable];
    return typeof value === "string" && value !== "" ? value : fallback;
  };
  const whole = (
    option: string,
    variable: string,
    fallback: number,
    [min, max]: [number, number],
  ): number => {
    const value = text(option, variable, String(fallback));
    const number = Number(value);
    if (Number.isInteger(number) && number >= min && number <= max) return number;
    throw new ConfigurationError(
      `--${dashed(option)} (${variable}) takes a whole number from ${min} to ${max}, not '${value}'`,
    );
  };
  const choice = <T extends string>(option: string, variable: string, choices: readonly [T, ...T[]]): T => {
    const value = text(option, variable, choices[0]);
    const found = choices.find((one) => one === value);
    if (found !== undefined) return found;
    throw new ConfigurationError(
      `--${dashed(option)} (${variable}) takes one of ${choices.join(", ")}, not '${value}'`,
    );
  };
  const accountId = text("accountId", "HORNERO_ACCOUNT_ID", "000000000000");
  if (!/^\d{12}$/.test(accountId))
    throw new ConfigurationError(`--account-id (HORNERO_ACCOUNT_ID) takes twelve digits, not '${accountId}'`);
  const region = text("region", "HORNERO_REGION", "us-east-1");
  if (!/^[a-z]{2}(-[a-z]+)+-\d$/.test(region))
    throw new ConfigurationError(
      `--region (HORNERO_REGION) takes a Region such as us-east-1, not '${region}'`,
    );
  const data = dataDirectory(options, variables);
  return {
    host: text("host", "HORNERO_HOST", "127.0.0.1"),
    port: whole("port", "HORNERO_PORT", PORT_DEFAULT, [0, 65_535]),
    dataDirectory: data,
    runtimesDirectory: resolve(text("runtimes", "HORNERO_RUNTIMES", join(data, "runtimes"))),
    auth: choice("auth", "HORNERO_AUTH", ["sigv4", "none"]),
    driver: choice("driver", "HORNERO_DRIVER", ["auto", "bubblewrap", "process"]),
    region,
    accountId,
    accountConcurrency: whole(
      "concurrency",
      "HORNERO_CONCURRENCY",
      ACCOUNT_CONCURRENCY_DEFAULT,
      [1, 1_000_000],
    ),
    requestRate: whole("requestRate", "HORNERO_REQUEST_RATE", REQUESTS_PER_S_PER_CONCURRENCY, [1, 1_000_000]),
    scalingRate: whole("scalingRate", "HORNERO_SCALING_RATE", SCALING_BURST, [1, 1_000_000]),
    keepAlive: readKeepAlive(text("keepAlive", "HORNERO_KEEP_ALIVE", "auto")),
    poolSize: whole("pool", "HORNERO_POOL", 2, [0, 1000]),
    asyncEventsMax: whole(
      "asyncEvents",
      "HORNERO_ASYNC_EVENTS",
      EVENTS_PER_FUNCTION_DEFAULT,
      [1, 1_000_000_000],
    ),
    asyncRetryDelayMs:
      whole("asyncRetryDelay", "HORNERO_ASYNC_RETRY_DELAY", EVENT_RETRY_DELAY_S_DEFAULT, [1, 900]) * 1000,
    busyPollMs: whole("busyPoll", "HORNERO_BUSY_POLL", BUSY_POLL_US_DEFAULT, [0, BUSY_POLL_US_MAX]) / 1000,
    drainMs: whole("drain", "HORNERO_DRAIN", 30, [0, 900]) * 1000,
    logLevel: choice("logLevel", "HORNERO_LOG_LEVEL", ["info", "debug", "warn", "error", "silent"]),
    logFormat: choice("logFormat", "HORNERO_LOG_FORMAT", ["pretty", "json"]),
    example: options["example"] === true,
  };
}

/** `auto`, `auto:SECONDS` or `SECONDS`. */
function readKeepAlive(value: string): Configuration["keepAlive"] {
  const adapts = value === "auto" || value.startsWith("auto:");
  const seconds = value === "auto" ? KEEP_ALIVE_S_DEFAULT : Number(adapts ? value.slice(5) : value);
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= KEEP_ALIVE_S_MAX)
    return { adapts, keepAliveMs: seconds * 1000 };
  throw new ConfigurationError(
    `--keep-alive (HORNERO_KEEP_ALIVE) takes auto, or a whole number from 1 to ${KEEP_ALIVE_S_MAX}, ` +
      `also after auto:, not '${value}'`,
  );
}

/** Where the state lives: --data, HORNERO_DATA, /var/lib/hornero for root, else the user's data folder. Absolute. */
export function dataDirectory(options: Options, variables: Variables): string {
  const given = options["data"] ?? variables["HORNERO_DATA"];
  if (typeof given === "string" && given !== "") return resolve(given);
  if (process.getuid?.() === 0) return "/var/lib/hornero";
  const shared = variables["XDG_DATA_HOME"];
  const base = shared !== undefined && isAbsolute(shared) ? shared : join(homedir(), ".local", "share");
  return join(base, "hornero");
}

function dashed(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
