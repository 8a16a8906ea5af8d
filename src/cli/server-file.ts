/**
 * How the command line finds a running server: a file in the data folder that only its owner may read, written at each
 * start. What it says is true only while the server runs, so a reader checks by asking the endpoint.
 */
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface ServerFile {
  readonly endpoint: string;
  readonly pid: number;
  readonly region: string;
  readonly accountId: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const NAME = "server.json";

export function writeServerFile(dataDirectory: string, content: ServerFile): void {
  const path = join(dataDirectory, NAME);
  const temporary = `${path}.${content.pid}`;
  writeFileSync(temporary, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

/** Undefined when there is none, or none that this user may read. */
export function readServerFile(dataDirectory: string): ServerFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDirectory, NAME), "utf8")) as ServerFile;
  } catch {
    return undefined;
  }
}

export function removeServerFile(dataDirectory: string): void {
  rmSync(join(dataDirectory, NAME), { force: true });
}
