/**
 * The load generator, in a process of its own so that its work is not the measuring process's. Every answer must be 200,
 * without a function error, and echo the request's body (202 for an asynchronous event); the first that is not fails the
 * job.
 */
import { Worker } from "node:worker_threads";
import { Connection, invokeTarget, SignedRequests, type Answer, type Endpoint } from "./client.ts";
import type { Job, LoadReply, LoadResult } from "./load-jobs.ts";

/** Of a request's body. */
const FILLER = "x".repeat(72);
const OPEN_QUEUE_MAX = 20_000;

let lastNumber = 0;
/** A hundred bytes of JSON that no other request has. */
function nextBody(): string {
  return `{"n":"${String((lastNumber += 1)).padStart(10, "0")}","text":"${FILLER}"}`;
}

function check(answer: Answer, sent: string, exact: boolean): void {
  // A cold function adds members of its own behind those that it was sent.
  const echoed = exact
    ? answer.body === sent
    : answer.body.replaceAll(/": |, "/g, (t) => t.replace(" ", "")).startsWith(sent.slice(0, -1));
  if (answer.status !== 200 || /\r\nx-amz-function-error:/i.test(answer.head) || !echoed)
    throw new Error(`not an answer to count: ${answer.status} ${answer.body.slice(0, 300)}`);
}

function checkAccepted({ status, body }: Answer): void {
  if (status !== 202) throw new Error(`not an answer to count: ${status} ${body.slice(0, 300)}`);
}

function openConnections(endpoint: Endpoint, count: number): Promise<Connection[]> {
  return Promise.all(Array.from({ length: count }, () => Connection.open(endpoint)));
}

async function closedLoop(job: Extract<Job, { kind: "closed" }>): Promise<LoadResult> {
  const type = job.asynchronous ? "Event" : undefined;
  const requests = new SignedRequests(job.endpoint, "POST", invokeTarget(job.functionName), type);
  const connections = await openConnections(job.endpoint, job.connections);
  const latencies: number[] = [];
  const startMs = performance.now();
  const client = async (connection: Connection) => {
    for (let sentMs = performance.now(); sentMs - startMs < job.durationMs;) {
      const body = nextBody();
      const answer = await connection.exchange(requests.make(body));
      const nowMs = performance.now();
      if (job.asynchronous) checkAccepted(answer);
      else check(answer, body, true);
      latencies.push(nowMs - sentMs);
      sentMs = performance.now();
    }
  };
  try {
    await Promise.all(connections.map(client));
    return {
      latenciesMs: Float64Array.from(latencies),
      elapsedMs: performance.now() - startMs,
      once: [],
    };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/**
 * Node's timers tick in milliseconds; a thread that sleeps on a futex wakes within a tenth of one. It tells how many requests are
 * due, with one message for all that come due while the last message is on its way. It says when it runs: starting a
 * thread takes 40 ms, and the clock begins only then.
 */
const PACER = `
const { parentPort, workerData } = require("node:worker_threads");
const { due, count, ratePerSecond } = workerData;
const cell = new Int32Array(new SharedArrayBuffer(4));
parentPort.once("message", (startNs) => {
  for (let number = 0; number < count; number += 1) {
    const waitMs = (number * 1000) / ratePerSecond - Number(process.hrtime.bigint() - startNs) / 1e6;
    if (waitMs > 0) Atomics.wait(cell, 0, 0, waitMs);
    Atomics.store(due, 0, number + 1);
    if (Atomics.exchange(due, 1, 1) === 0) parentPort.postMessage("due");
  }
});
parentPort.postMessage("running");`;

async function openLoop(job: Extract<Job, { kind: "open" }>): Promise<LoadResult> {
  const { ratePerSecond, durationMs } = job;
  const requests = new SignedRequests(job.endpoint, "POST", invokeTarget(job.functionName));
  const connections = await openConnections(job.endpoint, job.connections);
  const count = Math.max(1, Math.floor((ratePerSecond * durationMs) / 1000));
  const latencies = new Float64Array(count);
  const idle = [...connections];
  const all = Promise.withResolvers<void>();
  let started = 0;
  let answered = 0;
  let startMs = 0;
  /** How many are due, and whether a message that says so is on its way. */
  const due = new Int32Array(new SharedArrayBuffer(8));
  const send = async (connection: Connection): Promise<void> => {
    const intendedMs = startMs + (started * 1000) / ratePerSecond;
    started += 1;
    const body = nextBody();
    check(await connection.exchange(requests.make(body)), body, true);
    latencies[answered] = performance.now() - intendedMs;
    answered += 1;
    if (started < Atomics.load(due, 0)) return send(connection);
    idle.push(connection);
    if (answered === count) all.resolve();
  };
  const worker = new Worker(PACER, { eval: true, workerData: { due, count, ratePerSecond } });
  worker.on("error", all.reject);
  worker.once("message", () => {
    worker.on("message", () => {
      Atomics.store(due, 1, 0);
      const waiting = Atomics.load(due, 0) - started;
      if (waiting > OPEN_QUEUE_MAX) all.reject(new Error("the server is far too slow"));
      while (started < Atomics.load(due, 0)) {
        const connection = idle.pop();
        if (!connection) return;
        send(connection).catch(all.reject);
      }
    });
    startMs = performance.now();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
    worker.postMessage(process.hrtime.bigint());
  });
  try {
    await all.promise;
    return { latenciesMs: latencies, elapsedMs: performance.now() - startMs, once: [] };
  } finally {
    await worker.terminate();
    for (const connection of connections) connection.close();
  }
}

async function once(job: Extract<Job, { kind: "once" }>): Promise<LoadResult> {
  const { endpoint, functionNames } = job;
  const connections = await openConnections(endpoint, Math.min(job.parallel, functionNames.length));
  // A first request on each connection: making connections is not part of a cold start.
  const settings = new SignedRequests(endpoint, "GET", "/2015-03-31/functions?MaxItems=1");
  for (const connection of connections) await connection.exchange(settings.make(""));
  const latenciesMs = new Float64Array(functionNames.length);
  const answers: { sentMs: number; body: string }[] = [];
  let next = 0;
  const startMs = performance.now();
  const client = async (connection: Connection) => {
    for (let index = next++; index < functionNames.length; index = next++) {
      const body = nextBody();
      const request = new SignedRequests(endpoint, "POST", invokeTarget(functionNames[index] ?? ""));
      const bytes = request.make(body);
      const sentMs = performance.now();
      const answer = await connection.exchange(bytes);
      latenciesMs[index] = performance.now() - sentMs;
      check(answer, body, false);
      answers[index] = { sentMs: performance.timeOrigin + sentMs, body: answer.body };
    }
  };
  try {
    await Promise.all(connections.map(client));
    return { latenciesMs, elapsedMs: performance.now() - startMs, once: answers };
  } finally {
    for (const connection of connections) connection.close();
  }
}

async function run(job: Job): Promise<LoadResult> {
  if (job.kind === "closed") return closedLoop(job);
  return job.kind === "open" ? openLoop(job) : once(job);
}

process.on("message", (job: Job) => {
  const reply = (message: LoadReply) => process.send?.(message);
  run(job).then(
    (result) => reply({ result }),
    (error: unknown) => reply({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on("disconnect", () => process.exit());
