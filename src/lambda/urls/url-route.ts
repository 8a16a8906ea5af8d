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
import type { MetricsSink } from "../../telemetry/metrics.ts";
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
import { runStreamed } from "../invoke/invoke-streamed.ts";
import { record, type Runner } from "../invoke/run.ts";
import { newTraceHeader } from "../invoke/trace.ts";
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import { answerOf, type UrlAnswer } from "./answer.ts";
import { corsHeaders, isPreflight, preflightHeaders } from "./cors.ts";
import { eventOf } from "./event.ts";
import { BrokenStream, readStreamed } from "./streamed.ts";
import { measureRequest } from "./url-metrics.ts";
import { urlIdOf, type FunctionUrl, type FunctionUrlDirectory } from "./function-url.ts";

export interface UrlRouteOptions {
  readonly urls: FunctionUrlDirectory;
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly runner: Runner;
  readonly meter: Pick<Meter, "record">;
  readonly metrics: MetricsSink;
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
const INTERNAL_ERROR = 500;

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
    if (!url) return await send(exchange, refusal(403, "AccessDeniedException", null), {});
    const measured = measureRequest(this.#options.metrics, this.#options.clock, url);
    let status = INTERNAL_ERROR;
    try {
      if (url.cors && isPreflight(method, headers)) {
        const answer = { status: 200, headers: preflightHeaders(url.cors, headers), cookies: [] };
        ({ status } = answer);
        return await send(exchange, { ...answer, body: Buffer.alloc(0) }, {});
      }
      const answer = await this.#answerOrRefusal(url, exchange);
      ({ status } = answer);
      await send(exchange, answer, url.cors ? corsHeaders(url.cors, headers) : {});
    } catch (error) {
      status = INTERNAL_ERROR;
      // Whoever reads sees that there was more to come; what happened is in the function's log.
      if (!(error instanceof BrokenStream)) throw error;
    } finally {
      measured(status);
    }
  }

  async #answerOrRefusal(url: FunctionUrl, exchange: Exchange): Promise<UrlAnswer> {
    try {
      return await this.#answer(url, exchange);
    } catch (error) {
      if (error instanceof AwsError) return errorAnswer(error);
      throw error;
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
    const invocation = { requestId, payload, invokedFunctionArn: url.functionArn, traceHeader };
    if (url.invokeMode === "RESPONSE_STREAM") return await this.#stream(version, invocation, exchange);
    const outcome = await runner.run(version, invocation);
    record(meter, version, outcome);
    return answerOf(outcome) ?? badGateway();
  }

  /** When the client goes, the function goes on and what it still writes is thrown away. */
  async #stream(version: FunctionVersion, invocation: Invocation, exchange: Exchange): Promise<UrlAnswer> {
    const answer = runStreamed(this.#options, version, invocation);
    const { signal } = exchange;
    if (signal.aborted) answer.abandon();
    else signal.addEventListener("abort", () => answer.abandon(), { once: true });
    return (await readStreamed(answer)) ?? badGateway();
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

/** Resolves when all of the answer was handed over. Rejects with what a stream's body threw. */
async function send(
  exchange: Exchange,
  answer: UrlAnswer,
  cors: Readonly<Record<string, string>>,
): Promise<void> {
  const headers: Record<string, string> = { ...answer.headers };
  // Where both speak both are sent, as on AWS.
  for (const [name, value] of Object.entries(cors)) {
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  const { status, cookies, body } = answer;
  if (cookies.length > 0 && !exchange.response.headersSent)
    exchange.response.setHeader("set-cookie", cookies);
  await exchange.send({ status, headers, body });
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
