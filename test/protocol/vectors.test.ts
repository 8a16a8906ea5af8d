/**
 * Goal: the protocol layer speaks AWS's protocols as their authors define them.
 * Method: Smithy's own protocol tests, run from the server's side: requests decode to their params, params and errors encode to
 * their responses, malformed requests are refused. A vector that is left out must be one that does not pass.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkMalformed, checkRequest, checkResponse, expandMalformed } from "./check.ts";
import { LEFT_OUT, reasonLeftOut, type VectorKind } from "./left-out.ts";
import { loadVectors, PROTOCOLS } from "./vectors.ts";

const seen: Record<VectorKind, Set<string>> = {
  request: new Set(),
  response: new Set(),
  malformed: new Set(),
};

function vector(kind: VectorKind, id: string, check: () => void): void {
  seen[kind].add(id);
  const reason = reasonLeftOut(kind, id);
  if (reason === undefined) {
    it(`${kind} ${id}`, check);
  } else {
    it(`${kind} ${id} does not pass: ${reason}`, () => {
      assert.throws(check);
    });
  }
}

for (const protocol of PROTOCOLS) {
  describe(protocol, () => {
    for (const service of loadVectors(protocol)) {
      for (const request of service.requests) {
        if (request.appliesTo === "client") continue;
        vector("request", request.id, () => checkRequest(service, request));
      }
      for (const response of service.responses) {
        if (response.appliesTo === "client") continue;
        vector("response", response.id, () => checkResponse(protocol, service, response));
      }
      for (const malformed of service.malformed) {
        vector("malformed", malformed.id, () => {
          for (const request of expandMalformed(malformed)) checkMalformed(protocol, service, request);
        });
      }
    }
  });
}

it("every vector that is left out exists", () => {
  for (const kind of ["request", "response", "malformed"] as const) {
    for (const id of LEFT_OUT.flatMap((entry) => entry[kind] ?? []))
      assert(seen[kind].has(id), `${kind} ${id}`);
  }
});
