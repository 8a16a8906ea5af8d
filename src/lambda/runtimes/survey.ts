/**
 * Finds every CPython of this host and prints what it found as JSON: a program of its own, because a server that was
 * started as root gives root up, and interpreters below root's home can be looked at before that only.
 */
import { findPython, pythonInstallationFolders } from "./python-interpreters.ts";
import type { InterpreterSearch } from "./interpreter.ts";
import { RUNTIMES } from "./runtimes.ts";

// The server holds the other end: when it is gone nobody wants to know any more.
process.stdin.on("end", () => process.exit()).resume();

const found: Record<string, InterpreterSearch> = {};
for (const { family, version, runs } of RUNTIMES.values()) {
  if (family !== "python" || !runs) continue;
  found[version] = await findPython(version, {
    path: process.env["PATH"],
    installationFolders: pythonInstallationFolders(process.env),
  });
}
process.stdout.write(JSON.stringify(found), () => process.exit());
