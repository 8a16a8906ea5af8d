import type { ServerResponse } from "node:http";

/**
 * Writes a body chunk by chunk, no faster than the client reads, and ends the response. Asks for no further chunk once
 * the client has gone, even while one is awaited; the iterable is told through `return`. Rejects with what the iterable
 * threw: the response is cut then, so that nobody takes it for whole.
 */
export async function writeStream(body: AsyncIterable<Buffer>, response: ServerResponse): Promise<void> {
  const iterator = body[Symbol.asyncIterator]();
  const client = { gone: response.destroyed, onGone: () => undefined as void };
  response.once("close", () => {
    client.gone = true;
    client.onGone();
  });
  /** Settles with `step`, or with undefined as soon as the client goes. */
  const unlessClosed = <T>(step: Promise<T>): Promise<T | undefined> =>
    new Promise((resolve, reject) => {
      client.onGone = () => resolve(undefined);
      step.then(resolve, reject);
    });
  response.flushHeaders();
  try {
    while (!client.gone) {
      const next = await unlessClosed(iterator.next());
      if (next === undefined) break;
      if (next.done) {
        response.end();
        return;
      }
      if (!response.write(next.value)) {
        await unlessClosed(new Promise<void>((resolve) => response.once("drain", resolve)));
      }
    }
  } catch (error) {
    response.destroy();
    throw error;
  }
  // Not awaited: a generator that still waits for its own next chunk finishes after that.
  iterator.return?.().catch(() => undefined);
}
