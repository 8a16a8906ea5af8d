/**
 * What the server may ask the spawner, and how the spawner answers. The spawner holds privileges that the server does
 * not: every message is checked here, field by field, before anything acts on it.
 *
 * START is the spawner's argument, as JSON: it says which folders may be shown, and is given while the server is still
 * root, so that a server that was taken over later cannot announce others. Messages are JSON over Node's IPC channel: each
 * is a request and gets exactly one reply with its number. A message carries one descriptor at most, and each costs a round
 * trip: of the pipe and the socket of a new sandbox the last comes with the reply to its `create`, the other in a HANDLE
 * message before.
 */
import { LAYERS_MAX } from "../../../limits.ts";
import {
  EPHEMERAL_STORAGE_MB_MAX,
  EPHEMERAL_STORAGE_MB_MIN,
  MEMORY_MB_MAX,
  MEMORY_MB_MIN,
} from "../../../limits.ts";
import type { CodeMounts, RuntimeRoot, SandboxExit, Walls } from "../sandbox.ts";

/** A command line with its variables may not be larger. Ours: execve(2) allows 2 MiB for both. */
const COMMAND_BYTES_MAX = 1024 * 1024;
const COMMAND_WORDS_MAX = 1024;
const PATH_CHARS_MAX = 4095;

export interface StartMessage {
  readonly op: "start";
  /** Names this server's cgroups, interfaces and firewall tables: seven lower-case hexadecimal digits. */
  readonly instance: string;
  /** CodeMounts must lie below this folder. */
  readonly codeDirectory: string;
  /** RuntimeRoots must lie below one of these. */
  readonly runtimesDirectories: readonly string[];
  /** Where the images of /tmp file systems may be kept. */
  readonly storageDirectory: string;
  /** Port of the public endpoint as environments see it. */
  readonly endpointPort: number;
  /** Whether the spawner is root on the host, and can give each sandbox an account of its own. */
  readonly separateAccounts: boolean;
}

export interface CreateRequest {
  readonly op: "create";
  readonly id: string;
  readonly root: RuntimeRoot;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly ephemeralStorageMb: number;
  readonly background: boolean;
  readonly code?: CodeMounts;
  readonly link: boolean;
  /** Whether it may be forked from a zygote; see zygote/zygotes.ts. */
  readonly zygote: boolean;
}

export interface SpecialiseRequest {
  readonly op: "specialise";
  readonly id: string;
  readonly code: CodeMounts;
  readonly memoryMb: number;
  readonly ephemeralStorageMb: number;
}

export type SpawnerRequest =
  | CreateRequest
  | SpecialiseRequest
  | { readonly op: "signal"; readonly id: string; readonly signal: "SIGTERM" | "SIGKILL" }
  | { readonly op: "limit-cpu" | "freeze" | "thaw" | "destroy"; readonly id: string }
  | { readonly op: "ping" };

export interface Created {
  readonly address: string | undefined;
  /** World-readable file with the peak memory in bytes. */
  readonly peakMemoryPath: string | undefined;
}

export interface Started {
  readonly walls: Walls;
  /** Present when environments have a network of their own; its listeners came as handles before. */
  readonly network?: {
    readonly host: string;
    readonly runtimeApiPort: number;
    readonly endpointPort: number;
  };
}

export interface Failure {
  readonly step: string;
  readonly message: string;
  readonly hint?: string;
}

export type HandleKind = "link" | "output" | "runtime-api" | "endpoint";

/** From the spawner to the server. */
export type SpawnerMessage =
  | { readonly type: "started"; readonly started: Started }
  | { readonly type: "failed"; readonly failure: Failure }
  | { readonly type: "handle"; readonly kind: HandleKind; readonly id: string }
  | {
      readonly type: "reply";
      readonly request: number;
      readonly result?: Created;
      /** What the descriptor is that comes with it. */
      readonly handle?: { readonly kind: "link" | "output"; readonly id: string };
    }
  | { readonly type: "refusal"; readonly request: number; readonly failure: Failure }
  /** For the server's log. */
  | { readonly type: "notice"; readonly text: string }
  | { readonly type: "exited"; readonly id: string; readonly exit: SandboxExit };

export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

type Fields = Readonly<Record<string, unknown>>;

export function parseStart(message: unknown): StartMessage {
  const fields = record(message, "message");
  if (fields["op"] !== "start") throw new ProtocolError("the argument is not START");
  const directories = list(fields["runtimesDirectories"], "runtimesDirectories", 64);
  return {
    op: "start",
    instance: matching(fields["instance"], /^[0-9a-f]{7}$/, "instance"),
    codeDirectory: path(fields["codeDirectory"], "codeDirectory"),
    runtimesDirectories: directories.map((each) => path(each, "runtimesDirectories")),
    storageDirectory: path(fields["storageDirectory"], "storageDirectory"),
    endpointPort: integer(fields["endpointPort"], 1, 65_535, "endpointPort"),
    separateAccounts: fields["separateAccounts"] === true,
  };
}

