import { connectRunning } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { CliError, EXIT } from "../errors.ts";

interface ShellWords {
  set(name: string, value: string): string;
  remove(name: string): string;
}

const SHELLS: Readonly<Record<string, ShellWords>> = {
  posix: {
    set: (name, value) => `export ${name}=${quoted(value)}`,
    remove: (name) => `unset ${name}`,
  },
  fish: {
    // Within fish's single quotes a backslash escapes itself and the quote.
    set: (name, value) => `set -gx ${name} '${value.replaceAll(/[\\']/g, String.raw`\$&`)}'`,
    remove: (name) => `set -e ${name}`,
  },
  powershell: {
    set: (name, value) => `$Env:${name} = '${value.replaceAll("'", "''")}'`,
    remove: (name) => `Remove-Item Env:${name} -ErrorAction SilentlyContinue`,
  },
};

/** What would win over the variables, or be sent beside them. */
const UNSET = ["AWS_SESSION_TOKEN", "AWS_PROFILE"];

/** Prints the variables that point AWS's tools at the server, for `eval "$(hornero env)"`. */
export async function env(options: Options, write: (text: string) => void): Promise<void> {
  const { server } = await connectRunning(options);
  const variables = {
    AWS_ENDPOINT_URL: server.endpoint,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: server.region,
    AWS_DEFAULT_REGION: server.region,
  };
  if (options["json"] === true) {
    write(`${JSON.stringify(variables, undefined, 2)}\n`);
    return;
  }
  const shell = options["shell"] ?? "posix";
  const words = typeof shell === "string" ? SHELLS[shell] : undefined;
  if (!words)
    throw new CliError(`--shell takes one of ${Object.keys(SHELLS).join(", ")}, not '${shell}'`, {
      exitCode: EXIT.usage,
    });
  for (const [name, value] of Object.entries(variables)) write(`${words.set(name, value)}\n`);
  for (const name of UNSET) write(`${words.remove(name)}\n`);
}

/** For a POSIX shell: whatever it holds, it stays one word. */
export function quoted(value: string): string {
  return /^[\w./:=+-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
