/** What a person sees when a command fails: what, why, and what to do about it. */
import { AwsError } from "../errors.ts";
import { coerceError } from "../kernel/deferred.ts";
import { SandboxError } from "../lambda/sandbox/sandbox.ts";
import { ConfigurationError } from "./configuration.ts";

/** Exit statuses that scripts can rely on. */
export const EXIT = { ok: 0, failed: 1, usage: 2, functionError: 3, noServer: 4 } as const;

export class CliError extends Error {
  override readonly name = "CliError";
  readonly hint: string | undefined;
  readonly exitCode: number;
  /** The code of an answer that was an error, `ResourceNotFoundException`. */
  readonly awsCode: string | undefined;
  constructor(
    message: string,
    options: { hint?: string; exitCode?: number; awsCode?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? EXIT.failed;
    this.awsCode = options.awsCode;
  }
}

/** Whether the server said that there is no such function, log group or other resource. */
export function isNotFound(error: unknown): boolean {
  return error instanceof CliError && error.awsCode === "ResourceNotFoundException";
}

/** Writes the error for a person; answers the exit status. */
export function report(thrown: unknown, stream: NodeJS.WritableStream): number {
  const error = coerceError(thrown);
  const { what, hint, exitCode } = explain(error);
  stream.write(`hornero: ${what}\n`);
  if (hint !== undefined && hint !== "") stream.write(`  ${hint}\n`);
  return exitCode;
}

function explain(error: Error): { what: string; hint: string | undefined; exitCode: number } {
  if (error instanceof CliError) return { what: error.message, hint: error.hint, exitCode: error.exitCode };
  if (error instanceof ConfigurationError)
    return { what: error.message, hint: undefined, exitCode: EXIT.usage };
  if (error instanceof SandboxError)
    return {
      what: `functions cannot be isolated here: ${error.message}`,
      hint: error.hint,
      exitCode: EXIT.failed,
    };
  if (error instanceof AwsError)
    return { what: `${error.code}: ${error.message}`, hint: undefined, exitCode: EXIT.failed };
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EADDRINUSE")
    return {
      what: `another program listens on this port already (${error.message})`,
      hint: "Run a second server beside it: npm start -- --port 4567 --data ./second",
      exitCode: EXIT.failed,
    };
  return { what: error.message, hint: undefined, exitCode: EXIT.failed };
}
