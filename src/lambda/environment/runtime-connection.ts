/**
 * How an environment talks to the runtime inside it. Two implementations of one contract: the fast link of our own
 * runtimes (link-connection.ts) and the HTTP Runtime API of everybody else's (runtime-api.ts).
 */
export interface RuntimeConnection {
  /**
   * Hands over one invocation. Only after `ready`, once for each that it told of. `streams`: what the
   * runtime streams is told as it comes; without it a streamed answer is collected, and told as if it had come whole.
   */
  invoke(head: InvokeHead, payload: Buffer, streams?: boolean): void;
  /** Stops or goes on reading what the runtime sends (logs share the way with answers on the fast link). */
  setReading(reading: boolean): void;
  /** Stops or goes on reading one streamed answer, where several invocations run at a time. */
  holdAnswer(requestId: string, hold: boolean): void;
  /** Resolves when everything that the runtime sent before it ended has been told. */
  readonly ended: Promise<void>;
  /** No event comes after it. Idempotent. */
  close(): void;
}

export interface InvokeHead {
  readonly requestId: string;
  readonly deadlineMs: number;
  readonly invokedFunctionArn: string;
  readonly traceHeader: string;
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
  readonly tenantId?: string;
}

/** What the runtime tells. Bodies are the runtime's own bytes, passed through. */
export interface RuntimeEvents {
  /**
   * An invocation may come, or so many: the runtime has initialised, or is done with one before. Infinity: as many as the
   * environment has room for; −1: one fewer than it was told of, somebody has stopped asking.
   */
  ready(count?: number): void;
  /** The function could not be initialised; `error` is JSON {errorMessage, errorType, stackTrace}. */
  initError(error: Buffer): void;
  /** The next bytes of a streamed answer; `response` without a payload, or `error`, ends it. */
  chunk(requestId: string, content: Buffer, contentType: string): void;
  response(requestId: string, payload: Buffer, contentType: string): void;
  error(requestId: string, error: Buffer): void;
  /** The answer was over the limit; the runtime has been told, or is when it has sent the rest. */
  responseTooLarge(requestId: string, limitBytes: number): void;
  log(timestampMs: number, text: string): void;
  /** The runtime broke the protocol: the environment must go. */
  broken(error: Error): void;
}
