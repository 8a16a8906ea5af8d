/** For tests: the service on a temporary folder and a clock that only the test moves, called as the wire calls it. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { ManualClock } from "../../../kernel/clock.ts";
import { MemoryStore } from "../../../store/memory.ts";
import type { RequestContext } from "../../../wire/service.ts";
import { createLogs, type Logs } from "../logs.ts";

export const GROUP = "/aws/lambda/f";
export const ARN = `arn:aws:logs:eu-central-1:000000000000:log-group:${GROUP}`;

export interface Bench {
  readonly logs: Logs;
  readonly clock: ManualClock;
  readonly call: <Output = Record<string, unknown>>(
    operation: string,
    input: object,
    signal?: AbortSignal,
  ) => Promise<Output>;
}

export async function bench(t: TestContext): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), "hornero-logs-"));
  const clock = new ManualClock();
  const logs = await createLogs({
    directory,
    store: new MemoryStore(clock),
    clock,
    region: "eu-central-1",
    accountId: "000000000000",
  });
  t.after(async () => {
    await logs.close();
    await rm(directory, { recursive: true });
  });
  return {
    logs,
    clock,
    call: async (operation, input, signal = new AbortController().signal) => {
      const handler = logs.service.operations[operation];
      assert.ok(handler, operation);
      return await handler(input, requestContext(signal));
    },
  };
}

function requestContext(signal: AbortSignal): RequestContext {
  return {
    requestId: "00000000-0000-4000-8000-000000000000",
    principal: {
      kind: "root",
      arn: "arn:aws:iam::000000000000:root",
      accountId: "000000000000",
      userId: "000000000000",
    },
    region: "eu-central-1",
    accountId: "000000000000",
    sourceIp: "127.0.0.1",
    endpoint: "http://127.0.0.1:4566",
    signal,
    header: () => undefined,
  };
}

/** A group with the stream `s`, which holds events `0`, `1`, … a second apart from `startMs` on. */
export async function withEvents({ call, logs, clock }: Bench, count: number): Promise<number> {
  const startMs = clock.nowMs() - count * 1000;
  const events = Array.from({ length: count }, (_, i) => ({
    timestampMs: startMs + i * 1000,
    message: String(i),
  }));
  assert.ok(logs.sink.append(GROUP, "s", events));
  await call("FilterLogEvents", { logGroupName: GROUP, limit: 1 });
  return startMs;
}

export const numbers = (events: readonly { message?: string | undefined }[] | undefined) =>
  (events ?? []).map(({ message }) => Number(message));
