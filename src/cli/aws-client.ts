/**
 * The command line's own AWS client: signed requests to the running server, in the same protocols as everybody's.
 * Small on purpose: the SDKs are not dependencies of the server.
 */
import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";
import { urlToHttpOptions } from "node:url";
import { canonicalHeaders, canonicalPath, canonicalQuery } from "../wire/sigv4-canonical.ts";
import { deriveSigningKey } from "../wire/signing-key.ts";
import { CliError, EXIT } from "./errors.ts";
import type { ServerFile } from "./server-file.ts";

export interface AwsResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

interface RequestParts {
  readonly method: string;
  /** Path with its query, encoded. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export class AwsClient {
  readonly #server: ServerFile;

  constructor(server: ServerFile) {
    this.#server = server;
  }

  /** A Lambda request: JSON in and out. Rejects with CliError in AWS's words. */
  async lambda<T>(method: string, target: string, body?: object): Promise<T> {
    const response = await this.send("lambda", {
      method,
      target,
      ...(body === undefined
        ? {}
        : { body: Buffer.from(JSON.stringify(body)), headers: { "content-type": "application/json" } }),
    });
    return (response.body.length === 0 ? {} : JSON.parse(response.body.toString("utf8"))) as T;
  }

  /** A CloudWatch Logs operation. Rejects with CliError in AWS's words. */
  async logs<T>(operation: string, input: object): Promise<T> {
    const response = await this.send("logs", {
      method: "POST",
      target: "/",
      headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `Logs_20140328.${operation}` },
      body: Buffer.from(JSON.stringify(input)),
    });
    return JSON.parse(response.body.toString("utf8")) as T;
  }

  /** Any request, signed for `service`. Rejects with CliError when the answer is an error. */
  async send(service: string, parts: RequestParts): Promise<AwsResponse> {
    const response = await this.#exchange(service, parts);
    if (response.status < 400) return response;
    throw answerError(response);
  }

  #exchange(
    service: string,
    { method, target, headers = {}, body = Buffer.alloc(0) }: RequestParts,
  ): Promise<AwsResponse> {
    const { endpoint } = this.#server;
    const url = new URL(endpoint);
    const signed = this.#sign(service, { method, target, body, headers: { ...headers, host: url.host } });
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        {
          ...urlToHttpOptions(url),
          method,
          path: target,
          headers: { ...signed, "content-length": body.length },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks),
            }),
          );
          response.on("error", reject);
        },
      );
      request.on("error", (error) => reject(noServer(endpoint, error)));
      request.end(body);
    });
  }

  #sign(service: string, parts: Required<RequestParts>): Record<string, string> {
    const { region, accessKeyId, secretAccessKey } = this.#server;
    const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
    const date = time.slice(0, 8);
    const payloadHash = createHash("sha256").update(parts.body).digest("hex");
    const headers: Record<string, string> = {
      ...parts.headers,
      "x-amz-date": time,
      "x-amz-content-sha256": payloadHash,
    };
    const names = Object.keys(headers).sort();
    const [path = "/", query = ""] = parts.target.split("?", 2);
    const canonical = [
      parts.method,
      canonicalPath(path, { isS3: false, normalise: true }),
      canonicalQuery(query),
      canonicalHeaders(names, headers),
      names.join(";"),
      payloadHash,
    ].join("\n");
    const scope = `${date}/${region}/${service}/aws4_request`;
    const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${createHash("sha256").update(canonical).digest("hex")}`;
    const signature = deriveSigningKey(secretAccessKey, { date, region, service }).sign(toSign);
    headers["authorization"] =
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
    return headers;
  }
}

function answerError({ status, headers, body }: AwsResponse): CliError {
  let message = body.toString("utf8").trim();
  let code = headers["x-amzn-errortype"];
  try {
    const parsed = JSON.parse(message) as { Message?: string; message?: string; __type?: string };
    message = parsed.Message ?? parsed.message ?? message;
    code ??= parsed.__type;
  } catch {
    // Not JSON: the text itself is the best there is to tell.
  }
  const name = typeof code === "string" ? code.replace(/^.*#|:.*$/g, "") : `HTTP ${status}`;
  return new CliError(`${name}: ${message}`, { awsCode: name });
}

function noServer(endpoint: string, cause: Error): CliError {
  return new CliError(`no server answers at ${endpoint} (${cause.message})`, {
    hint: "Start it with: npm start",
    exitCode: EXIT.noServer,
    cause,
  });
}
