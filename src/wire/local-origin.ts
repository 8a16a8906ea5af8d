import { accessDenied } from "../errors.ts";
import { isLoopback } from "./listener.ts";

/**
 * With `--auth none`, a page from the internet in a browser on this machine must not become the root of the account: its
 * requests reach loopback too. A browser names the page in Origin, and a name that was bent to point here (DNS
 * rebinding) stands in Host; both must be of this machine. Throws AwsError AccessDenied.
 */
export function assertLocalOrigin(headers: Readonly<Record<string, string>>): void {
  const { host, origin } = headers;
  if (host !== undefined && !isLocalName(host)) {
    throw accessDenied(
      `Requests are not authenticated here, so they must be for localhost, not for ${host}.`,
    );
  }
  const page = origin === undefined ? undefined : /^https?:\/\/([^/]+)$/.exec(origin)?.[1];
  if (origin !== undefined && (page === undefined || !isLocalName(page))) {
    throw accessDenied("Requests are not authenticated here, so pages of other origins may not make them.");
  }
}

/** `localhost`, `bucket.localhost` (which resolvers keep on this machine, RFC 6761), `127.0.0.1`, `[::1]`; a port may follow. */
function isLocalName(authority: string): boolean {
  const name = authority.toLowerCase().replace(/:\d+$/, "");
  return name.endsWith(".localhost") || isLoopback(name.replace(/^\[(.*)\]$/, "$1"));
}
