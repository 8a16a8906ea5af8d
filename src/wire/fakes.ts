/**
 * For tests and benchmarks: a small stand-in for the model-driven protocols, with one made-up service of the operations
 * that the listener's own behaviour needs, and a server around it on a free loopback port.
 */
import { createHash, createHmac } from "node:crypto";
import type { AddressInfo } from "node:net";
import { AwsError } from "../errors.ts";
import { allowAuthenticated } from "../iam/authorizer.ts";
import { CredentialStore } from "../iam/credentials.ts";
import { systemClock, type Clock } from "../kernel/clock.ts";
import { MemoryStore } from "../store/memory.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { Dispatcher, type DispatcherOptions } from "./dispatch.ts";
import { Listener, type ListenerOptions } from "./listener.ts";
import type { Match, Protocols, WireResponse } from "./protocol.ts";
import type { Service } from "./service.ts";
import { SignatureVerifier } from "./sigv4.ts";

const INVOKE = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;

/** STS: forms that name their operation in the body; the input is empty, an output is XML text. */
const STS_ACTIONS: Readonly<Record<string, Pick<Match, "auth">>> = {
  GetCallerIdentity: {},
  AssumeRoleWithWebIdentity: { auth: "none" },
};

const fakeSts: Protocols = {
  match: () => ({ service: "sts", operation: "", protocol: "awsQuery", labels: {}, bodyBytesMax: 10_000 }),
  resolve(match, { body }) {
    const action = new URLSearchParams(body.toString()).get("Action") ?? "";
    const known = STS_ACTIONS[action];
    return known && { ...match, ...known, operation: action };
  },
  decode: () => ({}),
  encode: ({ operation }, { xml }, requestId) => ({
    status: 200,
    headers: { "x-amzn-RequestId": requestId, "content-type": "text/xml" },
    body: Buffer.from(
      `<${operation}Response><${operation}Result>${String(xml)}</${operation}Result></${operation}Response>`,
    ),
  }),
  encodeError: (_match, { code, status, message }, requestId) => ({
    status,
    headers: { "x-amzn-RequestId": requestId, "content-type": "text/xml" },
    body: Buffer.from(
      `<ErrorResponse><Error><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`,
    ),
  }),
};

/**
 * Lambda's Invoke, GetAccountSettings and (without a handler) ListFunctions; `/open` needs no signature. The input is
 * `{ FunctionName, Payload }`; an output has `Payload` (a Buffer or an iterable of Buffers) or becomes JSON. Forms are STS's.
 */
export function fakeProtocols(bodyBytesMax = 1024 * 1024): Protocols {
  const matchOf = (operation: string, labels: Record<string, string> = {}): Match => ({
    service: "lambda",
    operation,
    protocol: "restJson1",
    labels,
    bodyBytesMax,
    ...(operation === "Open" ? { auth: "none" as const } : {}),
  });
  return {
    match(head, signingName) {
      const { method, path } = head;
      if (head.headers["content-type"]?.startsWith("application/x-www-form-urlencoded")) {
        return fakeSts.match(head, signingName);
      }
      const invoke = method === "POST" ? INVOKE.exec(path) : null;
      if (invoke) return matchOf("Invoke", { FunctionName: invoke[1] ?? "" });
      if (path === "/2016-08-19/account-settings") return matchOf("GetAccountSettings");
      if (path === "/2015-03-31/functions") return matchOf("ListFunctions");
      return path === "/open" ? matchOf("Open") : undefined;
    },
    resolve: (match, request) => (match.service === "sts" ? fakeSts.resolve(match, request) : match),
    decode: (match, request) => ({ ...match.labels, Payload: request.body }),
    encode(match, output, requestId): WireResponse {
      if (match.service === "sts") return fakeSts.encode(match, output, requestId);
      const headers = { "x-amzn-RequestId": requestId, "content-type": "application/json" };
      const { Payload, ...members } = output;
      const body = Payload as WireResponse["body"] | undefined;
      return { status: 200, headers, body: body ?? Buffer.from(JSON.stringify(members)) };
    },
    encodeError(match, error, requestId): WireResponse {
      if (match?.service === "sts") return fakeSts.encodeError(match, error, requestId);
      const headers = {
        "x-amzn-RequestId": requestId,
        "x-amzn-errortype": error.code,
        "content-type": "application/json",
      };
      const body = Buffer.from(JSON.stringify({ message: error.message, ...error.members }));
      return { status: error.status, headers, body };
    },
  };
}

/** What the SDK's own signer hashes with. */
export class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash =
      secret === undefined
        ? createHash("sha256")
        : createHmac("sha256", typeof secret === "string" ? secret : Buffer.from(secret as ArrayBuffer));
  }
  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {}
}

export interface FakeServer extends AsyncDisposable {
  readonly endpoint: string;
  readonly port: number;
  readonly listener: Listener;
  readonly credentials: CredentialStore;
  /** The root's access key. */
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A server with an in-memory store; `await using` closes it. */
export async function startFakeServer(
  operations: Service["operations"],
  options: Partial<DispatcherOptions> & {
    clock?: Clock;
    listener?: Partial<Omit<ListenerOptions, "handle">>;
  } = {},
): Promise<FakeServer> {
  const { clock = systemClock, listener: listenerOptions, ...dispatcherOptions } = options;
  const accountId = "000000000000";
  const store = new MemoryStore(clock);
  const { credentials, created } = await CredentialStore.open(store, { accountId, clock });
  if (!created) throw new AwsError("InternalFailure", "a new store has a root key already", { status: 500 });
  const dispatcher = new Dispatcher({
    protocols: fakeProtocols(),
    services: ["lambda", "sts"].map((model) => ({ model, operations })),
    verifier: new SignatureVerifier({ credentials, clock }),
    authorizer: allowAuthenticated,
    logger: silentLogger,
    region: "us-east-1",
    accountId,
    auth: "sigv4",
    ...dispatcherOptions,
  });
  const listener = new Listener({
    handle: dispatcher.handle,
    clock: systemClock,
    logger: silentLogger,
    ...listenerOptions,
  });
  const { port }: AddressInfo = await listener.listen(0, "127.0.0.1");
  return {
    endpoint: `${listenerOptions?.tls ? "https" : "http"}://127.0.0.1:${port}`,
    port,
    listener,
    credentials,
    accessKeyId: created.accessKeyId,
    secretAccessKey: created.secretAccessKey,
    async [Symbol.asyncDispose]() {
      await listener.close(0);
      credentials.close();
      await store.close();
    },
  };
}
