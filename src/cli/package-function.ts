/** From a folder to a deployment package: which runtime and handler it means, and its zip. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  type Stats,
} from "node:fs";
import { isAbsolute, join, normalize, sep } from "node:path";
import { zipSync, type Zippable } from "fflate";
import { coerceError } from "../kernel/deferred.ts";
import { RUNTIMES } from "../lambda/runtimes/runtimes.ts";
import { ZIP_ENTRIES_MAX } from "../limits.ts";
import { CliError } from "./errors.ts";

export interface FunctionShape {
  readonly runtime: string;
  readonly handler: string;
}

const NODE_RUNTIME = "nodejs24.x";
/** When the machine's own python3 says nothing better. */
const PYTHON_RUNTIME_DEFAULT = "python3.13";
const PYTHON_ANSWER_MS_MAX = 10_000;
const NODE_FILES = ["index.mjs", "index.js", "index.cjs"];
const PYTHON_FILES = ["lambda_function.py", "handler.py", "main.py", "app.py", "index.py"];
/** Never part of a function. */
const LEFT_OUT = new Set([".git", ".DS_Store", "__pycache__", ".venv", ".hornero"]);
const EXECUTABLE = 0o111;
/** Every file of a zip has the same time, so that the same content is the same zip and keeps its SHA-256. */
const TIME = new Date("1980-01-01T00:00:00Z");

/** What is in the folder says what it is. Throws CliError when nothing does. */
export function detectShape(folder: string): FunctionShape {
  const names = new Set(readdirSync(folder));
  if (names.has("bootstrap")) return { runtime: "provided.al2023", handler: "bootstrap" };
  const node = (names.has("package.json") ? packageMain(folder) : undefined) ?? nodeFile(names);
  if (node !== undefined)
    return { runtime: NODE_RUNTIME, handler: `${node.replace(/\.[cm]?js$/, "")}.handler` };
  const python = PYTHON_FILES.find((name) => names.has(name));
  if (python !== undefined) {
    const module = python.replace(/\.py$/, "");
    return { runtime: pythonRuntime(), handler: `${module}.${pythonEntry(join(folder, python))}` };
  }
  throw new CliError(`cannot tell what kind of function ${folder} is`, {
    hint: `It has none of ${[...NODE_FILES, ...PYTHON_FILES, "bootstrap"].join(", ")}. Say it: --runtime nodejs24.x --handler file.export`,
  });
}

/** The file that package.json names as the package's own, when there is one of that name. */
function packageMain(folder: string): string | undefined {
  const path = join(folder, "package.json");
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new CliError(`${path} is not JSON: ${coerceError(error).message}`, { cause: error });
  }
  const main =
    typeof content === "object" && content !== null && "main" in content ? content.main : undefined;
  if (typeof main !== "string") return undefined;
  const name = normalize(main);
  const isInside = !isAbsolute(name) && name.split(sep)[0] !== "..";
  return isInside && /\.[cm]?js$/.test(name) && existsSync(join(folder, name)) ? name : undefined;
}

function nodeFile(names: ReadonlySet<string>): string | undefined {
  return NODE_FILES.find((name) => names.has(name));
}

/** The runtime of the machine's python3: packages that its pip put into the folder are built for it. */
function pythonRuntime(): string {
  const program = "import sys; print('python%d.%d' % sys.version_info[:2])";
  const asked = spawnSync("python3", ["-c", program], { encoding: "utf8", timeout: PYTHON_ANSWER_MS_MAX });
  const id = asked.status === 0 ? asked.stdout.trim() : "";
  return RUNTIMES.get(id)?.runs === true ? id : PYTHON_RUNTIME_DEFAULT;
}

function pythonEntry(file: string): string {
  const source = readFileSync(file, "utf8");
  const names = ["lambda_handler", "handler", "main"];
  return names.find((name) => new RegExp(`^(async )?def ${name}\\(`, "m").test(source)) ?? "lambda_handler";
}

/** The folder as a zip: same content, same bytes. */
export function zipFolder(folder: string): Buffer {
  const entries: Zippable = {};
  let count = 0;
  const visit = (path: string, name: string) => {
    for (const child of readdirSync(path).sort()) {
      if (LEFT_OUT.has(child)) continue;
      const inside = join(path, child);
      const inName = name === "" ? child : `${name}/${child}`;
      const stats = lstatSync(inside);
      if (stats.isDirectory()) {
        visit(inside, inName);
        continue;
      }
      count += 1;
      if (count > ZIP_ENTRIES_MAX) throw new CliError(`${folder} has more than ${ZIP_ENTRIES_MAX} files`);
      entries[inName] = entry(inside, stats);
    }
  };
  visit(folder, "");
  if (count === 0) throw new CliError(`${folder} is empty`);
  return Buffer.from(zipSync(entries, { level: 6 }));
}

function entry(path: string, stats: Stats): Zippable[string] {
  const UNIX = 3;
  if (stats.isSymbolicLink()) {
    const mode = (0o120_777 << 16) >>> 0;
    return [Buffer.from(readlinkSync(path)), { mtime: TIME, os: UNIX, attrs: mode }];
  }
  const permissions = (statSync(path).mode & EXECUTABLE) === 0 ? 0o100_644 : 0o100_755;
  return [readFileSync(path), { mtime: TIME, os: UNIX, attrs: (permissions << 16) >>> 0 }];
}
