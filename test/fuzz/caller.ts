/** Sends operations with AWS's own clients, and changes what they send on its way. */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import * as cloudwatch from "@aws-sdk/client-cloudwatch";
import * as logs from "@aws-sdk/client-cloudwatch-logs";
import * as iam from "@aws-sdk/client-iam";
import * as lambda from "@aws-sdk/client-lambda";
import * as sts from "@aws-sdk/client-sts";
import type { Random } from "../../bench/trace/random.ts";
import type { HttpParts, Mutation } from "./mutations.ts";

/** A request without an answer after this time hangs. */
const ANSWER_MS_MAX = 60_000;

const PACKAGES = { cloudwatch, iam, lambda, logs, sts } as const;
export type ServiceName = keyof typeof PACKAGES;
export const SERVICES = Object.keys(PACKAGES) as ServiceName[];

/** One answer, as it came and as the client read it. */
export interface Reply {
  /** Undefined: nothing was sent, the client itself refused the input. */
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The error's name as the client tells it; "" when the answer is a success. */
  readonly code: string;
  readonly message: string;
  readonly output: Record<string, unknown>;
  /** The request as it was sent, to be repeated. */
  readonly sent: (HttpParts & { readonly signed: boolean }) | undefined;
}

export interface Endpoint {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What the SDKs' clients have in common here. */
interface Client {
  readonly middlewareStack: { clone(): unknown };
  send(command: unknown): Promise<Record<string, unknown>>;
  destroy(): void;
}

interface Command {
  readonly middlewareStack: {
    add(middleware: unknown, options: { step: string; name: string; priority: string }): void;
  };
}

type Constructor<T> = new (input: unknown) => T;

export class Caller implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  readonly #clients = new Map<ServiceName, Client>();
  readonly #endpoint: Endpoint;
  /** Of the call that is under way: there is one at a time. */
  #afterSigning: ((parts: HttpParts) => void) | undefined;
  #sent: Reply["sent"];
  #raw: { status: number; headers: IncomingHttpHeaders; text: string } | undefined;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  async call(
    service: ServiceName,
    operation: string,
    input: unknown,
    mutation?: Mutation,
    random?: Random,
  ): Promise<Reply> {
    const Command = (PACKAGES[service] as Record<string, unknown>)[`${operation}Command`];
    if (Command === undefined) throw new Error(`the client of ${service} does not know ${operation}`);
    const command = new (Command as Constructor<Command>)(input);
    const apply = mutation && random ? (parts: HttpParts) => mutation.apply(parts, random) : undefined;
    this.#afterSigning = mutation?.when === "after signing" ? apply : undefined;
    this.#raw = undefined;
    this.#sent = undefined;
    if (apply && mutation?.when === "before signing") changeBeforeSigning(command, apply);
    let [code, message, output]: [string, string, Record<string, unknown>] = ["", "", {}];
    try {
      output = await this.#client(service).send(command);
    } catch (error) {
      [code, message] = error instanceof Error ? [error.name, error.message] : ["", String(error)];
    }
    const raw = this.#raw as { status: number; headers: IncomingHttpHeaders; text: string } | undefined;
    return {
      status: raw?.status,
      headers: raw?.headers ?? {},
      text: raw?.text ?? "",
      code,
      message,
      output,
      sent: this.#sent,
    };
  }

  #client(service: ServiceName): Client {
    let client = this.#clients.get(service);
    if (!client) {
      const found = Object.entries(PACKAGES[service]).find(
        ([name]) => /^[A-Z].*Client$/.test(name) && name !== "__Client",
      );
      if (!found) throw new Error(`${service} has no client`);
      const { endpoint, region, accessKeyId, secretAccessKey } = this.#endpoint;
      client = new (found[1] as unknown as Constructor<Client>)({
        endpoint,
        region,
        credentials: { accessKeyId, secretAccessKey },
        maxAttempts: 1,
        requestHandler: { handle: (request: HttpParts) => this.#handle(request), destroy: () => undefined },
      });
      this.#clients.set(service, client);
    }
    return client;
  }

  async #handle(signed: HttpParts): Promise<{ response: unknown }> {
    const parts: HttpParts = {
      method: signed.method,
      path: signed.path,
      query: signed.query,
      headers: { ...signed.headers },
      body: asBuffer(signed.body),
    };
    this.#afterSigning?.(parts);
    this.#sent = { ...parts, signed: "authorization" in parts.headers };
    const raw = await this.#exchange(parts);
    this.#raw = {
      status: raw.status,
      headers: raw.headers,
      text: raw.body.toString("latin1").slice(0, 2000),
    };
    const headers = Object.fromEntries(
      Object.entries(raw.headers).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.join(", ") : value,
      ]),
    );
    return { response: { statusCode: raw.status, headers, body: Readable.from([raw.body]) } };
  }

  #exchange(
    parts: HttpParts,
    isAgain = false,
  ): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> {
    const { promise, resolve, reject } = Promise.withResolvers<{
      status: number;
      headers: IncomingHttpHeaders;
      body: Buffer;
    }>();
    const { hostname, port } = new URL(this.#endpoint.endpoint);
    const query = queryText(parts.query);
    const request = httpRequest({
      hostname,
      port,
      agent: isAgain ? false : this.#agent,
      method: parts.method,
      path: query === "" ? parts.path : `${parts.path}?${query}`,
      headers: parts.headers,
      timeout: ANSWER_MS_MAX,
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    // A connection that was kept may be closed by the server in the moment in which it is used again.
    request.on("error", (error) => {
      if (request.reusedSocket && !isAgain) this.#exchange(parts, true).then(resolve, reject);
      else reject(error);
    });
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.end(parts.body);
    return promise;
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.destroy();
    this.#agent.destroy();
  }
}

function changeBeforeSigning(command: Command, apply: (parts: HttpParts) => void): void {
  type Next = (args: { request: HttpParts }) => unknown;
  const middleware = (next: Next) => (args: { request: HttpParts }) => {
    const { request } = args;
    request.body = asBuffer(request.body);
    apply(request);
    if (request.headers["content-length"] !== undefined)
      request.headers["content-length"] = String(request.body?.length ?? 0);
    return next(args);
  };
  command.middlewareStack.add(middleware, { step: "build", name: "fuzz", priority: "low" });
}

function asBuffer(body: unknown): Buffer | undefined {
  if (body === undefined || body === null) return undefined;
  return typeof body === "string" ? Buffer.from(body) : Buffer.from(body as Uint8Array);
}

function queryText(query: HttpParts["query"]): string {
  return Object.entries(query)
    .flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((item) =>
        item === null ? encode(name) : `${encode(name)}=${encode(item ?? "")}`,
      ),
    )
    .join("&");
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
