/** GetFunction's Code.Location: a URL that downloads the zip for ten minutes, signed, without credentials. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../kernel/clock.ts";
import { BlobNotFound, type BlobContent, type BlobStore } from "../../store/blobs/blobs.ts";
import type { WireResponse } from "../../wire/protocol.ts";

/** Where the listener hands paths to `CodeUrls.download`. */
export const CODE_PATH_PREFIX = "/_hornero/code/";
/** As on AWS [GetFunction API: "valid for 10 minutes"]. */
const VALID_S = 600;
const PATH_PATTERN = /^\/_hornero\/code\/([0-9a-f]{64})\.zip$/;

export class CodeUrls {
  readonly #secret: string | Uint8Array;
  readonly #clock: Clock;
  readonly #blobs: BlobStore;

  /** Every node behind one endpoint needs the same secret. */
  constructor(options: { secret: string | Uint8Array; clock: Clock; blobs: BlobStore }) {
    this.#secret = options.secret;
    this.#clock = options.clock;
    this.#blobs = options.blobs;
  }

  /** `endpoint` is `scheme://host:port` as the client addressed the server. */
  make(endpoint: string, sha256Hex: string): string {
    const expires = Math.floor(this.#clock.nowMs() / 1000) + VALID_S;
    const signature = this.#sign(sha256Hex, String(expires)).toString("hex");
    return `${endpoint}${CODE_PATH_PREFIX}${sha256Hex}.zip?expires=${expires}&signature=${signature}`;
  }

  /** Answers a GET of such a URL: 200 with the zip; 403 when the signature is wrong or its time is over; 404 for other paths and for code that has gone. */
  async download(path: string, query: string): Promise<WireResponse> {
    const [, sha256Hex] = PATH_PATTERN.exec(path) ?? [];
    if (sha256Hex === undefined) return refuse(404, "NoSuchKey", "The specified key does not exist.");
    const parameters = new URLSearchParams(query);
    const expires = parameters.get("expires") ?? "";
    const signature = Buffer.from(parameters.get("signature") ?? "", "hex");
    const expected = this.#sign(sha256Hex, expires);
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
      return refuse(403, "SignatureDoesNotMatch", "The request signature does not match.");
    }
    if (this.#clock.nowMs() > Number(expires) * 1000) {
      return refuse(403, "AccessDenied", "Request has expired");
    }
    const content = await this.#open(sha256Hex);
    if (!content) return refuse(404, "NoSuchKey", "The specified key does not exist.");
    const headers = { "content-type": "application/zip", "content-length": String(content.sizeBytes) };
    return { status: 200, headers, body: content.stream };
  }

  /** Undefined when the code was replaced, and removed, since the URL was made. */
  async #open(sha256Hex: string): Promise<BlobContent | undefined> {
    try {
      return await this.#blobs.open(sha256Hex);
    } catch (error) {
      if (error instanceof BlobNotFound) return undefined;
      throw error;
    }
  }

  #sign(sha256Hex: string, expires: string): Buffer {
    return createHmac("sha256", this.#secret).update(`${sha256Hex}\n${expires}`).digest();
  }
}

function refuse(status: number, code: string, message: string): WireResponse {
  const body = Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  );
  return { status, headers: { "content-type": "application/xml" }, body };
}
