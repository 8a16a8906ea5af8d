/**
 * Serves function URLs: host name → URL → (preflight) → leave → body → signature → event → invocation → answer.
 *
 * AuthType NONE means that nobody has to sign; the function's resource policy must still let everybody in. With AWS_IAM the
 * request is signed for the service `lambda`. Both need lambda:InvokeFunctionUrl and lambda:InvokeFunction, as on AWS since
 * October 2025 [docs: urls-auth].
 */
import { accessDenied, AwsError, requestTooLarge } from "../../errors.ts";
import type { AccessControl } from "../../iam/access-control.ts";
import { rootPrincipal } from "../../iam/credentials.ts";
import type { Principal } from "../../iam/principal.ts";
import type { Clock } from "../../kernel/clock.ts";
import { INVOKE_REQUEST_BYTES_MAX } from "../../limits.ts";
import type { Route } from "../../wire/dispatch.ts";
import { ANONYMOUS, type Exchange } from "../../wire/exchange.ts";
import { isLoopback } from "../../wire/listener.ts";
import { assertLocalOrigin } from "../../wire/local-origin.ts";
import type { Match } from "../../wire/protocol.ts";
import type { BodyReader } from "../../wire/read-body.ts";
import { signatureError } from "../../wire/sigv4-errors.ts";
import { SignatureParts } from "../../wire/sigv4-parts.ts";
import type { Signed, SignatureVerifier } from "../../wire/sigv4.ts";
import type { FunctionDirectory } from "../invoke/directory.ts";
import { record, type Runner } from "../invoke/run.ts";
import { newTraceHeader } from "../invoke/trace.ts";
import type { Meter } from "../metering/meter.ts";
import { answerOf, type UrlAnswer } from "./answer.ts";
import { corsHeaders, isPreflight, preflightHeaders } from "./cors.ts";
import { eventOf } from "./event.ts";
import { urlIdOf, type FunctionUrl, type FunctionUrlDirectory } from "./function-url.ts";

export interface UrlRouteOptions {
  readonly urls: FunctionUrlDirectory;
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly runner: Runner;
  readonly meter: Pick<Meter, "record">;
  readonly access: Pick<AccessControl, "may">;
  readonly verifier: SignatureVerifier;
  readonly bodies: BodyReader;
  readonly clock: Clock;
  /** "none": whoever connects to loopback is the root of the account where a signature would be wanted. */
  readonly auth: "sigv4" | "none";
}

/** What signatures are judged as. */
const MATCH: Match = {
  service: "lambda",
  operation: "InvokeFunctionUrl",
  protocol: "restJson1",
  labels: {},
  bodyBytesMax: INVOKE_REQUEST_BYTES_MAX,
};
const TOO_MANY = 429;

export function createUrlRoute(options: UrlRouteOptions): Route {
  const server = new UrlServer(options);
  return {
    prefix: "",
    takesHost: (host) => urlIdOf(host) !== undefined,
    handle: (_request, _response, exchange) => server.serve(exchange),
  };
}

class UrlServer {
  readonly #options: UrlRouteOptions;

  constructor(options: UrlRouteOptions) {
    this.#options = options;
  }

  /** Answers the request. Rejects with faults of ours alone. */
  async serve(exchange: Exchange): Promise<void> {
    const { method, headers } = exchange;
    const url = this.#options.urls.find(urlIdOf(headers["host"] ?? "") ?? "");
    if (!url) return send(exchange, refusal(403, "AccessDeniedException", null), {});
    if (url.cors && isPreflight(method, headers)) {
      const answer = { status: 200, headers: preflightHeaders(url.cors, headers), cookies: [] };
      return send(exchange, { ...answer, body: Buffer.alloc(0) }, {});
    }
    const cors = url.cors ? corsHeaders(url.cors, headers) : {};
    try {
      send(exchange, await this.#answer(url, exchange), cors);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      send(exchange, errorAnswer(error), cors);
    }
  }

  async #answer(url: FunctionUrl, exchange: Exchange): Promise<UrlAnswer> {
    const caller = await this.#admit(url, exchange);
    const { directory, runner, meter, clock } = this.#options;
    const receivedMs = clock.nowMs();
    const traceHeader = exchange.header("x-amzn-trace-id") ?? newTraceHeader(receivedMs);
    const { requestId, method, path, query, headers, body, sourceIp, endpoint } = exchange;
    const protocol = `HTTP/${exchange.request.httpVersion}`;
    const seen = { requestId, method, path, query, headers, body, sourceIp, endpoint };
    const payload = eventOf(url, { ...seen, protocol, traceHeader, receivedMs }, caller);
    if (payload.length > INVOKE_REQUEST_BYTES_MAX) throw tooLarge();
    const version = directory.resolve(url.functionName, url.qualifier);
    exchange.response.setHeader("x-amzn-trace-id", traceHeader);
    const invokedFunctionArn = url.functionArn;
    const outcome = await runner.run(version, { requestId, payload, invokedFunctionArn, traceHeader });
    record(meter, version, outcome);
    return answerOf(outcome, url.invokeMode) ?? badGateway();
  }

