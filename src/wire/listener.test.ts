/**
 * Goal: no client, however broken or hostile, holds a connection longer than allowed, crashes the server or goes without
 * an answer that can be given; HTTP/2 and TLS work on the same port; stopping loses no request that was accepted.
 * Method: raw sockets that send what no HTTP client would; node's own HTTP/2 and TLS clients; short timeouts.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { deferred } from "../kernel/deferred.ts";
import { startFakeServer, type FakeServer } from "./fakes.ts";
import type { Service } from "./service.ts";

const INVOKE = "/2015-03-31/functions/f/invocations";
const echo: Service["operations"] = {
  Invoke: async ({ Payload }: { Payload: Buffer }) => ({ Payload }),
};
const open = (options: Parameters<typeof startFakeServer>[1] = {}) =>
  startFakeServer(echo, { auth: "none", ...options });

/** A raw connection: sends texts, collects what comes until the server ends it. */
function dial(server: FakeServer) {
  const socket = net.connect(server.port, "127.0.0.1");
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => (received += text));
  socket.on("error", () => undefined);
  return {
    socket,
    received: () => received,
    ended: once(socket, "close").then(() => received),
  };
}

/** The server still serves: what went before did no harm. */
async function assertAlive(server: FakeServer): Promise<void> {
  const request = http.request({
    host: "127.0.0.1",
    port: server.port,
    path: INVOKE,
    method: "POST",
    agent: false,
  });
  request.end("alive");
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += String(part);
  assert.equal(text, "alive");
}

const FAST = { headersTimeoutMs: 100, requestTimeoutMs: 200, keepAliveTimeoutMs: 100 };

