import { readFileSync } from "node:fs";
import { INVOKE_REQUEST_BYTES_MAX } from "../../limits.ts";
import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { CliError, EXIT } from "../errors.ts";

export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly isTerminal: boolean;
}

/** Invokes a function and prints its answer; answers the exit status: 3 when the function failed. */
export async function invoke(name: string, options: Options, output: Output): Promise<number> {
  const { client } = connect(options);
  const qualifier = options["qualifier"];
  const query = typeof qualifier === "string" ? `?Qualifier=${encodeURIComponent(qualifier)}` : "";
  const response = await client.send("lambda", {
    method: "POST",
    target: `/2015-03-31/functions/${encodeURIComponent(name)}/invocations${query}`,
    headers: { "x-amz-log-type": options["logs"] === true ? "Tail" : "None" },
    body: await payload(options),
  });
  const tail = response.headers["x-amz-log-result"];
  if (typeof tail === "string") output.err(Buffer.from(tail, "base64").toString("utf8"));
  output.out(pretty(response.body, output.isTerminal));
  const failed = response.headers["x-amz-function-error"];
  if (failed === undefined) return EXIT.ok;
  output.err(`hornero: the function failed (${String(failed)})\n`);
  return EXIT.functionError;
}

async function payload(options: Options): Promise<Buffer> {
  const { payload: given, file } = options;
  if (typeof given === "string" && typeof file === "string")
    throw new CliError("--payload and --file exclude each other", { exitCode: EXIT.usage });
  if (typeof given === "string")
    return given === "-"
      ? json(await standardInput(), "standard input")
      : json(Buffer.from(given), "--payload");
  if (typeof file === "string")
    return file === "-" ? json(await standardInput(), "standard input") : json(read(file), file);
  return Buffer.alloc(0);
}

async function standardInput(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > INVOKE_REQUEST_BYTES_MAX)
      throw new CliError(
        `standard input has more than the ${INVOKE_REQUEST_BYTES_MAX} bytes that an event may have`,
        {
          exitCode: EXIT.usage,
        },
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CliError(`cannot read ${file}`, { exitCode: EXIT.usage, cause: error });
  }
}

function json(bytes: Buffer, what: string): Buffer {
  try {
    JSON.parse(bytes.toString("utf8"));
    return bytes;
  } catch (error) {
    throw new CliError(`${what} is not JSON: ${(error as Error).message}`, {
      hint: `An event is JSON: --payload '{"name": "Ada"}'`,
      exitCode: EXIT.usage,
    });
  }
}

function pretty(body: Buffer, isTerminal: boolean): string {
  const text = body.toString("utf8");
  if (!isTerminal) return `${text}\n`;
  try {
    return `${JSON.stringify(JSON.parse(text), undefined, 2)}\n`;
  } catch {
    return `${text}\n`;
  }
}
