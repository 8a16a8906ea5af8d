"use strict";
/** `console` as Lambda has it: each call is one log event with time, request id and level, in text or JSON. */
const { format } = require("node:util");
const { sendLog } = require("./link.cjs");
const { intoError, toLogText } = require("./errors.cjs");

const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };

/** What the log lines of the running invocation carry. AWS prints "undefined" before the first one; so does this. */
const current = { requestId: undefined, tenantId: undefined };
/** Whose lines they are where several run at a time; replaced then. */
let whose = () => current;

/** Has log lines carry what `find` answers, if it does. */
function carry(find) {
  whose = () => find() ?? current;
}

let writeError = logErrorAsText;

/** Reads AWS_LAMBDA_LOG_FORMAT and AWS_LAMBDA_LOG_LEVEL and replaces the methods of `console`. */
function patchConsole() {
  const json = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON";
  const least = LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? LEVELS.TRACE;
  const write = json ? writeJson : writeText;
  const at = (name) => {
    const level = LEVELS[name];
    if (level < least) return () => {};
    return (...args) => write(name, level, args);
  };
  console.trace = at("TRACE");
  console.debug = at("DEBUG");
  console.info = at("INFO");
  console.log = console.info;
  console.warn = at("WARN");
  console.error = at("ERROR");
  console.fatal = at("FATAL");
  writeError = json ? logErrorAsJson : logErrorAsText;
}

/** Logs an error that the runtime reports: `what` names the occasion, e.g. "Invoke Error". */
function logError(what, thrown) {
  writeError(what, intoError(thrown));
}

function logErrorAsText(what, error) {
  console.error(what, toLogText(error));
}

function logErrorAsJson(_what, error) {
  console.error(error);
}

function writeText(name, level, args) {
  const now = new Date();
  sendLog(now.getTime(), level, `${now.toISOString()}\t${whose().requestId}\t${name}\t${format(...args)}`);
}

function writeJson(name, level, args) {
  const now = new Date();
  const { requestId, tenantId } = whose();
  const record = { timestamp: now.toISOString(), level: name, requestId };
  if (tenantId !== undefined) record.tenantId = tenantId;
  sendLog(now.getTime(), level, formatRecord(record, args));
}

/** A single argument stays structured; several are formatted as text, and the first error among them is told apart. */
function formatRecord(record, args) {
  if (args.length === 1) {
    try {
      return JSON.stringify({ ...record, message: args[0] }, expandErrors);
    } catch {
      // Circular or a BigInt: the text form can show what JSON cannot.
      return JSON.stringify({ ...record, message: format(args[0]) });
    }
  }
  record.message = format(...args);
  const error = args.find((arg) => arg instanceof Error);
  if (error !== undefined) Object.assign(record, describe(error));
  return JSON.stringify(record);
}

function expandErrors(_key, value) {
  return value instanceof Error ? Object.assign(describe(value), value) : value;
}

function describe(error) {
  const runtimeType = error.name?.startsWith?.("Runtime.") ? error.name : undefined;
  return {
    errorType: runtimeType ?? error.constructor?.name ?? "UnknownError",
    errorMessage: error.message,
    stackTrace: typeof error.stack === "string" ? error.stack.split("\n") : [],
  };
}

module.exports = { carry, current, patchConsole, logError };
