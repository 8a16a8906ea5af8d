/**
 * The first invocation of a Python function that imports a package of 1 MB of source: from its source, and from the
 * bytecode that publishing made of it; each with a waiting sandbox and forked when it is needed. Both functions are published the
 * same; the one takes the loader of bytecode out of the interpreter before it imports the package.
 */
import { strToU8, zipSync } from "fflate";
import { call } from "../support/client.ts";
import { startSubject, type Context, type Subject } from "../support/context.ts";
import { deleteFunction, newNames } from "../support/functions.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";
import { active, FUNCTIONS, invokeAtRest } from "./snapstart.ts";

const GROUP = "first invocation of 1 MB of Python";
const POOL = 2;
const MEMORY_MB = 1769;
const MODULES = 40;
const CLASSES_PER_MODULE = 40;
const WITHOUT_BYTECODE = `import sys
sys.path_hooks.pop(0)
sys.path_importer_cache.pop("/var/task")
`;
const HANDLER = `import package
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return [calls, len(package.ALL)]
`;

export async function benchBytecode(context: Context): Promise<void> {
  const { python } = context;
  if (!python) return;
  const pooled = await startSubject(context, POOL);
  const poolless = await startSubject(context, 0);
  try {
    const start = (subject: Subject, how: string) => () => firstInvocation(subject, python.runtime, how);
    for (const subject of [pooled, poolless]) await start(subject, "")();
    const { rounds } = context.sizes;
    const [sourceHit = [], bytecodeHit = [], sourceMiss = [], bytecodeMiss = []] = await interleave(
      { rounds, deadlineMs: context.deadlineMs },
      [pooled, poolless].flatMap((subject) => [start(subject, WITHOUT_BYTECODE), start(subject, "")]),
    );
    tell(context, "hit", "waiting sandbox", sourceHit, bytecodeHit);
    tell(context, "miss", "none waiting", sourceMiss, bytecodeMiss);
  } finally {
    await poolless.close();
    await pooled.close();
  }
}

function tell(
  context: Context,
  id: string,
  how: string,
  source: readonly number[],
  bytecode: readonly number[],
): void {
  context.row({
    id: `python-bytecode-${id}`,
    group: GROUP,
    what: `bytecode, ${how}`,
    unit: "ms",
    value: summarise(bytecode),
    floor: { what: "from source", value: summarise(source) },
    ratio: summariseRatios(bytecode, source),
    target: { of: "ratio", limit: 0.5, want: "at most" },
  });
}

async function firstInvocation(subject: Subject, runtime: string, before: string): Promise<number> {
  const { endpoint } = subject;
  const [name = ""] = newNames(1);
  const files = { "index.py": `# ${name}\n${before}${HANDLER}`, ...sources() };
  const zip = zipSync(Object.fromEntries(Object.entries(files).map(([path, text]) => [path, strToU8(text)])));
  await call(endpoint, "POST", FUNCTIONS, {
    FunctionName: name,
    Role: "arn:aws:iam::000000000000:role/lambda",
    Runtime: runtime,
    Handler: "index.handler",
    MemorySize: MEMORY_MB,
    Timeout: 30,
    Code: { ZipFile: Buffer.from(zip).toString("base64") },
  });
  try {
    await active(subject, name, "");
    return await invokeAtRest(subject, name, "", `[1, ${MODULES}]`);
  } finally {
    await deleteFunction(endpoint, name);
  }
}

/** A package as generated clients are: classes with documented methods, and tables. */
function sources(): Record<string, string> {
  const names = Array.from({ length: MODULES }, (_, at) => `part${at}`);
  const classes = Array.from({ length: CLASSES_PER_MODULE }, (_, at) => pythonClass(at)).join("\n\n");
  const modules = names.map((name) => [`package/${name}.py`, `NAME = "${name}"\n\n${classes}`]);
  const root = `from . import ${names.join(", ")}\n\nALL = [${names.join(", ")}]\n`;
  return { "package/__init__.py": root, ...Object.fromEntries(modules) };
}

function pythonClass(at: number): string {
  return `class Shape${at}:
    """One shape of the service, as its model describes it."""

    MEMBERS = {"Name": ("string", 1, ${at}), "Tags": ("list", 0, 50), "Size": ("integer", 0, 1024)}

    def __init__(self, name, tags=(), size=0):
        self.name = name
        self.tags = list(tags)
        self.size = size

    def validate(self):
        """Raises ValueError when a member is out of its bounds."""
        if not 1 <= len(self.name) <= ${at + 64}:
            raise ValueError("name: %d characters" % len(self.name))
        return all(isinstance(tag, str) for tag in self.tags)`;
}
