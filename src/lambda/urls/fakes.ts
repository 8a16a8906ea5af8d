/** For tests: a client of function URLs that names the host as a browser would and signs as the SDK does. */
import http from "node:http";
import { SignatureV4 } from "@smithy/signature-v4";
import { Sha256 } from "../../wire/fakes.ts";

export interface UrlAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface UrlRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

export interface AccessKeyPair {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** One request to a loopback port; `host` is the Host header, which no resolver is asked for. */
export function sendTo(port: number, host: string, sent: UrlRequest = {}): Promise<UrlAnswer> {
  const { method = "GET", path = "/", headers = {}, body } = sent;
  // Kept alive, so that an answer that comes before the body's end is not cut off by the connection's.
  const agent = new http.Agent({ keepAlive: true });
  const answered = new Promise<UrlAnswer>((resolve, reject) => {
    const options = { port, host: "127.0.0.1", method, path, headers: { host, ...headers }, agent };
    const request = http.request(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      );
      response.on("error", reject);
    });
    request.on("error", reject).end(body);
  });
  return answered.finally(() => agent.destroy());
}

/** The same request with a signature in its headers. */
export async function signFor(
  host: string,
  sent: UrlRequest,
  credentials: AccessKeyPair,
  service = "lambda",
): Promise<UrlRequest> {
  const { method = "GET", path = "/", headers = {}, body } = sent;
  const signer = new SignatureV4({ credentials, region: "us-east-1", service, sha256: Sha256 });
  const request = { method, protocol: "http:", hostname: host, path, headers: { host, ...headers }, body };
  return { ...sent, headers: (await signer.sign(request)).headers };
}
