/**
 * What listener, SigV4, dispatch and the protocols cost on top of bare node:http: the paired ratio of a signed POST that is echoed.
 *
 *     node bench/parts/wire.ts [rounds] [requests per round]
 *
 * Two server processes stand side by side, one a bare node:http echo, one the whole wire with Lambda's
 * model and a handler that echoes; this process is the client. Rounds are interleaved A B B A, so that the machine's drift hits both; ratios are of one round's
 * medians, and the figure is the median of the ratios. Every answer is checked. The bare server gets the same bytes,
 * signature and all, so that parsing them is not part of the difference.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { SignatureV4 } from "@smithy/signature-v4";
import { createHash, createHmac } from "node:crypto";
import { startFakeServer } from "../../src/wire/fakes.ts";
import { createProtocols } from "../../src/wire/protocols.ts";
import type { Context } from "../support/context.ts";
import { benchAuthorise } from "./authorise.ts";
import { interleave, median, summarise, summariseRatios } from "../support/statistics.ts";

const PATH = "/2015-03-31/functions/echo/invocations";
const BODY = JSON.stringify({ text: "x".repeat(89) });
const WARM_UP_REQUESTS = 5000;

interface ServerInfo {
  port: number;
  accessKeyId: string;
  secretAccessKey: string;
}

interface Target {
  readonly process: ChildProcess;
  readonly info: ServerInfo;
  readonly request: Buffer;
}

async function serve(role: string): Promise<void> {
  if (role === "wire") {
    const operations = {
      Invoke: async ({ Payload }: { Payload: Buffer }) => ({ StatusCode: 200, Payload }),
    };
    const server = await startFakeServer(operations, { protocols: createProtocols(["lambda"]) });
    const { port, accessKeyId, secretAccessKey } = server;
    process.send?.({ port, accessKeyId, secretAccessKey });
    return;
  }
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
      response.end(body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  process.send?.({
    port: (server.address() as net.AddressInfo).port,
    accessKeyId: "A",
    secretAccessKey: "B",
  });
}

/** The hash that the SDK's signer wants. */
class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    if (secret === undefined) this.#hash = createHash("sha256");
    else
      this.#hash = createHmac(
        "sha256",
        typeof secret === "string" ? secret : Buffer.from(secret as ArrayBuffer),
      );
  }
  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {}
}

