"use strict";
/** Finds and loads the function's handler as AWS's Node.js runtimes do. */
const fs = require("node:fs");
const path = require("node:path");
const { RuntimeError } = require("./errors.cjs");

const NODE_MAJOR = Number.parseInt(process.versions.node, 10);
const HANDLER_STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const HANDLER_HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");
const CALLBACK_REMOVED =
  "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.";

/** The handler that was loaded before a snapshot was taken. */
let kept;

/**
 * Loads `handler` (`folder/file.export.nested`) from below `taskRoot`. Resolves with the function and how to call it.
 * Rejects with a RuntimeError, or with whatever the function's own code threw while it was loaded.
 */
async function loadHandler(taskRoot, handler) {
  if (kept) return kept;
  const { folder, module: name, path: exported } = splitHandler(handler);
  return chooseHandler(handler, await loadModule(taskRoot, folder, name), exported);
}

/** Loads a CommonJS handler with a `require` of the caller's, for loadHandler to find it later. */
async function keepHandler(taskRoot, handler, requireCode) {
  const { folder, module: name, path: exported } = splitHandler(handler);
  const found = findFile(path.resolve(taskRoot, folder, name));
  if (!found) throw new RuntimeError("ImportModuleError", `Error: Cannot find module '${name}'`);
  if (found.esm || !/\.(c?js)$/.test(found.path)) throw new Error(`${found.path} is not CommonJS`);
  kept = chooseHandler(handler, requireCode(found.path), exported);
}

function isHandlerKept() {
  return kept !== undefined;
}

function chooseHandler(handler, module, exported) {
  const fn = findExport(module, exported) ?? findExport(module?.default, exported);
  if (!fn) throw new RuntimeError("HandlerNotFound", `${handler} is undefined or not exported`);
  if (typeof fn !== "function") throw new RuntimeError("HandlerNotFound", `${handler} is not a function`);
  return describeHandler(fn);
}

/** `folder/file.export.nested` in its parts. */
function splitHandler(handler) {
  if (handler.includes("..")) {
    throw new RuntimeError(
      "MalformedHandlerName",
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(handler);
  const folder = handler.slice(0, handler.indexOf(base));
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw new RuntimeError("MalformedHandlerName", "Bad handler");
  return { folder, module: match[1], path: match[2] };
}

/** The global through which handlers say that they stream, unless the function does without it. */
function defineAwslambda() {
  if (["1", "true"].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[HANDLER_STREAMING] = "response";
      if (typeof options?.highWaterMark === "number") {
        handler[HANDLER_HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      }
      return handler;
    },
    // Streams are loaded by the functions that stream.
    get HttpResponseStream() {
      return require("./response-stream.cjs").HttpResponseStream;
    },
  };
}

function describeHandler(fn) {
  const streaming = fn[HANDLER_STREAMING];
  if (streaming && streaming !== "response") {
    throw new RuntimeError("MalformedStreamingHandler", "Only response streaming is supported.");
  }
  if (NODE_MAJOR >= 24 && fn.length >= 3 && !streaming) {
    throw new RuntimeError("CallbackHandlerDeprecated", CALLBACK_REMOVED);
  }
  const highWaterMark = Number.parseInt(fn[HANDLER_HIGH_WATER_MARK], 10);
  return {
    fn,
    streaming: Boolean(streaming),
    highWaterMark: Number.isNaN(highWaterMark) ? undefined : highWaterMark,
    isAsync: fn.constructor?.name === "AsyncFunction",
  };
}

function findExport(module, name) {
  let value = module;
  for (const key of name.split(".")) {
    if (value === undefined || value === null) return undefined;
    value = value[key];
  }
  return value;
}

async function loadModule(taskRoot, folder, name) {
  const file = path.resolve(taskRoot, folder, name);
  // A require of our own, so that messages name AWS's entry file and resolution starts from /var/runtime as there.
  const require = createRequire();
  try {
    const found = findFile(file);
    if (!found) return require(require.resolve(name, { paths: [taskRoot, path.join(taskRoot, folder)] }));
    if (found.esm) return await importFile(found.path);
    return await requireFile(require, found.path);
  } catch (error) {
    if (error instanceof SyntaxError) {
      const wrapped = new RuntimeError("UserCodeSyntaxError", String(error));
      // The original stack names the line of the function's code; ours would not.
      wrapped.stack = error.stack;
      throw wrapped;
    }
    if (error?.code === "MODULE_NOT_FOUND")
      throw new RuntimeError("ImportModuleError", `Error: ${error.message}`);
    throw error;
  }
}

let requireOfRuntime;

/** Made once, while the runtime warms up. */
function createRequire() {
  requireOfRuntime ??= require("node:module").createRequire(path.join(__dirname, "index.mjs"));
  return requireOfRuntime;
}

/** In AWS's order: `.mjs` is an ES module, `.cjs` is not, of `.js` the nearest package.json decides. */
const EXTENSIONS = ["", ".js", ".mjs", ".cjs", ...(NODE_MAJOR >= 24 ? [".ts", ".mts", ".cts"] : [])];

/** The first of AWS's candidates that exists, and whether it is loaded as an ES module. */
function findFile(file) {
  for (const extension of EXTENSIONS) {
    const candidate = file + extension;
    if (!fs.statSync(candidate, { throwIfNoEntry: false })?.isFile()) continue;
    const kind = extension.charAt(1);
    const esm = kind === "m" || ((kind === "j" || kind === "t") && isModulePackage(path.dirname(file)));
    return { path: candidate, esm };
  }
  return undefined;
}

/** Whether the nearest package.json says `"type": "module"`; the search ends at a node_modules folder. */
function isModulePackage(folder) {
  if (path.basename(folder) === "node_modules") return false;
  const file = path.join(folder, "package.json");
  // Not by the error of reading it: making an error takes longer than all the rest.
  if (!fs.statSync(file, { throwIfNoEntry: false })) {
    const parent = path.dirname(folder);
    return parent !== folder && isModulePackage(parent);
  }
  const text = fs.readFileSync(file, "utf8");
  try {
    return JSON.parse(text)?.type === "module";
  } catch (error) {
    console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
    return false;
  }
}

async function requireFile(require, file) {
  try {
    return require(file);
  } catch (error) {
    // From Node 24 on a .js file may turn out to be an ES module that awaits at its top level: only import() can load it.
    if (NODE_MAJOR >= 24 && error?.code === "ERR_REQUIRE_ASYNC_MODULE") return importFile(file);
    throw error;
  }
}

function importFile(file) {
  return import(require("node:url").pathToFileURL(file).href);
}

module.exports = {
  NODE_MAJOR,
  HANDLER_STREAMING,
  HANDLER_HIGH_WATER_MARK,
  defineAwslambda,
  findFile,
  isHandlerKept,
  isModulePackage,
  keepHandler,
  loadHandler,
  splitHandler,
};