export function parseRequest(message: unknown): { request: number; command: SpawnerRequest } {
  const fields = record(message, "message");
  const request = integer(fields["request"], 0, Number.MAX_SAFE_INTEGER, "request");
  return { request, command: parseCommand(record(fields["command"], "command")) };
}

/** The number that a refusal of a malformed request can be addressed to, as far as it has one. */
export function requestNumber(message: unknown): number | undefined {
  const number = typeof message === "object" && message !== null && "request" in message && message.request;
  return typeof number === "number" ? number : undefined;
}

function parseCommand(fields: Fields): SpawnerRequest {
  const op = fields["op"];
  switch (op) {
    case "ping":
      return { op };
    case "limit-cpu":
    case "freeze":
    case "thaw":
    case "destroy":
      return { op, id: sandboxId(fields) };
    case "signal": {
      const signal = fields["signal"];
      if (signal !== "SIGTERM" && signal !== "SIGKILL") throw new ProtocolError(`signal ${String(signal)}`);
      return { op, id: sandboxId(fields), signal };
    }
    case "specialise":
      return { op, id: sandboxId(fields), code: codeMounts(fields["code"]), ...sizes(fields) };
    case "create":
      return {
        op,
        id: sandboxId(fields),
        root: runtimeRoot(fields["root"]),
        command: commandLine(fields["command"]),
        environment: variables(fields["environment"]),
        ...sizes(fields),
        background: fields["background"] === true,
        ...(fields["code"] === undefined ? {} : { code: codeMounts(fields["code"]) }),
        link: fields["link"] === true,
        zygote: fields["zygote"] === true,
      };
    default:
      throw new ProtocolError(`unknown request ${String(op)}`);
  }
}

function sandboxId(fields: Fields): string {
  return matching(fields["id"], /^[a-z0-9-]{1,36}$/, "id");
}

function sizes(fields: Fields): { memoryMb: number; ephemeralStorageMb: number } {
  return {
    memoryMb: integer(fields["memoryMb"], MEMORY_MB_MIN, MEMORY_MB_MAX, "memoryMb"),
    ephemeralStorageMb: integer(
      fields["ephemeralStorageMb"],
      EPHEMERAL_STORAGE_MB_MIN,
      EPHEMERAL_STORAGE_MB_MAX,
      "ephemeralStorageMb",
    ),
  };
}

function runtimeRoot(value: unknown): RuntimeRoot {
  const fields = record(value, "root");
  const { lang, runtime } = fields;
  return {
    key: matching(fields["key"], /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/, "root.key"),
    ...(lang === undefined ? {} : { lang: path(lang, "root.lang") }),
    ...(runtime === undefined ? {} : { runtime: path(runtime, "root.runtime") }),
  };
}

function codeMounts(value: unknown): CodeMounts {
  const fields = record(value, "code");
  const { artefacts } = fields;
  return {
    task: path(fields["task"], "code.task"),
    layers: list(fields["layers"], "code.layers", LAYERS_MAX).map((layer) => path(layer, "code.layers")),
    ...(artefacts === undefined ? {} : { artefacts: path(artefacts, "code.artefacts") }),
  };
}

function commandLine(value: unknown): string[] {
  const words = list(value, "command", COMMAND_WORDS_MAX).map((word) => text(word, "command"));
  if (words[0]?.startsWith("/") !== true) throw new ProtocolError("command is not an absolute path");
  bounded(words, "command");
  return words;
}

function variables(value: unknown): Record<string, string> {
  const entries = Object.entries(record(value, "environment"));
  const checked = entries.map(([name, each]): [string, string] => {
    matching(name, /^[^=\0]+$/, "environment");
    return [name, text(each, `environment ${name}`)];
  });
  bounded(checked.flat(), "environment");
  return Object.fromEntries(checked);
}

function bounded(words: readonly string[], what: string): void {
  let bytes = 0;
  for (const word of words) bytes += Buffer.byteLength(word) + 1;
  if (bytes > COMMAND_BYTES_MAX) throw new ProtocolError(`${what}: ${bytes} bytes`);
}

function record(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError(`${what} is not an object`);
  }
  return value as Fields;
}

function list(value: unknown, what: string, countMax: number): unknown[] {
  if (!Array.isArray(value) || value.length > countMax) {
    throw new ProtocolError(`${what} is not a list of at most ${countMax}`);
  }
  return value;
}

/** A string that can be an argument of execve(2). */
function text(value: unknown, what: string): string {
  if (typeof value !== "string" || value.includes("\0")) throw new ProtocolError(`${what} is not a text`);
  return value;
}

function matching(value: unknown, pattern: RegExp, what: string): string {
  if (typeof value !== "string" || !pattern.test(value)) {
    throw new ProtocolError(`${what} does not match ${pattern.source}`);
  }
  return value;
}

function path(value: unknown, what: string): string {
  const checked = text(value, what);
  if (!checked.startsWith("/") || checked.length > PATH_CHARS_MAX) {
    throw new ProtocolError(`${what} is not an absolute path`);
  }
  return checked;
}

function integer(value: unknown, min: number, max: number, what: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw new ProtocolError(`${what} is not a whole number from ${min} to ${max}`);
  }
  return value;
}
