import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";

/** Prints the variables that point AWS's tools at the server, for `eval "$(hornero env)"`. */
export function env(options: Options, write: (text: string) => void): void {
  const { server } = connect(options);
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
  for (const [name, value] of Object.entries(variables)) write(`export ${name}=${quoted(value)}\n`);
  // What would win over these, or be sent beside them.
  write("unset AWS_SESSION_TOKEN AWS_PROFILE\n");
}

/** For a POSIX shell: whatever it holds, it stays one word. */
export function quoted(value: string): string {
  return /^[\w./:=+-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
