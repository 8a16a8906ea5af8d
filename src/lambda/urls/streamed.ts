/**
 * A function's stream as an HTTP response: what it begins with decides status, headers and cookies; the rest is passed on as
 * it comes, as fast as the client reads.
 */
import type { StreamedAnswer } from "../invoke/streamed-answer.ts";
import { isStreamWithPrelude, streamHead, type UrlAnswer } from "./answer.ts";

/** The function failed after its answer had begun: the response is cut off, so that nobody takes it for whole. */
export class BrokenStream extends Error {
  override readonly name = "BrokenStream";
}

/** Between the prelude and the body. */
const PRELUDE_END = Buffer.alloc(8);
/** More than any client reads as headers. */
const PRELUDE_BYTES_MAX = 256 * 1024;

/**
 * Resolves when the head is known, which is with the first bytes of the body at the latest. Undefined: there is no response,
 * the function failed before or its prelude is malformed; what still comes is thrown away. Rejects when it could not run.
 */
export async function readStreamed(answer: StreamedAnswer): Promise<UrlAnswer | undefined> {
  const contentType = await answer.begun;
  const chunks = answer.chunks();
  const withPrelude = isStreamWithPrelude(contentType);
  const read = withPrelude ? await readPrelude(chunks) : await readFirst(chunks);
  if (read === "too long") {
    answer.abandon();
    return undefined;
  }
  const isOver = read === undefined || (!withPrelude && read.rest.length === 0);
  if (isOver && (await answer.outcome).functionError !== undefined) return undefined;
  const head = read && streamHead(read.prelude, contentType);
  if (head) return { ...head, body: bodyOf(read.rest, chunks, answer) };
  answer.abandon();
  return undefined;
}

interface Beginning {
  /** JSON; undefined where there is none. */
  readonly prelude: Buffer | undefined;
  /** First bytes of the body; empty: the answer is over. */
  readonly rest: Buffer;
}

async function readFirst(chunks: AsyncGenerator<Buffer, void>): Promise<Beginning> {
  const { value } = await chunks.next();
  return { prelude: undefined, rest: value ?? Buffer.alloc(0) };
}

/** Undefined: the stream ended before the prelude did. */
async function readPrelude(
  chunks: AsyncGenerator<Buffer, void>,
): Promise<Beginning | "too long" | undefined> {
  let read: Buffer = Buffer.alloc(0);
  // Where the end may begin.
  let from = 0;
  for (;;) {
    const end = read.indexOf(PRELUDE_END, from);
    if (end >= 0) return { prelude: read.subarray(0, end), rest: read.subarray(end + PRELUDE_END.length) };
    if (read.length > PRELUDE_BYTES_MAX) return "too long";
    from = Math.max(0, read.length - PRELUDE_END.length + 1);
    const { value } = await chunks.next();
    if (!value) return undefined;
    read = Buffer.concat([read, value]);
  }
}

async function* bodyOf(
  first: Buffer,
  chunks: AsyncGenerator<Buffer, void>,
  answer: StreamedAnswer,
): AsyncGenerator<Buffer, void, undefined> {
  if (first.length > 0) yield first;
  yield* chunks;
  if ((await answer.outcome).functionError !== undefined) throw new BrokenStream("the function failed");
}