  /**
   * Reads the body of a request that may come in; the answer is who signed it, undefined where nobody has to. Throws
   * AwsError. Nothing is collected from whom the head already refuses.
   */
  async #admit(url: FunctionUrl, exchange: Exchange): Promise<Principal | undefined> {
    if (url.authType === "NONE") {
      this.#assertAllowed(url, ANONYMOUS, exchange);
      exchange.body = await this.#readBody(exchange);
      return undefined;
    }
    const signed = this.#begin(exchange);
    exchange.body = await this.#readBody(exchange);
    signed?.verify(exchange.body, false);
    const principal = signed?.credential.principal ?? rootPrincipal(exchange.accountId);
    this.#assertAllowed(url, principal, exchange);
    return principal;
  }

  /** The signature, to be verified with the body; undefined where none is wanted. */
  #begin(exchange: Exchange): Signed | undefined {
    if (this.#options.auth === "none" && isLoopback(exchange.request.socket.localAddress)) {
      assertLocalOrigin(exchange.headers);
      return undefined;
    }
    const parts = SignatureParts.find(exchange.headers, exchange.query);
    if (!parts) throw accessDenied("Forbidden");
    const signed = this.#options.verifier.begin(parts, exchange, MATCH);
    if (signed.scope.service !== MATCH.service) {
      const detail = `Credential should be scoped to correct service: '${MATCH.service}'. `;
      throw signatureError("rest", "misscoped", detail);
    }
    return signed;
  }

  #assertAllowed(url: FunctionUrl, principal: Principal, exchange: Exchange): void {
    const resource = url.functionArn;
    const accesses = [
      {
        action: "lambda:InvokeFunctionUrl",
        resource,
        keys: { "lambda:functionurlauthtype": [url.authType], "lambda:functionarn": [resource] },
      },
      { action: "lambda:InvokeFunction", resource, keys: { "lambda:invokedviafunctionurl": ["true"] } },
    ];
    for (const access of accesses) {
      if (!this.#options.access.may(principal, access, exchange).allowed) throw accessDenied("Forbidden");
    }
  }

  #readBody(exchange: Exchange): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#options.bodies.read(exchange.request, INVOKE_REQUEST_BYTES_MAX, {
        onAwait() {},
        onBody(body) {
          exchange.received = true;
          resolve(body);
        },
        onBodyTooLarge: () => reject(tooLarge()),
        onBodyRefused: reject,
      });
    });
  }
}

function send(exchange: Exchange, answer: UrlAnswer, cors: Readonly<Record<string, string>>): void {
  const headers: Record<string, string> = { ...answer.headers };
  // Where both speak both are sent, as on AWS.
  for (const [name, value] of Object.entries(cors)) {
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  const { status, cookies, body } = answer;
  if (cookies.length > 0 && !exchange.response.headersSent)
    exchange.response.setHeader("set-cookie", cookies);
  void exchange.send({ status, headers, body });
}

/** Why the function was not invoked. What is the platform's or the function's fault is no caller's business. */
function errorAnswer({ code, status, message, members }: AwsError): UrlAnswer {
  if (status >= 500) return badGateway();
  return refusal(status, code, message, status === TOO_MANY ? members : {});
}

function refusal(status: number, code: string, message: string | null, more: object = {}): UrlAnswer {
  const headers = { "content-type": "application/json", "x-amzn-errortype": code };
  return { status, headers, cookies: [], body: Buffer.from(JSON.stringify({ Message: message, ...more })) };
}

function badGateway(): UrlAnswer {
  const headers = { "content-type": "application/json" };
  return { status: 502, headers, cookies: [], body: Buffer.from("Internal Server Error") };
}

function tooLarge(): AwsError {
  return requestTooLarge(
    `Request must be smaller than ${INVOKE_REQUEST_BYTES_MAX} bytes for the InvokeFunction operation`,
  );
}
