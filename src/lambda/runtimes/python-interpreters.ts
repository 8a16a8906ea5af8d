/** Finds a CPython of a given version: on the PATH, from pyenv or uv, or the system's own. */
import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { onPath, placeInterpreter, probe, type Interpreter, type InterpreterSearch } from "./interpreter.ts";

export interface PythonSearch {
  /** Search path; the server's own PATH. */
  readonly path: string | undefined;
  /** Folders with one installation each, as pyenv and uv keep them. */
  readonly installationFolders: readonly string[];
}

/** Where version managers keep their interpreters. */
export function pythonInstallationFolders(env: Readonly<Record<string, string | undefined>>): string[] {
  const home = env["HOME"] ?? homedir();
  return [
    join(env["PYENV_ROOT"] ?? join(home, ".pyenv"), "versions"),
    env["UV_PYTHON_INSTALL_DIR"] ??
      join(env["XDG_DATA_HOME"] ?? join(home, ".local", "share"), "uv", "python"),
  ];
}

/** `version` is `3.12`; the newest patch release of a folder is preferred. */
export async function findPython(version: string, search: PythonSearch): Promise<InterpreterSearch> {
  const name = `python${version}`;
  const candidates = [
    ...onPath(name, search.path),
    ...search.installationFolders.flatMap((folder) => installations(folder, version)),
    ...onPath(name, "/usr/local/bin:/usr/bin"),
  ];
  for (const program of new Set(candidates)) {
    const found = await askPython(program, version);
    if (found) return { found };
  }
  const uv = onPath("uv", search.path).length > 0;
  const pyenv = !uv && onPath("pyenv", search.path).length > 0;
  return {
    found: undefined,
    reason: `There is no CPython ${version} on the PATH, in pyenv, in uv or in /usr/bin.`,
    fix: pyenv ? `pyenv install ${version}` : `uv python install ${version}`,
  };
}

/** pyenv: `3.12.1`, `3.15-dev`; uv: `cpython-3.12.1-linux-x86_64-gnu`. */
function installations(folder: string, version: string): string[] {
  const pattern = new RegExp(`^(cpython-)?${version.replaceAll(".", "\\.")}(\\.|-|$)`);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const newestFirst = new Intl.Collator("en", { numeric: true });
  return names
    .filter((name) => pattern.test(name))
    .sort((a, b) => newestFirst.compare(b, a))
    .map((name) => join(folder, name, "bin", `python${version}`));
}

const QUESTION = `
import sys, json, logging, ssl
print(sys.implementation.name, "%d.%d.%d" % sys.version_info[:3], sys.base_prefix == sys.base_exec_prefix, sys.base_prefix)`;

/**
 * A shim cannot answer in a scrubbed environment; a virtual environment answers with the installation behind it. The
 * modules it must load are those that every function needs: an interpreter built without them is passed over.
 */
async function askPython(program: string, version: string): Promise<Interpreter | undefined> {
  const answer = await probe(program, ["-I", "-c", QUESTION]);
  const [, release, prefix] = /^cpython (\d+\.\d+\.\d+) True (\/.*)\n$/.exec(answer ?? "") ?? [];
  if (release === undefined || prefix === undefined || !release.startsWith(`${version}.`)) return undefined;
  return placeInterpreter(prefix, `python${version}`, release);
}
