/**
 * What asynchronous invocation needs to know of functions beside what they run. The control room implements it; everything
 * is in memory, so a look-up is synchronous.
 */

export interface AsynchronousSettings {
  /**
   * Names one function from its creation to its deletion: a later one of the same name has another identity, so that it
   * never gets its predecessor's events. Undefined when there is no such function. Safe in a queue's name.
   */
  identity(functionName: string): string | undefined;

  /** What becomes of events that are sent to a function under this qualifier; AWS's defaults where nothing is configured. */
  eventSettings(functionName: string, qualifier: string | undefined): EventSettings;
}

export interface EventSettings {
  /** Further attempts after a function's error: 0–2. */
  readonly retryAttemptsMax: number;
  /** An event that is older is not tried again. */
  readonly eventAgeMsMax: number;
  readonly onSuccessArn?: string;
  readonly onFailureArn?: string;
  readonly deadLetterTargetArn?: string;
  /** "Terminate": an event that comes out of a recursive loop is dropped. */
  readonly recursiveLoop: "Allow" | "Terminate";
  /** The function may not run at all: its reserved concurrency is 0. */
  readonly isSuspended: boolean;
  /** The execution role, on whose behalf records are delivered. Empty when the function is gone. */
  readonly role: string;
}