describe("broken and hostile clients", () => {
  it("answers garbage with 400 and a request id", async () => {
    await using server = await open();
    for (const garbage of [
      "garbage\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00",
      "GET / HTTP/9.9\r\n\r\n",
      "PRX\r\n\r\n",
    ]) {
      const { socket, ended } = dial(server);
      socket.write(garbage, "latin1");
      const answer = await ended;
      assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\nx-amzn-RequestId: [0-9a-f-]{36}\r\n/);
    }
    await assertAlive(server);
  });

  it("answers two lengths, or a length beside chunks, with 400: nobody knows where the next request starts", async () => {
    await using server = await open();
    for (const smuggling of [
      "Content-Length: 3\r\nContent-Length: 4",
      "Content-Length: 3\r\nTransfer-Encoding: chunked",
    ]) {
      const { socket, ended } = dial(server);
      socket.write(`POST ${INVOKE} HTTP/1.1\r\nHost: localhost\r\n${smuggling}\r\n\r\nabcd`);
      assert.match(await ended, /^HTTP\/1\.1 400 /);
    }
  });

  it("answers giant headers with 431", async () => {
    await using server = await open();
    const { socket, ended } = dial(server);
    socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\nX-Giant: ${"x".repeat(100_000)}\r\n\r\n`);
    assert.match(await ended, /^HTTP\/1\.1 431 /);
    await assertAlive(server);
  });

  it("cuts connections that send nothing, or half a preface", async () => {
    await using server = await open({ listener: FAST });
    for (const start of ["", "P", "PR"]) {
      const { socket, ended } = dial(server);
      socket.write(start);
      assert.equal(await ended, "");
    }
  });

  it("answers slow headers and slow bodies with 408", async () => {
    await using server = await open({ listener: FAST });
    for (const start of [
      "GET / HTTP/1.1\r\nX-Slow: ",
      `POST ${INVOKE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc`,
    ]) {
      const { socket, ended } = dial(server);
      socket.write(start);
      assert.match(await ended, /^HTTP\/1\.1 408 /);
    }
    await assertAlive(server);
  });

  it("recognises a method that starts like HTTP/2, byte by byte", async () => {
    await using server = await open();
    const { socket, ended } = dial(server);
    for (const byte of `POST ${INVOKE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`) {
      await new Promise((resolve) => socket.write(byte, resolve));
    }
    assert.match(await ended, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
  });

  it("forgets a body whose client goes away in the middle, and never calls the handler", async () => {
    let calls = 0;
    await using server = await startFakeServer(
      { ...echo, Open: () => ({ calls: (calls += 1) }) },
      { auth: "none" },
    );
    const { socket, ended } = dial(server);
    socket.write("POST /open HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    await new Promise<void>((resolve) => socket.end(resolve));
    await ended;
    await assertAlive(server);
    assert.equal(calls, 0);
  });

  it("answers requests that were sent without waiting, in their order", async () => {
    await using server = await open();
    const { socket, ended } = dial(server);
    const post = (body: string, more = "") =>
      `POST ${INVOKE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
    socket.write(post("first") + post("second") + post("third", "Connection: close\r\n"));
    assert.deepEqual((await ended).match(/first|second|third/g), ["first", "second", "third"]);
  });

  it("answers a request without a host", async () => {
    await using server = await open();
    const { socket, ended } = dial(server);
    socket.write("GET /nothing HTTP/1.0\r\n\r\n");
    assert.match(await ended, /^HTTP\/1\.1 404 /);
  });
});

describe("HTTP/2 on the same port", () => {
  it("serves requests, refuses bodies that are too large, and gives every answer a request id", async () => {
    await using server = await open();
    const session = http2.connect(server.endpoint);
    const call = async (path: string, body: string) => {
      const stream = session.request({ ":method": "POST", ":path": path });
      stream.end(body);
      const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
      let text = "";
      for await (const part of stream.setEncoding("utf8")) text += String(part);
      assert.match(String(headers["x-amzn-requestid"]), /^[0-9a-f-]{36}$/);
      return [headers[":status"], text];
    };
    assert.deepEqual(await call(INVOKE, "two"), [200, "two"]);
    assert.deepEqual(await call(INVOKE, ""), [200, ""]);
    assert.equal((await call("/nothing", ""))[0], 404);
    assert.equal((await call(INVOKE, "x".repeat(1024 * 1024 + 1)))[0], 413);
    const many = Array.from({ length: 50 }, (_, at) => call(INVOKE, String(at)));
    assert.deepEqual(
      (await Promise.all(many)).map(([, text]) => text),
      Array.from({ length: 50 }, (_, at) => String(at)),
    );
    session.close();
    await once(session, "close");
  });

  it("answers a preface that is followed by garbage without harm to others", async () => {
    await using server = await open();
    const { socket, ended } = dial(server);
    socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"garbage".repeat(10)}`);
    await ended;
    await assertAlive(server);
  });

  it("aborts the handler's signal when the stream is cancelled", async () => {
    const [running, aborted] = [deferred(), deferred()];
    const operations: Service["operations"] = {
      Invoke: async (_input, context) => {
        context.signal.addEventListener("abort", () => aborted.resolve());
        running.resolve();
        await aborted.promise;
        return {};
      },
    };
    await using server = await startFakeServer(operations, { auth: "none" });
    const session = http2.connect(server.endpoint);
    const stream = session.request({ ":method": "POST", ":path": INVOKE });
    stream.on("error", () => undefined);
    stream.end("{}");
    await running.promise;
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await aborted.promise;
    session.destroy();
  });
});

describe("TLS", () => {
  it("serves HTTP/1.1 and HTTP/2 as ALPN says, and survives a client that speaks no TLS", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hornero-tls-"));
    try {
      const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
      const subject = ["-subj", "/CN=localhost", "-days", "1", "-nodes", "-newkey", "rsa:2048"];
      execFileSync("openssl", ["req", "-x509", ...subject, "-keyout", key, "-out", cert], {
        stdio: "ignore",
      });
      const tls = { key: readFileSync(key), cert: readFileSync(cert) };
      await using server = await open({ listener: { tls } });
      const plain = dial(server);
      plain.socket.write("GET / HTTP/1.1\r\n\r\n");
      await plain.ended;
      const options = { host: "127.0.0.1", port: server.port, path: INVOKE, method: "POST", ca: tls.cert };
      const request = https.request({ ...options, servername: "localhost", agent: false });
      request.end("one");
      const [response] = (await once(request, "response")) as [http.IncomingMessage];
      assert.equal(String((await response.toArray())[0]), "one");
      const session = http2.connect(server.endpoint, { ca: tls.cert, servername: "localhost" });
      const stream = session.request({ ":method": "POST", ":path": INVOKE });
      stream.end("two");
      assert.equal(String((await stream.toArray())[0]), "two");
      session.close();
      await once(session, "close");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("where it listens", () => {
  it("refuses every address but loopback when requests are not authenticated", async () => {
    await using server = await open({ listener: { loopbackOnly: true } });
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "example.com"]) {
      await assert.rejects(server.listener.listen(0, host), /may listen on loopback only, not on/);
    }
    await server.listener.listen(0, "localhost");
  });

  it("serves a handle that somebody else bound, and closes it", async () => {
    const server = await open();
    const handle = net.createServer().listen(0, "127.0.0.1");
    await once(handle, "listening");
    server.listener.attach(handle);
    const { port } = handle.address() as net.AddressInfo;
    await assertAlive({ ...server, port });
    const closed = once(handle, "close");
    await server[Symbol.asyncDispose]();
    await closed;
  });

  it("says so when the port is taken", async () => {
    await using server = await open();
    await assert.rejects(server.listener.listen(server.port, "127.0.0.1"), /EADDRINUSE/);
  });
});

describe("closing", () => {
  it("lets running requests finish, lets idle connections go, and accepts no new ones", async () => {
    const [running, release] = [deferred(), deferred()];
    const operations: Service["operations"] = {
      Invoke: async ({ Payload }: { Payload: Buffer }) => {
        running.resolve();
        await release.promise;
        return { Payload };
      },
    };
    const server = await startFakeServer(operations, { auth: "none" });
    const agent = new http.Agent({ keepAlive: true });
    const request = http.request({
      host: "127.0.0.1",
      port: server.port,
      path: INVOKE,
      method: "POST",
      agent,
    });
    request.end("finished");
    const silent = dial(server);
    await running.promise;
    const closed = server.listener.close(60_000);
    assert.equal(await silent.ended, "");
    await assert.rejects(once(net.connect(server.port, "127.0.0.1"), "connect"), /ECONNREFUSED/);
    release.resolve();
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    assert.equal(String((await response.toArray())[0]), "finished");
    await closed;
    agent.destroy();
    await server[Symbol.asyncDispose]();
  });

  it("answers what still comes on a busy connection, and tells its client to leave", async () => {
    const [running, both, release] = [deferred(), deferred(), deferred()];
    let calls = 0;
    const operations: Service["operations"] = {
      Invoke: async ({ Payload }: { Payload: Buffer }) => {
        calls += 1;
        (calls === 1 ? running : both).resolve();
        await release.promise;
        return { Payload };
      },
    };
    const server = await startFakeServer(operations, { auth: "none" });
    const { socket, ended } = dial(server);
    const post = (body: string) =>
      socket.write(`POST ${INVOKE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n${body}`);
    post("one");
    await running.promise;
    const closed = server.listener.close(60_000);
    post("two");
    await both.promise;
    release.resolve();
    const [first, second] = (await ended).split("one");
    assert.doesNotMatch(first ?? "", /connection: close/i);
    assert.match(second ?? "", /connection: close[^]*two$/i);
    await closed;
    await server[Symbol.asyncDispose]();
  });

  it("cuts what has not finished in time", async () => {
    const running = deferred();
    const operations: Service["operations"] = {
      Invoke: async (_input, context) => {
        running.resolve();
        await once(context.signal, "abort");
        return {};
      },
    };
    const server = await startFakeServer(operations, { auth: "none" });
    const { socket, ended } = dial(server);
    socket.write(`POST ${INVOKE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`);
    await running.promise;
    await server.listener.close(10);
    assert.equal(await ended, "");
    await server[Symbol.asyncDispose]();
  });
});
