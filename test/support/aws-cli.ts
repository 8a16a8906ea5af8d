/** AWS's own command line against a test server: one process for each command, in a folder of its own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { awsTools, type TestServer } from "./server.ts";

/** Exit codes of the AWS CLI: the service's refusal (1.x, 2.x), a waiter that gave up. */
export const EXIT: { readonly service: readonly number[]; readonly waiter: number } = {
  service: [255, 254],
  waiter: 255,
};

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Words are arguments of `aws`, in order. The first may be several of them, separated by single spaces:
 * `run("iam get-role --role-name", "a name")`.
 */
export class AwsCli implements AsyncDisposable {
  readonly #server: Pick<TestServer, "environment">;
  /** HOME and the working directory of every command: `file://NAME` is a file of it. */
  readonly folder: string;
  /** Further variables, of commands that start from now on. */
  readonly env: Record<string, string> = {};

  constructor(server: Pick<TestServer, "environment">) {
    this.#server = server;
    this.folder = mkdtempSync(join(tmpdir(), "hornero-cli-"));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, content: string | Uint8Array): void {
    writeFileSync(this.path(name), content);
  }

  run(...words: readonly string[]): Promise<Ran> {
    const tools = awsTools();
    const [first = "", ...rest] = words;
    assert("folder" in tools, "tests of the AWS CLI are skipped where there is none");
    const env = {
      ...this.#server.environment(),
      PATH: process.env["PATH"],
      HOME: this.folder,
      AWS_PAGER: "",
      AWS_DEFAULT_OUTPUT: "json",
      ...this.env,
    };
    const options = { cwd: this.folder, env, encoding: "utf8" } as const;
    return new Promise((resolve) => {
      execFile(
        join(tools.folder, "aws"),
        [...first.split(" "), ...rest],
        options,
        (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
          resolve({ code, stdout, stderr: stderr.trim() });
        },
      );
    });
  }

  /** What a command that succeeds writes, without the space around it. */
  async text(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...words);
    assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
    return stdout.trim();
  }

  /** The same, read as JSON; `{}` when a command writes nothing. */
  async json(...words: readonly string[]): Promise<Record<string, unknown>> {
    const text = await this.text(...words);
    return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
  }

  /** Asserts that a command fails, by exit code and what it writes to standard error. */
  async refused(
    codes: number | readonly number[],
    stderr: string | RegExp,
    ...words: readonly string[]
  ): Promise<void> {
    const ran = await this.run(...words);
    if (typeof stderr === "string") assert.equal(ran.stderr, stderr);
    else assert.match(ran.stderr, stderr);
    assert([codes].flat().includes(ran.code), `${ran.code}: ${ran.stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
