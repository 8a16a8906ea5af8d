/** Memory that one more idle environment costs, all processes counted: sandbox, runtime, and what grows in the server. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { quiet, startSubject, withFunctions, type Context, type Subject } from "../support/context.ts";
import type { Kind } from "../support/functions.ts";
import { availableBytes } from "../support/machine.ts";
import { familyPssBytes, memoryOf, SCRUBBED, settled } from "../support/processes.ts";
import { median, summarise } from "../support/statistics.ts";

const MB = 1024 * 1024;
const HOST_BYTES = 24 * 1024 * MB;
const NODE_IDLE = "setInterval(() => undefined, 1e6)";
const PYTHON_IDLE = "import time; print(1, flush=True); time.sleep(1e6)";

export async function benchDensity(context: Context): Promise<void> {
  await benchKind(context, "Node.js", "node-cold", undefined, {
    what: "bare node",
    command: process.execPath,
    args: ["-e", `console.log(1); ${NODE_IDLE}`],
    fitting: 2000,
  });
  if (context.python)
    await benchKind(context, "Python", "python-cold", context.python.runtime, {
      what: "bare python3",
      command: context.python.path,
      args: ["-ISE", "-c", PYTHON_IDLE],
      fitting: 8000,
    });
}

interface Floor {
  readonly what: string;
  readonly command: string;
  readonly args: readonly string[];
  /** So many idle environments shall fit in 24 GB. */
  readonly fitting: number;
}

async function benchKind(
  context: Context,
  name: string,
  kind: Kind,
  runtime: string | undefined,
  floor: Floor,
): Promise<void> {
  const count = context.sizes.environments;
  const { fitting } = floor;
  const subject = await startSubject(context, 0);
  try {
    // What the first environment makes for all of them is not the price of one more.
    const cost = await withFunctions(subject.endpoint, { kind, count: 1, runtime }, async (functionNames) => {
      await context.load.run({ kind: "once", endpoint: subject.endpoint, functionNames, parallel: 1 });
      return withFunctions(subject.endpoint, { kind, count, runtime }, (names) =>
        grow(context, subject, names),
      );
    });
    const bareBytes = await bareMemoryBytes(floor, count);
    context.row({
      id: `memory-${name.toLowerCase()}`,
      group: "memory",
      what: `one more idle ${name} environment, PSS`,
      unit: "MB",
      value: summarise([cost.pssBytes / count / MB]),
      floor: { what: floor.what, value: summarise([bareBytes / MB]) },
      ratio: summarise([cost.pssBytes / count / bareBytes]),
      target: { of: "ratio", limit: 1.3, want: "at most" },
      note:
        `of ${count}; the machine's available memory fell by ${(cost.availableBytes / count / MB).toFixed(1)} MB each, ` +
        "whatever else ran on it",
    });
    context.row({
      id: `fit-${name.toLowerCase()}`,
      group: "memory",
      what: `idle ${name} environments that fit in 24 GB, reckoned`,
      unit: "",
      value: summarise([(HOST_BYTES / Math.max(cost.pssBytes, cost.availableBytes || 0)) * count]),
      target: { of: "value", limit: fitting, want: "at least" },
      note: `from the ${count} that were made; by PSS or by the fall of available memory, whichever is more`,
    });
  } finally {
    await subject.close();
  }
}

async function grow(
  context: Context,
  subject: Subject,
  names: readonly string[],
): Promise<{ pssBytes: number; availableBytes: number }> {
  const memory = async () => {
    await quiet(subject);
    return { pss: familyPssBytes(subject.pid ?? 0), available: availableBytes() ?? Number.NaN };
  };
  const before = await memory();
  await context.load.run({ kind: "once", endpoint: subject.endpoint, functionNames: names, parallel: 1 });
  const after = await memory();
  return { pssBytes: after.pss - before.pss, availableBytes: before.available - after.available };
}

/** PSS of one of `count` bare processes that stand side by side, as environments do. */
async function bareMemoryBytes({ command, args }: Floor, count: number): Promise<number> {
  const children = Array.from({ length: count }, () =>
    spawn(command, args, { env: SCRUBBED, stdio: ["ignore", "pipe", "ignore"] }),
  );
  try {
    await Promise.all(children.map((child) => once(child.stdout, "data")));
    for (const { pid } of children) if (pid !== undefined) await settled(pid);
    return median(children.map(({ pid }) => memoryOf(pid ?? 0)?.pssBytes ?? Number.NaN));
  } finally {
    const exits = children.map((child) => once(child, "exit"));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(exits);
  }
}
