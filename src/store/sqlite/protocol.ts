/**
 * What the store's main side and its worker thread say to each other. Requests and replies travel in arrays, one
 * message for many. Values cross as JSON text: the worker never builds them, the main side parses what somebody reads.
 * Bodies own their ArrayBuffer, which is transferred, not copied. The worker has no clock: `nowMs` comes with the request.
 */

/** Answers requests of this kind from the committed state. */
export type ReadRequest =
  | { readonly op: "get"; readonly kind: string; readonly key: string }
  | {
      readonly op: "list";
      readonly kind: string;
      readonly prefix: string;
      readonly after: string | undefined;
      /** -1: all. */
      readonly limit: number;
    }
  | { readonly op: "queueNames"; readonly prefix: string }
  | { readonly op: "stats"; readonly queue: string; readonly nowMs: number };

/** Applied in the order of their arrival, many in one transaction. */
export type WriteRequest =
  | { readonly op: "write"; readonly nowMs: number; readonly changes: readonly WireChange[] }
  | {
      readonly op: "append";
      readonly queue: string;
      readonly nowMs: number;
      readonly messages: readonly WireMessage[];
    }
  | {
      readonly op: "receive";
      readonly queue: string;
      readonly nowMs: number;
      readonly limit: number;
      readonly leaseMs: number;
    }
  | { readonly op: "acknowledge"; readonly queue: string; readonly receipts: readonly string[] }
  | {
      readonly op: "release";
      readonly queue: string;
      readonly nowMs: number;
      readonly receipt: string;
      readonly visibleAtMs: number;
      readonly body: Uint8Array<ArrayBuffer> | undefined;
    }
  | { readonly op: "recall"; readonly queue: string; readonly nowMs: number }
  | { readonly op: "clear"; readonly queue: string; readonly limit: number };

export type Request = ReadRequest | WriteRequest | { readonly op: "close" };

export type WireChange =
  | {
      readonly op: "put";
      readonly kind: string;
      readonly key: string;
      readonly json: string;
      readonly expect: number | "absent" | undefined;
    }
  | {
      readonly op: "delete";
      readonly kind: string;
      readonly key: string;
      readonly expect: number | undefined;
    }
  | {
      readonly op: "add";
      readonly kind: string;
      readonly key: string;
      readonly amounts: Readonly<Record<string, number>>;
    }
  | ({ readonly op: "enqueue"; readonly queue: string } & WireMessage);

export interface WireMessage {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly visibleAtMs: number;
}

export interface WireRecord {
  readonly key: string;
  readonly revision: number;
  readonly json: string;
}

export interface WireLease {
  readonly sequence: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly receipt: string;
  readonly receiveCount: number;
  readonly enqueuedAtMs: number;
}

/** What each request is answered with. */
export interface Results {
  get: WireRecord | undefined;
  list: WireRecord[];
  queueNames: string[];
  stats: { messages: number; visible: number; nextVisibleAtMs: number | undefined };
  write: WriteResult;
  append: number[];
  receive: WireLease[];
  acknowledge: number;
  release: boolean;
  recall: number;
  clear: number;
  close: undefined;
}

export interface WriteResult {
  readonly revision: number;
  /** One per change: the new JSON of an `add`, whether a `delete` found its record; undefined otherwise. */
  readonly effects: readonly (string | boolean | undefined)[];
}

export type WireError =
  | { readonly type: "conflict"; readonly kind: string; readonly key: string }
  | { readonly type: "invalid"; readonly message: string }
  | { readonly type: "failure"; readonly message: string; readonly hint: string | undefined };

export interface Envelope {
  readonly id: number;
  readonly request: Request;
}

export type Reply =
  | { readonly id: number; readonly result: Results[Request["op"]] }
  | { readonly id: number; readonly error: WireError };

/** First message of the worker: the database is open, or why it is not. */
export type Opening =
  | { readonly opened: true }
  | {
      readonly opened: false;
      readonly locked: boolean;
      readonly message: string;
      readonly hint: string | undefined;
    };

/** `workerData`. */
export interface WorkerSettings {
  readonly directory: string;
  readonly nowMs: number;
  /** The port that the owner serves; told to whoever finds the folder taken. */
  readonly port: number | undefined;
  /** Upper bound of the database file. */
  readonly databaseBytesMax: number;
}
