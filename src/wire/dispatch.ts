/**
 * From a request to its handler and back: route → match → (body) → signature → decode → authorise → handler → encode.
 * The path of a small signed request is synchronous up to the handler's own promise, unless more come in a turn than it takes.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { AwsError } from "../errors.ts";
import type { Authorizer } from "../iam/authorizer.ts";
import { rootPrincipal } from "../iam/credentials.ts";
import type { Principal } from "../iam/principal.ts";
import { coerceError } from "../kernel/deferred.ts";
import { Turns } from "../kernel/turns.ts";
import type { Logger } from "../telemetry/logger.ts";
import { decodeAwsChunked, isAwsChunked } from "./aws-chunked.ts";
import { ANONYMOUS, Exchange } from "./exchange.ts";
import { isLoopback } from "./listener.ts";
import { assertLocalOrigin } from "./local-origin.ts";
import type { Match, Protocols, WireResponse } from "./protocol.ts";
import { BodyReader, type BodyReceiver } from "./read-body.ts";
import type { Service } from "./service.ts";
import { signatureDialect, signatureError } from "./sigv4-errors.ts";
import type { SignatureVerifier } from "./sigv4.ts";
import { SignatureParts } from "./sigv4-parts.ts";

/** Plain HTTP beside the models: code downloads, health, function URLs. Looked at before everything else; not authenticated. */
export interface Route {
  /** Start of the path: `/_hornero/health`; empty for every path. */
  readonly prefix: string;
  /** Whether the route answers for a Host header; left out: for each. On the path of every request. */
  takesHost?(host: string): boolean;
  handle(request: IncomingMessage, response: ServerResponse, exchange: Exchange): void | Promise<void>;
}

export interface DispatcherOptions {
  readonly protocols: Protocols;
  readonly services: readonly Service[];
  readonly verifier: SignatureVerifier;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
  /** Of this server. Clients may sign for any region: there is one server behind all of them. */
  readonly region: string;
  readonly accountId: string;
  /**
   * "none": whoever connects to a loopback address is the root of the account. Connections to any other address (the
   * environments' network) are verified all the same: functions have credentials.
   */
  readonly auth: "sigv4" | "none";
  readonly routes?: readonly Route[];
  /** Shared with routes that collect bodies, so that one bound holds for all; its own when left out. */
  readonly bodies?: BodyReader;
}

/** aws-chunked bodies are longer than what they carry: room for the chunks' first lines, and for trailers. */
const CHUNKED_OVERHEAD_RATIO = 1 / 8;
const CHUNKED_OVERHEAD_BYTES = 64 * 1024;

/**
 * Requests that are verified, decoded and handed over in one turn of the event loop. Of many that lie in the sockets together
 * the others wait for the next one: a turn is about a millisecond, whatever comes at once, and answers go out in between.
 */
