"use strict";
/** The errors that the runtime itself raises, and the forms in which any thrown value is told: to the caller and to the log. */

/** An error whose name is `Runtime.…`, as the platform knows it. */
class RuntimeError extends Error {
  constructor(type, message, options) {
    super(message, options);
    this.name = `Runtime.${type}`;
    // The name came after the stack was made, which begins with it.
    if (typeof this.stack === "string") this.stack = this.stack.replace(/^Error/, this.name);
  }
}

class UnhandledPromiseRejection extends RuntimeError {
  constructor(reason, promise) {
    super("UnhandledPromiseRejection", String(reason));
    this.reason = reason;
    this.promise = promise;
  }
}

/** Errors of other realms (vm contexts) and look-alikes count as errors too. */
function isError(thrown) {
  if (thrown instanceof Error) return true;
  return (
    typeof thrown === "object" &&
    thrown !== null &&
    typeof thrown.name === "string" &&
    typeof thrown.message === "string" &&
    typeof thrown.stack === "string"
  );
}

function intoError(thrown) {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** What the caller gets: `{errorType, errorMessage, trace}`. Never throws, whatever a getter of the error does. */
function toResponse(thrown) {
  try {
    if (!isError(thrown)) return { errorType: typeof thrown, errorMessage: String(thrown), trace: [] };
    return {
      errorType: String(thrown.name),
      errorMessage: String(thrown.message),
      trace: typeof thrown.stack === "string" ? thrown.stack.split("\n") : [],
    };
  } catch {
    return {
      errorType: "handled",
      errorMessage:
        "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack",
      trace: [],
    };
  }
}

/** What a text log line says of an error: a tab, then JSON with the error's own members too. */
function toLogText(error) {
  try {
    return `\t${JSON.stringify(error, withHiddenMembers)}`;
  } catch {
    return `\t${JSON.stringify(toResponse(error))}`;
  }
}

/** Name, message, code and stack are not enumerable: JSON.stringify alone would show none of them. */
function withHiddenMembers(_key, value) {
  if (!(value instanceof Error)) return value;
  const members = { errorType: value.name, errorMessage: value.message, code: value.code };
  Object.assign(members, value);
  // RuntimeError's name is a member of its own, told as errorType already.
  delete members.name;
  if (typeof value.stack === "string") members.stack = value.stack.split("\n");
  return members;
}

module.exports = { RuntimeError, UnhandledPromiseRejection, intoError, toResponse, toLogText };
