/**
 * A streamed answer between the function that makes it and the client that reads it. What waits in between is bounded:
 * beyond that the function is held back, as it is by a pipe that nobody reads.
 */
import { ByteCollector } from "../../kernel/byte-collector.ts";
import { deferred, type Deferred } from "../../kernel/deferred.ts";
import { STREAMED_RESPONSE_WAITING_BYTES_MAX } from "../../limits.ts";
import type { InvocationOutcome, ResponseSink } from "../model.ts";

export class StreamedAnswer implements ResponseSink {
  /** What has come and is not read yet, in one piece: a reader that is behind has fewer and larger chunks. */
  readonly #waiting = new ByteCollector();
  readonly #begun = deferred<string>();
  readonly #ended = deferred<InvocationOutcome>();
  /** The reader waits for it. */
  #news: Deferred<void> | undefined;
  /** The function waits for it. */
  #room: Deferred<void> | undefined;
  #isOver = false;
  #isAbandoned = false;

  constructor() {
    // Whoever awaits them is told; nobody has to.
    this.#begun.promise.catch(() => undefined);
    this.#ended.promise.catch(() => undefined);
  }

  /** Resolves to the content type when the first bytes have come, or the outcome has; rejects when it failed before. */
  get begun(): Promise<string> {
    return this.#begun.promise;
  }

  /** Resolves when the invocation has ended; rejects when it could not run to its end. */
  get outcome(): Promise<InvocationOutcome> {
    return this.#ended.promise;
  }

  write(chunk: Buffer, contentType: string): boolean {
    this.#begun.resolve(contentType);
    if (this.#isAbandoned) return true;
    this.#waiting.append(chunk);
    this.#tell();
    return this.#waiting.length < STREAMED_RESPONSE_WAITING_BYTES_MAX;
  }

  drained(): Promise<void> {
    if (this.#waiting.length < STREAMED_RESPONSE_WAITING_BYTES_MAX) return Promise.resolve();
    this.#room ??= deferred();
    return this.#room.promise;
  }

  /** The invocation has ended. An answer that was not streamed becomes one chunk. */
  end(outcome: InvocationOutcome): void {
    if (outcome.functionError === undefined && outcome.payload.length > 0)
      this.write(outcome.payload, outcome.contentType);
    this.#isOver = true;
    this.#begun.resolve(outcome.contentType);
    this.#ended.resolve(outcome);
    this.#tell();
  }

  /** The invocation could not run, or not be metered. */
  fail(error: Error): void {
    this.#isOver = true;
    this.#begun.reject(error);
    this.#ended.reject(error);
    this.#tell();
  }

  /** Nobody reads any longer: what still comes is thrown away, and the function goes on to its end. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#waiting.clear();
    this.#tell();
    this.#makeRoom();
  }

  /** What has come, as it comes, until the invocation has ended or nobody reads. For one reader. */
  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    while (!this.#isAbandoned) {
      if (this.#waiting.length > 0) {
        const chunk = this.#waiting.take();
        this.#makeRoom();
        yield chunk;
      } else if (this.#isOver) return;
      else {
        this.#news = deferred();
        await this.#news.promise;
      }
    }
  }

  #tell(): void {
    this.#news?.resolve();
  }

  #makeRoom(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
