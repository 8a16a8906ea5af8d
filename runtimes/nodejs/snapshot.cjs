"use strict";
/**
 * Builds the snapshot of a function's version, and is what a process that starts from it runs first: `node
 * --build-snapshot` runs this file, which loads the function's handler; then V8 writes the heap.
 *
 * After the restore it is the ordinary runtime (bootstrap.cjs), which finds the handler loaded. What must not be the
 * same in two environments is made anew: process.env and credentials come with SPECIALISE, and what Node has put
 * by of random numbers is used up.
 */
const { readFileSync } = require("node:fs");
const path = require("node:path");
const v8 = require("node:v8");
const { compileFunction } = require("node:vm");

const RUNTIME_FOLDER = path.dirname(process.argv[1]);
/** More than Node keeps in store: 128 UUIDs, and 6 KiB for integers of 6 bytes each. */
const UUIDS_IN_STORE = 256;
const INTEGERS_IN_STORE = 2048;

/** Runs a file of the runtime without a loader. */
function runFile(name, requireFile) {
  const file = path.join(RUNTIME_FOLDER, name);
  const module = { exports: {} };
  const parameters = ["require", "module", "__filename", "__dirname"];
  const run = compileFunction(readFileSync(file, "utf8"), parameters, { filename: file });
  run(requireFile, module, file, RUNTIME_FOLDER);
  return module.exports;
}

const { SnapshotLoader } = runFile("snapshot-loader.cjs", require);
const { restoreStandIns, standIn } = runFile("stand-ins.cjs", require);
const loader = new SnapshotLoader({
  builtin: (name) => process.getBuiltinModule(name) ?? require(name),
  standIn,
  folders: (process.env.NODE_PATH ?? "").split(":").filter((folder) => folder !== ""),
});
const requireRuntime = loader.requireFrom(RUNTIME_FOLDER);

async function build() {
  const { patchConsole } = requireRuntime("./logging.cjs");
  const { defineAwslambda, keepHandler } = requireRuntime("./handler.cjs");
  requireRuntime("./invocation.cjs");
  requireRuntime("./specialisation.cjs");
  const { LAMBDA_TASK_ROOT: taskRoot, _HANDLER: handler } = process.env;
  patchConsole();
  defineAwslambda();
  await keepHandler(taskRoot, handler, loader.requireFrom(taskRoot));
  v8.startupSnapshot.setDeserializeMainFunction(restore);
}

function restore() {
  restoreStandIns();
  const { randomInt, randomUUID } = process.getBuiltinModule("crypto");
  for (let count = 0; count < UUIDS_IN_STORE; count += 1) randomUUID();
  for (let count = 0; count < INTEGERS_IN_STORE; count += 1) randomInt(2);
  requireRuntime("./bootstrap.cjs");
}

build().catch((error) => {
  process.stderr.write(`${error?.stack ?? error}\n`);
  process.exit(1);
});