/** A whole request as bytes, with the headers of the JavaScript SDK; its signature holds for five minutes. */
async function signedRequest({ port, accessKeyId, secretAccessKey }: ServerInfo): Promise<Buffer> {
  const credentials = { accessKeyId, secretAccessKey };
  const signer = new SignatureV4({ service: "lambda", region: "us-east-1", credentials, sha256: Sha256 });
  const { headers } = await signer.sign({
    method: "POST",
    protocol: "http:",
    hostname: "127.0.0.1",
    path: PATH,
    headers: {
      host: `127.0.0.1:${port}`,
      "content-type": "application/octet-stream",
      "content-length": String(BODY.length),
      "x-amz-invocation-type": "RequestResponse",
      "user-agent": "aws-sdk-js/3.1164.0 ua/2.1 os/linux#6.18 lang/js md/nodejs#24.21.0 api/lambda#3.1164.0",
      "amz-sdk-invocation-id": "3b2c7f0e-6c1b-4a0e-9a43-0e6d0d1c1f11",
      "amz-sdk-request": "attempt=1; max=3",
    },
    body: BODY,
  });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${PATH} HTTP/1.1\r\n${lines.join("")}\r\n${BODY}`);
}

async function start(role: string): Promise<Target> {
  const stdio = ["ignore", "inherit", "inherit", "ipc"] as const;
  const child = spawn(process.execPath, [import.meta.filename, `--serve=${role}`], {
    stdio: [...stdio],
    env: {},
  });
  const [info] = (await once(child, "message")) as [ServerInfo];
  return { process: child, info, request: await signedRequest(info) };
}

/** One keep-alive connection: sends a request, resolves when its answer has come whole. */
class Connection {
  readonly #socket: net.Socket;
  #received = "";
  #done: (latencyUs: number) => void = () => undefined;
  #failed: (error: Error) => void = () => undefined;
  #sentAtMs = 0;

  constructor(port: number) {
    this.#socket = net.connect(port, "127.0.0.1").setNoDelay(true).setEncoding("latin1");
    this.#socket.on("data", (text: string) => this.#onData(text));
    this.#socket.on("error", (error) => this.#failed(error));
  }

  call(request: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#received = "";
      this.#sentAtMs = performance.now();
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(text: string): void {
    this.#received += text;
    if (!this.#received.endsWith(BODY)) return;
    const latencyUs = (performance.now() - this.#sentAtMs) * 1000;
    if (this.#received.startsWith("HTTP/1.1 200 ")) this.#done(latencyUs);
    else this.#failed(new Error(this.#received));
  }
}

/** Median latency and rate of so many requests over so many connections. */
async function measure(target: Target, requests: number, connections: number): Promise<Figures> {
  const latencies: number[] = [];
  const startMs = performance.now();
  const work = Array.from({ length: connections }, async () => {
    const connection = new Connection(target.info.port);
    for (let left = requests / connections; left > 0; left -= 1) {
      latencies.push(await connection.call(target.request));
    }
    connection.close();
  });
  await Promise.all(work);
  const perSecond = (latencies.length * 1000) / (performance.now() - startMs);
  return { p50Us: median(latencies), perSecond };
}

interface Figures {
  readonly p50Us: number;
  readonly perSecond: number;
}

interface Comparison {
  readonly connections: number;
  /** One of each round. */
  readonly bare: readonly Figures[];
  readonly wire: readonly Figures[];
}

async function compare(rounds: number, requests: number, deadlineMs = Infinity): Promise<Comparison[]> {
  const bareServer = await start("bare");
  const wireServer = await start("wire");
  try {
    const comparisons: Comparison[] = [];
    for (const connections of [1, 16]) {
      for (const target of [bareServer, wireServer])
        await measure(target, Math.min(WARM_UP_REQUESTS, requests * 2), connections);
      const [bare = [], wire = []] = await interleave({ rounds, deadlineMs }, [
        () => measure(bareServer, requests, connections),
        () => measure(wireServer, requests, connections),
      ]);
      comparisons.push({ connections, bare, wire });
    }
    return comparisons;
  } finally {
    bareServer.process.kill();
    wireServer.process.kill();
  }
}

export async function benchWire(context: Context): Promise<void> {
  const { sizes, deadlineMs, row } = context;
  for (const { connections, bare, wire } of await compare(sizes.wireRounds, sizes.wireRequests, deadlineMs)) {
    const group = "signature and protocol, the handler echoes";
    const [latencies, floors] = [wire, bare].map((figures) => figures.map(({ p50Us }) => p50Us / 1000));
    const [rates, rateFloors] = [wire, bare].map((figures) => figures.map(({ perSecond }) => perSecond));
    if (!latencies || !floors || !rates || !rateFloors) continue;
    if (connections === 1)
      row({
        id: "wire-p50",
        group,
        what: "1 client, p50",
        unit: "ms",
        value: summarise(latencies),
        floor: { what: "echo", value: summarise(floors) },
        ratio: summariseRatios(latencies, floors),
      });
    else
      row({
        id: "wire-throughput",
        group,
        what: `${connections} clients, throughput`,
        unit: "/s",
        value: summarise(rates),
        floor: { what: "echo", value: summarise(rateFloors) },
        ratio: summariseRatios(rates, rateFloors),
      });
  }
  await benchAuthorise(context);
}

async function main(rounds: number, requests: number): Promise<void> {
  for (const { connections, bare, wire } of await compare(rounds, requests)) {
    const p50s = (figures: readonly Figures[]) => figures.map(({ p50Us }) => p50Us);
    const rates = (figures: readonly Figures[]) => figures.map(({ perSecond }) => perSecond);
    const { median: ratio, min, max } = summariseRatios(p50s(wire), p50s(bare));
    console.log(
      `c=${connections}: p50 ${median(p50s(wire)).toFixed(0)} µs against ${median(p50s(bare)).toFixed(0)} µs bare: ` +
        `${ratio.toFixed(2)}× (${min.toFixed(2)}–${max.toFixed(2)}); ` +
        `throughput ${summariseRatios(rates(wire), rates(bare)).median.toFixed(2)}×`,
    );
  }
}

const role = process.argv.find((argument) => argument.startsWith("--serve="))?.slice("--serve=".length);
if (import.meta.main) {
  if (role === undefined) await main(Number(process.argv[2] ?? 12), Number(process.argv[3] ?? 4000));
  else {
    process.on("disconnect", () => process.exit());
    await serve(role);
  }
}
