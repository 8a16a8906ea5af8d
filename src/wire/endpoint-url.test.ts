// Goal: what the server tells about its place is a URL that clients on this machine can use.
// Method: listen on each kind of address and fetch from the URL.
import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { endpointUrl } from "./endpoint-url.ts";

describe("endpointUrl", () => {
  for (const [host, expected] of [
    ["127.0.0.1", "http://127.0.0.1:4566"],
    ["localhost", "http://localhost:4566"],
    ["192.0.2.7", "http://192.0.2.7:4566"],
    ["0.0.0.0", "http://127.0.0.1:4566"],
    ["::1", "http://[::1]:4566"],
    ["::", "http://[::1]:4566"],
    ["2001:db8::7", "http://[2001:db8::7]:4566"],
  ] as const) {
    it(`is ${expected} for ${host}`, () => assert.equal(endpointUrl(host, 4566), expected));
  }

  for (const host of ["127.0.0.1", "0.0.0.0", "::1", "::"]) {
    it(`reaches what listens on ${host}`, async (t) => {
      const server = createServer((socket) => void socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
      const failed = await new Promise<Error | undefined>((resolve) => {
        server.once("error", resolve);
        server.listen(0, host, () => resolve(undefined));
      });
      if (failed) return t.skip(`this machine has no ${host}: ${failed.message}`);
      try {
        const answer = await fetch(endpointUrl(host, (server.address() as AddressInfo).port));
        assert.equal(answer.status, 204);
      } finally {
        server.close();
      }
    });
  }
});
