import { basename, resolve } from "node:path";
import { statSync } from "node:fs";
import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { deployFunction } from "../deploy-function.ts";
import { CliError, EXIT } from "../errors.ts";
import { detectShape, zipFolder } from "../package-function.ts";

/** Zips a folder and creates the function or updates it (what no option says stays), then waits until it is active. */
export async function deploy(folder: string, options: Options, write: (text: string) => void): Promise<void> {
  const path = resolve(folder);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory())
    throw new CliError(`${folder} is not a folder`, { exitCode: EXIT.usage });
  const { client, server } = connect(options);
  const name = text(options, "name") ?? functionName(path);
  const [runtime, handler] = [text(options, "runtime"), text(options, "handler")];
  const role = text(options, "role");
  const zip = zipFolder(path);
  const environment = variables(options["env"]);
  const memoryMb = whole(options, "memory");
  const timeoutS = whole(options, "timeout");
  const { created, configuration } = await deployFunction(client, {
    name,
    zip,
    detect: () => detectShape(path),
    roleDefault: `arn:aws:iam::${server.accountId}:role/lambda`,
    ...(runtime === undefined ? {} : { runtime }),
    ...(handler === undefined ? {} : { handler }),
    ...(role === undefined ? {} : { role }),
    ...(memoryMb === undefined ? {} : { memoryMb }),
    ...(timeoutS === undefined ? {} : { timeoutS }),
    ...(environment === undefined ? {} : { environment }),
  });
  if (options["json"] === true) {
    write(`${JSON.stringify(configuration, undefined, 2)}\n`);
    return;
  }
  write(
    `${created ? "created" : "updated"} ${name}: ${configuration.Runtime}, ${configuration.Handler}, ${kilobytes(zip.length)}\n`,
  );
  write(`  npx hornero invoke ${name}\n`);
}

function functionName(path: string): string {
  const name = basename(path)
    .replaceAll(/[^A-Za-z0-9-_]/g, "-")
    .slice(0, 64);
  if (name === "")
    throw new CliError("the folder's name makes no function name", {
      hint: "Say one: --name NAME",
      exitCode: EXIT.usage,
    });
  return name;
}

function text(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

function whole(options: Options, name: string): number | undefined {
  const value = text(options, name);
  if (value === undefined) return undefined;
  if (!/^\d+$/.test(value))
    throw new CliError(`--${name} takes a whole number, not '${value}'`, { exitCode: EXIT.usage });
  return Number(value);
}

/** `--env A=1 --env B=2`; undefined when none was given, so that an update keeps what is set. */
function variables(given: unknown): Record<string, string> | undefined {
  if (!Array.isArray(given) || given.length === 0) return undefined;
  return Object.fromEntries(
    given.map((pair: string) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new CliError(`--env takes NAME=VALUE, not '${pair}'`, { exitCode: EXIT.usage });
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function kilobytes(bytes: number): string {
  return `${Math.max(1, Math.round(bytes / 1024)).toLocaleString("en")} KB`;
}
