/** Fetches identity providers' key sets by OpenID Connect discovery: configuration first, then the keys it names. */
import type { JsonWebKey } from "node:crypto";
import type { KeySetFetcher } from "./web-identity.ts";

const TIMEOUT_MS = 5000;
const ANSWER_BYTES_MAX = 256 * 1024;
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/;

/** Providers are asked by https, but for those on this very machine. */
export const keySetFetcher: KeySetFetcher = {
  async fetch(providerUrl) {
    const scheme = LOOPBACK.test(providerUrl) ? "http" : "https";
    const configuration = await getJson(`${scheme}://${providerUrl}/.well-known/openid-configuration`);
    const { jwks_uri: location } = configuration as { jwks_uri?: unknown };
    if (typeof location !== "string" || (scheme === "https" && !location.startsWith("https://")))
      throw new Error("the provider's configuration names no key set");
    const { keys } = (await getJson(location)) as { keys?: unknown };
    if (!Array.isArray(keys)) throw new Error("the provider's key set has no keys");
    return { keys: keys as JsonWebKey[] };
  },
};

async function getJson(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: "error" });
  if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`${url} answered too much`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}
