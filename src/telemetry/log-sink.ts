/**
 * Where the platform writes log events of functions: a port, because the rooms of lambda/ may not know the service that
 * stores them.
 */

export interface LogEvent {
  /** When it happened, milliseconds since the Unix epoch. */
  readonly timestampMs: number;
  /** UTF-8 text without a final newline, at most LOG_EVENT_BYTES_MAX bytes long; what is longer is cut into several events. */
  readonly message: string;
}

/** Is told what a group takes, before it is written. It must neither throw nor wait: it is on the path of every line. */
export type LogObserver = (group: string, events: readonly LogEvent[]) => void;

export interface LogSink {
  /**
   * Takes a batch for a stream. Group and stream come into being with their first event; the group then has no retention
   * policy. Returns at once: encoding and writing happen later, off the caller's path.
   *
   * False: the sink holds as much as it may, and the batch was NOT taken. Wait for drained(), then try again. A batch is
   * taken whole or not at all, and an idle sink takes a batch of any size. Events of a stream keep their order.
   *
   * What was taken and written (within 50 ms, as a rule) survives a crash of the process.
   */
  append(group: string, stream: string, events: readonly LogEvent[]): boolean;
  /** Resolves when the sink is half empty again, at once when it is; also when the sink is closed. Never rejects. */
  drained(): Promise<void>;
}