const REQUESTS_PER_TURN = 4;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #handlers: ReadonlyMap<string, Service["operations"]>;
  readonly #routes: readonly Route[];
  readonly #bodies: BodyReader;
  readonly #turns = new Turns(REQUESTS_PER_TURN);
  readonly #root: Principal;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#handlers = new Map(options.services.map(({ model, operations }) => [model, operations]));
    this.#routes = options.routes ?? [];
    this.#bodies = options.bodies ?? new BodyReader();
    this.#root = rootPrincipal(options.accountId);
  }

  /** Serves one request; a RequestListener. Never throws. */
  readonly handle = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
    const exchange = new Exchange(request, response, this.#options.region, this.#options.accountId);
    try {
      for (const route of this.#routes) {
        if (exchange.path.startsWith(route.prefix) && takesHost(route, exchange)) {
          this.#handleRoute(route, exchange, expectsContinue);
          return;
        }
      }
      this.#start(exchange, expectsContinue);
    } catch (error) {
      this.#fail(exchange, error);
    }
  };

  /** All that the head decides; then the body is awaited. */
  #start(exchange: Exchange, expectsContinue: boolean): void {
    const parts = SignatureParts.find(exchange.headers, exchange.query);
    const match = this.#options.protocols.match(exchange, parts?.signingName);
    if (!match) {
      this.#answer(exchange, this.#unknownOperation(exchange));
      return;
    }
    exchange.match = match;
    this.#authenticateHead(exchange, match, parts);
    const chunked = isAwsChunked(exchange.headers);
    const bytesMax = chunked
      ? match.bodyBytesMax * (1 + CHUNKED_OVERHEAD_RATIO) + CHUNKED_OVERHEAD_BYTES
      : match.bodyBytesMax;
    this.#bodies.read(exchange.request, bytesMax, this.#receiver(exchange, match, expectsContinue));
  }

  #authenticateHead(exchange: Exchange, match: Match, parts: SignatureParts | undefined): void {
    if (this.#options.auth === "none" && isLoopback(exchange.request.socket.localAddress)) {
      assertLocalOrigin(exchange.headers);
      exchange.principal = this.#root;
      return;
    }
    // A form without a signature: whether it needs one is known when the form is.
    if (parts === undefined && (match.operation === "" || mayBeUnsigned(match))) return;
    exchange.signed = this.#options.verifier.begin(parts, exchange, match);
  }

  #receiver(exchange: Exchange, match: Match, expectsContinue: boolean): BodyReceiver {
    return {
      onAwait: () => {
        if (expectsContinue) exchange.response.writeContinue();
      },
      onBody: (body) => {
        exchange.body = body;
        exchange.received = true;
        this.#turns.run(() => {
          try {
            this.#run(exchange, match);
          } catch (error) {
            this.#fail(exchange, error);
          }
        });
      },
      onBodyTooLarge: () => this.#fail(exchange, tooLarge(match)),
      onBodyRefused: (error) => this.#fail(exchange, error),
    };
  }

  #run(exchange: Exchange, found: Match): void {
    const { protocols, authorizer } = this.#options;
    this.#authenticateBody(exchange, found);
    const match = protocols.resolve(found, exchange);
    if (!match) throw invalidAction(exchange.body);
    exchange.match = match;
    if (exchange.principal === ANONYMOUS && !mayBeUnsigned(match)) {
      throw signatureError(signatureDialect(match), "missing");
    }
    const handler = this.#handlers.get(match.service)?.[match.operation];
    if (!handler) throw unsupported(match);
    const input = protocols.decode(match, exchange);
    if (match.auth !== "none") authorizer.authorize(exchange.principal, match, input, exchange);
    const output: unknown = handler(input, exchange);
    if (output instanceof Promise) {
      output.then(
        (value: Record<string, unknown>) => this.#succeed(exchange, match, value),
        (error: unknown) => this.#fail(exchange, error),
      );
    } else {
      this.#succeed(exchange, match, output as Record<string, unknown>);
    }
  }

  #authenticateBody(exchange: Exchange, match: Match): void {
    const { signed } = exchange;
    if (signed) {
      signed.verify(exchange.body, match.auth === "unsigned-body");
      exchange.principal = signed.credential.principal;
    }
    if (!isAwsChunked(exchange.headers)) return;
    const plain = decodeAwsChunked(exchange.headers, exchange.body, signed?.chunkSigner());
    if (plain.body.length > match.bodyBytesMax) throw tooLarge(match);
    exchange.body = plain.body;
    exchange.headers = plain.headers;
  }

  #succeed(exchange: Exchange, match: Match, output: Record<string, unknown>): void {
    try {
      this.#answer(exchange, this.#options.protocols.encode(match, output, exchange.requestId));
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  /** Answers an error; what is not an AwsError is a fault of ours, and stays between us and the log. */
  #fail(exchange: Exchange, thrown: unknown): void {
    const { protocols, logger } = this.#options;
    const { match, requestId, response } = exchange;
    const error = thrown instanceof AwsError ? thrown : internalFailure(match, thrown);
    if (!(thrown instanceof AwsError)) {
      const { service, operation } = match ?? { service: undefined, operation: undefined };
      logger.error("a request failed", { requestId, service, operation, error: coerceError(thrown) });
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    try {
      this.#answer(exchange, protocols.encodeError(match, error, requestId));
    } catch (second) {
      logger.error("an error could not be encoded", { requestId, error: coerceError(second) });
      response.destroy();
    }
  }

  #answer(exchange: Exchange, answer: WireResponse): void {
    const streamed = exchange.send(answer);
    streamed?.catch((error: unknown) => {
      const { requestId } = exchange;
      this.#options.logger.error("a streamed answer broke", { requestId, error: coerceError(error) });
    });
  }

  #handleRoute(route: Route, exchange: Exchange, expectsContinue: boolean): void {
    const { request, response } = exchange;
    response.setHeader("x-amzn-RequestId", exchange.requestId);
    if (expectsContinue) response.writeContinue();
    const handled = route.handle(request, response, exchange);
    if (handled) handled.catch((error: unknown) => this.#fail(exchange, error));
  }

  /** X-Amz-Target services say so in their own form; for all others AWS has one body, whatever the protocol. */
  #unknownOperation(exchange: Exchange): WireResponse {
    const { requestId } = exchange;
    if (exchange.headers["x-amz-target"] !== undefined) {
      const error = new AwsError("UnknownOperationException", "The operation is unknown.", { status: 400 });
      return this.#options.protocols.encodeError(undefined, error, requestId);
    }
    const body = Buffer.from("<UnknownOperationException/>\n");
    return { status: 404, headers: { "x-amzn-RequestId": requestId }, body };
  }
}

function takesHost(route: Route, exchange: Exchange): boolean {
  return route.takesHost === undefined || route.takesHost(exchange.headers["host"] ?? "");
}

/** An unsigned request to S3 is an anonymous one: its policies decide. Elsewhere only the model can allow it. */
function mayBeUnsigned(match: Match): boolean {
  return match.auth === "none" || match.service === "s3";
}

function invalidAction(body: Buffer): AwsError {
  const form = new URLSearchParams(body.toString());
  const message = `Could not find operation ${form.get("Action")} for version ${form.get("Version")}`;
  return new AwsError("InvalidAction", message, { status: 400 });
}

function unsupported({ service, operation }: Match): AwsError {
  const message = `Hornero does not implement the operation ${operation} of ${service}.`;
  return new AwsError("UnsupportedOperation", message, { status: 501 });
}

function tooLarge({ service, operation, bodyBytesMax }: Match): AwsError {
  if (service === "s3") {
    const message = "Your proposed upload exceeds the maximum allowed size";
    return new AwsError("EntityTooLarge", message, { status: 400 });
  }
  // Lambda's front calls Invoke by the name of its IAM action.
  const name = service === "lambda" && operation === "Invoke" ? "InvokeFunction" : operation;
  const message = `Request must be smaller than ${bodyBytesMax} bytes for the ${name} operation`;
  return new AwsError("RequestEntityTooLargeException", message, { status: 413 });
}

function internalFailure(match: Match | undefined, cause: unknown): AwsError {
  const code = match?.service === "lambda" ? "ServiceException" : "InternalFailure";
  return new AwsError(code, "An internal error occurred.", { status: 500, cause });
}
