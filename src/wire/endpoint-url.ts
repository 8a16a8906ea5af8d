import { isIPv6 } from "node:net";

/** Addresses that mean "every interface": one listens on them but does not connect to them. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Where a client on this machine reaches a listener: `http://127.0.0.1:4566`, `http://[::1]:4566`. */
export function endpointUrl(host: string, port: number): string {
  const address = LOOPBACK_OF[host] ?? host;
  return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`;
}
