/**
 * Goal: a Python function takes the bytecode that was made of its code, sees no other difference, and whatever bytecode
 * there cannot be is loaded as ever; the compiler runs nothing and outlives any source.
 * Method: compiler and runtime as plain child processes on every CPython at hand. To tell where a module came from, the
 * runtime is shown sources that say `source`, with the bytecode of sources that say `bytecode`.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { strToU8, zipSync } from "fflate";
import { FRAME } from "../../src/lambda/environment/link.ts";
import { runtimesAtHand, type RuntimeAtHand } from "./interpreters.ts";
import { RuntimeProcess } from "./runtime-process.ts";

const COMPILER = join(import.meta.dirname, "..", "..", "runtimes", "python", "compile_code.py");
type Files = Readonly<Record<string, string | Uint8Array>>;

/** A function with its layers and its bytecode, in folders of its own. */
class World {
  readonly #folder = mkdtempSync(join(tmpdir(), "hornero-bytecode-"));
  readonly task = join(this.#folder, "task");
  readonly layers = join(this.#folder, "opt");
  readonly artefacts = join(this.#folder, "artefacts");
  readonly #runtime: RuntimeAtHand;

  constructor(runtime: RuntimeAtHand, files: Files) {
    this.#runtime = runtime;
    for (const path of [this.task, this.layers, this.artefacts]) mkdirSync(path);
    this.write(files);
  }

  write(files: Files): void {
    for (const [name, content] of Object.entries(files)) {
      const path = join(this.#folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
  }

  /** Fills the folder of artefacts, and resolves with what the compiler wrote to its outputs. */
  async compile(): Promise<string> {
    const { command, environment } = this.#runtime;
    const program = [command[0] ?? "", "-S", COMPILER, this.task, this.layers];
    await using compiler = new RuntimeProcess(program, { ...environment });
    for (;;) {
      const frame = await compiler.frame();
      if (frame?.type === FRAME.PREPARED) break;
      assert.equal(frame?.type, FRAME.FILE, `${String(frame?.body)} ${compiler.stderr}`);
      const contentAt = 2 + frame.body.readUInt16LE(0);
      const name = frame.body.toString("utf8", 2, contentAt);
      appendFileSync(join(this.artefacts, name), frame.body.subarray(contentAt));
    }
    assert.equal((await compiler.exited).code, 0);
    return compiler.stdout + compiler.stderr;
  }

  /** The answer of app.handler, or the error of its init phase. */
  async run({
    bytecode = true,
    variables = {},
  }: { bytecode?: boolean; variables?: Record<string, string> } = {}): Promise<unknown> {
    const { command, environment } = this.#runtime;
    await using started = new RuntimeProcess(command, { ...environment, ...variables });
    const places = { layersRoot: this.layers, ...(bytecode ? { artefacts: this.artefacts } : {}) };
    const { type, body } = await started.start(this.task, "app.handler", variables, places);
    if (type !== FRAME.READY) return JSON.parse(body.toString());
    return JSON.parse(String((await started.invoke({}))?.body));
  }

  /** Runs a program of the test's in the same interpreter. */
  python(...args: string[]): void {
    execFileSync(this.#runtime.command[0] ?? "", args, { cwd: this.task });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const runtimes = await runtimesAtHand("python");
for (const runtime of runtimes) {
  describe(runtime.id, { concurrency: 2 }, () => {
    origins(runtime);
    likeness(runtime);
    leftOut(runtime);
  });
}

const MODULES = ["app", "pkg", "pkg.mod", "spaced.ünï", "layered", "inlib"];
/** A function whose modules say `word`: one of each kind of place. */
function speaking(word: string): Files {
  const says = `SAYS = ${JSON.stringify(word)}\n`;
  return {
    "task/app.py": `${says}import importlib
def handler(event, context):
    return [importlib.import_module(name).SAYS for name in ${JSON.stringify(MODULES)}]
`,
    "task/pkg/__init__.py": says,
    "task/pkg/mod.py": says,
    // A namespace package, and a name that not every encoding has.
    "task/spaced/ünï.py": says,
    "opt/python/layered.py": says,
    "opt/python/lib/any/inlib.py": says,
  };
}

function origins(runtime: RuntimeAtHand): void {
  const place = (world: World) => ({ PYTHONPATH: join(world.layers, "python/lib/any") });

  test("modules of the function and of its layers come from bytecode", async () => {
    using world = new World(runtime, speaking("bytecode"));
    assert.equal(await world.compile(), "");
    world.write(speaking("source"));
    const all = (word: string) => MODULES.map(() => word);
    assert.deepEqual(await world.run({ variables: place(world) }), all("bytecode"));
    assert.deepEqual(await world.run({ variables: place(world), bytecode: false }), all("source"));
  });

  test("bytecode is not taken by another interpreter, with other flags, cut short, or where there is none", async () => {
    using world = new World(runtime, speaking("bytecode"));
    assert.deepEqual(
      await world.run({ variables: place(world) }),
      MODULES.map(() => "bytecode"),
    );
    await world.compile();
    world.write(speaking("source"));
    const optimised = { ...place(world), PYTHONOPTIMIZE: "1" };
    assert.deepEqual(
      await world.run({ variables: optimised }),
      MODULES.map(() => "source"),
    );
    const index = readFileSync(join(world.artefacts, "bytecode.index"));
    world.write({ "artefacts/bytecode.index": index.subarray(0, 20) });
    assert.deepEqual(
      await world.run({ variables: place(world) }),
      MODULES.map(() => "source"),
    );
    world.write({ "artefacts/bytecode.index": index, "artefacts/bytecode": "" });
    assert.deepEqual(
      await world.run({ variables: place(world) }),
      MODULES.map(() => "source"),
    );
    world.write({ "artefacts/bytecode.index": "another interpreter's" });
    assert.deepEqual(
      await world.run({ variables: place(world) }),
      MODULES.map(() => "source"),
    );
  });
}

const PORTRAIT = `
import importlib, inspect, sys, traceback
import wave
import pkg.mod, space.inner, layered
sys.path.append(sys.path[0] + "/zipped.zip")
import zipped
def look(module):
    spec = module.__spec__
    return [module.__name__, getattr(module, "__file__", None), getattr(module, "__cached__", None), spec.origin,
            spec.cached, list(spec.submodule_search_locations or []), isinstance(module.__loader__, SourceLoader),
            module.__loader__.get_source(module.__name__) if spec.origin else None]
from importlib.machinery import SourceFileLoader as SourceLoader
def frames():
    try:
        pkg.mod.fail()
    except ValueError as error:
        return traceback.format_exc()
def handler(event, context):
    first = [look(each) for each in (pkg, pkg.mod, layered, wave, zipped)] + [list(space.__path__)]
    before = pkg.mod.fail
    again = importlib.reload(pkg.mod)
    return {"modules": first, "trace": frames(), "text": inspect.getsource(pkg.mod.fail), "prefix": sys.pycache_prefix,
            "code": [pkg.mod.fail.__code__.co_filename, pkg.mod.fail.__code__.co_consts[0]],
            "reloaded": again is pkg.mod and before is not pkg.mod.fail, "data": pkg.mod.DATA,
            "path": sys.path, "resource": again.__loader__.get_data(again.__file__).decode()}
`;

function likeness(runtime: RuntimeAtHand): void {
  test("files, tracebacks, sources, reloads, namespaces, zips: as without", async () => {
    using world = new World(runtime, {
      "task/app.py": PORTRAIT,
      "task/pkg/__init__.py": "",
      "task/pkg/mod.py": `import pkgutil
DATA = pkgutil.get_data("pkg", "data.txt").decode()
def fail():
    "Says no."
    raise ValueError("no")
`,
      "task/pkg/data.txt": "data",
      "task/space/inner.py": "",
      "task/zipped.zip": zipSync({ "zipped.py": strToU8("x = 1\n") }),
      "opt/python/layered.py": "",
    });
    await world.compile();
    const without = (await world.run({ bytecode: false })) as Record<string, unknown>;
    assert.equal(without["reloaded"], true, JSON.stringify(without));
    assert.match(String(without["trace"]), /task\/pkg\/mod\.py", line 5, in fail\n/);
    assert.deepEqual(await world.run(), without);
  });
}

function leftOut(runtime: RuntimeAtHand): void {
  test("sources that are no Python, that warn, or that are too large, are loaded as ever", async () => {
    const odd: Record<string, string | Uint8Array> = {
      broken: "def handler(:\n",
      null: "x = 1\0\n",
      latin: Buffer.from("x = '\xe9'\n", "latin1"),
      deep: `x = ${"(".repeat(10_000)}1${")".repeat(10_000)}\n`,
      warns: "x = 1 is 1\n",
      large: `x = 1\n#${"x".repeat(2 * 1024 * 1024)}\n`,
    };
    const names = Object.keys(odd);
    const files = (content: (name: string) => string | Uint8Array) =>
      Object.fromEntries(names.map((name) => [`task/${name}.py`, content(name)]));
    using world = new World(runtime, {
      "task/app.py": `import importlib
def handler(event, context):
    return [importlib.import_module(name).SAYS for name in ${JSON.stringify([...names, "after"])}]
`,
      ...files((name) => odd[name] ?? ""),
      "task/folder.py/file.txt": "",
      // Would end the compiler if it ran.
      "task/ends.py": "import os\nos._exit(3)\n",
      "task/after.py": "SAYS = 'bytecode'\n",
    });
    symlinkSync("nowhere.py", join(world.task, "dangling.py"));
    symlinkSync(".", join(world.task, "circle"));
    assert.equal(await world.compile(), "", "quiet");
    world.write(files(() => "SAYS = 'source'\n"));
    world.write({ "task/after.py": "SAYS = 'source'\n" });
    assert.deepEqual(await world.run(), [...names.map(() => "source"), "bytecode"]);
  });

  test("bytecode that the zip brings along counts where the interpreter would take it", async () => {
    using world = new World(runtime, {
      "task/app.py": `import stale, unchecked, sourceless
def handler(event, context):
    return [stale.SAYS, unchecked.SAYS, sourceless.SAYS]
`,
      "task/stale.py": "SAYS = 'old'\n",
      "task/unchecked.py": "SAYS = 'brought along'\n",
      "task/plain.py": "SAYS = 'sourceless'\n",
    });
    world.python("-m", "py_compile", "stale.py");
    const unchecked =
      "import py_compile as p; p.compile('unchecked.py', invalidation_mode=p.PycInvalidationMode.UNCHECKED_HASH);" +
      "p.compile('plain.py', 'sourceless.pyc')";
    world.python("-c", unchecked);
    world.write({ "task/stale.py": "SAYS = 'newer'\n", "task/unchecked.py": "SAYS = 'not looked at'\n" });
    await world.compile();
    const expected = ["newer", "brought along", "sourceless"];
    assert.deepEqual(await world.run({ bytecode: false }), expected);
    assert.deepEqual(await world.run(), expected);
  });
}
