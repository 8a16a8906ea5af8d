/** Test doubles for invocation: a directory, a runner and a meter that are the test's own. Used by tests only. */
import { resourceNotFound } from "../../errors.ts";
import type { RequestContext } from "../../wire/service.ts";
import { fakeVersion } from "../environment/fakes.ts";
import type { Usage } from "../metering/usage.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { Runner } from "./run.ts";

export const REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

export function outcomeOf(text: string, overrides: Partial<InvocationOutcome> = {}): InvocationOutcome {
  return {
    payload: Buffer.from(text),
    contentType: "application/json",
    report: { durationMs: 1.5, billedMs: 2, memorySizeMb: 128, maxMemoryUsedMb: 30, status: "success" },
    ...overrides,
  };
}

/** One function, `f`, and everything that was asked, run and metered, in order. */
export class FakeInside implements Runner {
  readonly log: string[] = [];
  readonly runs: { version: FunctionVersion; invocation: Invocation }[] = [];
  readonly usages: Usage[] = [];
  /** What the directory answers; undefined: there is no such function. */
  version: FunctionVersion | undefined = fakeVersion({ ephemeralStorageMb: 1024 });
  /** What a run does. */
  act: (invocation: Invocation) => Promise<InvocationOutcome> = async () => outcomeOf('"done"');

  readonly directory = {
    resolve: (nameOrArn: string, qualifier: string | undefined): FunctionVersion => {
      this.log.push(`resolve ${nameOrArn} ${qualifier ?? "-"}`);
      if (!this.version) throw resourceNotFound(`Function not found: ${nameOrArn}`);
      return this.version;
    },
    subscribe: () => () => undefined,
  };

  readonly meter = {
    record: (usage: Usage): void => {
      this.log.push("record");
      this.usages.push(usage);
    },
  };

  async run(version: FunctionVersion, invocation: Invocation): Promise<InvocationOutcome> {
    this.log.push("run");
    this.runs.push({ version, invocation });
    return this.act(invocation);
  }
}

export function fakeContext(headers: Record<string, string> = {}): RequestContext {
  return {
    requestId: REQUEST_ID,
    principal: {
      kind: "root",
      arn: "arn:aws:iam::000000000000:root",
      accountId: "000000000000",
      userId: "0",
    },
    region: "us-east-1",
    accountId: "000000000000",
    sourceIp: "127.0.0.1",
    endpoint: "http://127.0.0.1:4566",
    signal: new AbortController().signal,
    header: (name) => headers[name],
  };
}
