/** What a process wrote just before its end may arrive after the news of it. */
import type { Readable } from "node:stream";
import type { Clock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { RuntimeConnection } from "./runtime-connection.ts";

/** How long the last bytes of an ended process may take to arrive before its end is told. */
const LAST_WORDS_MS = 250;

interface Ended {
  readonly sandbox: Pick<Sandbox, "output">;
  readonly connection: Pick<RuntimeConnection, "ended">;
}

/** Resolves when everything from an ended process has been read, or has had its time to come. */
export async function lastWords(occupied: Ended | undefined, clock: Clock): Promise<void> {
  if (!occupied) return;
  const enough = deferred();
  const cancel = clock.after(LAST_WORDS_MS, () => enough.resolve());
  await Promise.race([
    enough.promise,
    Promise.all([occupied.connection.ended, ended(occupied.sandbox.output)]),
  ]);
  cancel();
}

function ended(output: Readable): Promise<void> {
  if (output.readableEnded || output.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    output.once("end", resolve);
    output.once("close", resolve);
  });
}
