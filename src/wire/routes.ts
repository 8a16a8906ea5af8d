/** Plain HTTP beside the AWS protocols: the server's own answers below /_hornero/. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Route } from "./dispatch.ts";
import type { WireResponse } from "./protocol.ts";

/** Is the server up? 200 and a word. */
export const healthRoute: Route = {
  prefix: "/_hornero/health",
  handle(_request, response) {
    sendJson(response, 200, { status: "ok" });
  },
};

/** GET and HEAD of everything below `prefix`, answered whole from a function of path and query. */
export function wireRoute(prefix: string, answer: (path: string, query: string) => Promise<WireResponse>): Route {
  return {
    prefix,
    async handle(request: IncomingMessage, response: ServerResponse) {
      if (request.method !== "GET" && request.method !== "HEAD") return sendJson(response, 405, { message: "Method not allowed" });
      const [path = "", query = ""] = (request.url ?? "").split("?", 2);
      const { status, headers, body } = await answer(path, query);
      response.writeHead(status, headers);
      if (request.method === "HEAD") return void response.end();
      if (Buffer.isBuffer(body)) return void response.end(body);
      for await (const chunk of body) {
        if (response.destroyed) return;
        if (!response.write(chunk)) await new Promise((resolve) => void response.once("drain", resolve).once("close", resolve));
      }
      response.end();
    },
  };
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  const body = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}
