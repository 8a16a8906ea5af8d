import { createInterface } from "node:readline/promises";
import { connect } from "../connect.ts";
import type { Options } from "../configuration.ts";
import { CliError, EXIT } from "../errors.ts";

/** Deletes a function with its versions and aliases; asks before, on a terminal. Its log stays. */
export async function rm(name: string, options: Options, write: (text: string) => void): Promise<void> {
  const { client } = connect(options);
  if (options["yes"] !== true) await confirm(name);
  await client.lambda("DELETE", `/2015-03-31/functions/${encodeURIComponent(name)}`);
  write(`deleted ${name}\n`);
}

async function confirm(name: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CliError(`will not delete ${name} without being asked to twice`, {
      hint: "Say --yes",
      exitCode: EXIT.usage,
    });
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`Delete ${name} with all its versions? [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new CliError("nothing was deleted");
  } finally {
    prompt.close();
  }
}
