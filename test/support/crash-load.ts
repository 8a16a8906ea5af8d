/**
 * A load whose every acknowledgement is written down, so that what a restarted server shows can be judged: a write that
 * was answered must be there; one whose answer never came may be there whole or not at all; nothing else may.
 */
import assert from "node:assert/strict";
import {
  CreateFunctionCommand,
  DeleteFunctionCommand,
  GetFunctionCommand,
  InvokeCommand,
  paginateListFunctions,
  ResourceNotFoundException,
  TagResourceCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  type LambdaClient,
} from "@aws-sdk/client-lambda";
import { ROLE, zipOf } from "./server.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function";
const RELEASES = ["a", "b", "c"].map((release) =>
  zipOf({ "index.js": `exports.handler = async () => "${release}";` }),
);
/** Functions that one writer keeps, so that looking at all of them stays quick. */
const FUNCTIONS_MAX = 6;

/** What can be seen of a function; undefined: there is none. */
type Seen = { readonly description: string; readonly tag: string; readonly codeBytes: number } | undefined;

function pick<T>(items: readonly T[]): T {
  const item = items[Math.floor(Math.random() * items.length)];
  assert(item !== undefined, "something to pick from");
  return item;
}

/** An answer came, and it was no: nothing has changed. Everything else that fails leaves the outcome open. */
function refused(error: unknown): boolean {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  return status !== undefined && status < 500;
}

/** One client that writes one thing after the other to functions of its own. */
export class Writer {
  readonly #prefix: string;
  readonly #known = new Map<string, Seen>();
  /** The write whose answer has not come: what the function may look like instead. */
  #open: { readonly name: string; readonly after: Seen } | undefined;
  #count = 0;
  acknowledged = 0;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Writes until the server is gone. */
  async run(lambda: LambdaClient): Promise<void> {
    for (;;) {
      const { name, after, send } = this.#next(lambda);
      this.#open = { name, after };
      try {
        await send();
      } catch (error) {
        if (!refused(error)) return;
        this.#open = undefined;
        continue;
      }
      this.#known.set(name, after);
      this.#open = undefined;
      this.acknowledged += 1;
    }
  }

  #next(lambda: LambdaClient): { name: string; after: Seen; send: () => Promise<unknown> } {
    this.#count += 1;
    const value = String(this.#count);
    const existing = [...this.#known].flatMap(([name, seen]) => (seen ? [{ name, seen }] : []));
    const way = Math.random();
    if (existing.length === 0 || (way < 0.3 && existing.length < FUNCTIONS_MAX)) {
      const name = `${this.#prefix}-${this.#count}`;
      const zip = pick(RELEASES);
      const settings = {
        Runtime: "nodejs24.x" as const,
        Handler: "index.handler",
        Role: ROLE,
        Description: value,
        Tags: { v: value },
      };
      return {
        name,
        after: { description: value, tag: value, codeBytes: zip.length },
        send: () =>
          lambda.send(new CreateFunctionCommand({ FunctionName: name, Code: { ZipFile: zip }, ...settings })),
      };
    }
    const { name, seen } = pick(existing);
    const FunctionName = name;
    if (way < 0.5)
      return {
        name,
        after: { ...seen, tag: value },
        send: () => lambda.send(new TagResourceCommand({ Resource: `${ARN}:${name}`, Tags: { v: value } })),
      };
    if (way < 0.7)
      return {
        name,
        after: { ...seen, description: value },
        send: () => lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Description: value })),
      };
    if (way < 0.85) {
      const zip = pick(RELEASES);
      return {
        name,
        after: { ...seen, codeBytes: zip.length },
        send: () => lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: zip })),
      };
    }
    return { name, after: undefined, send: () => lambda.send(new DeleteFunctionCommand({ FunctionName })) };
  }

  /** Compares everything with what a restarted server shows, and takes what was open as it came out. */
  async compare(lambda: LambdaClient, when: string): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open && !this.#known.has(open.name)) this.#known.set(open.name, undefined);
    for (const [name, expected] of this.#known) {
      const found = await look(lambda, name);
      const allowed = open?.name === name ? [expected, open.after] : [expected];
      assert(
        allowed.some((one) => JSON.stringify(one) === JSON.stringify(found)),
        `${name} ${when}: ${JSON.stringify(found)} is none of ${JSON.stringify(allowed)}`,
      );
      if (found) this.#known.set(name, found);
      else this.#known.delete(name);
    }
    const names: string[] = [];
    for await (const { Functions } of paginateListFunctions({ client: lambda }, {}))
      names.push(...(Functions ?? []).map(({ FunctionName }) => FunctionName ?? ""));
    const own = names.filter((name) => name.startsWith(`${this.#prefix}-`)).sort();
    assert.deepEqual(own, [...this.#known.keys()].sort(), when);
  }
}

async function look(lambda: LambdaClient, name: string): Promise<Seen> {
  try {
    const { Configuration, Tags } = await lambda.send(new GetFunctionCommand({ FunctionName: name }));
    return {
      description: Configuration?.Description ?? "",
      tag: Tags?.["v"] ?? "",
      codeBytes: Configuration?.CodeSize ?? 0,
    };
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

/** One client that invokes one thing after the other. */
export class Invoker {
  sent = 0;
  answered = 0;

  /** Invokes until the server is gone. */
  async run(lambda: LambdaClient, name: string): Promise<void> {
    for (;;) {
      this.sent += 1;
      try {
        const { Payload, FunctionError } = await lambda.send(new InvokeCommand({ FunctionName: name }));
        // What ran when the server died may be answered as a failure of the platform's; it is metered all the same.
        if (FunctionError === undefined) assert.equal(Payload?.transformToString(), '"steady"');
        this.answered += 1;
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        if (!refused(error)) return;
        this.sent -= 1;
      }
    }
  }
}
