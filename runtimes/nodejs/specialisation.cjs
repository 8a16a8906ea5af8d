"use strict";
/** What a runtime becomes at SPECIALISE, as far as the function's code is not needed for it. */
const { patchConsole } = require("./logging.cjs");
const { defineAwslambda } = require("./handler.cjs");

/** The frame's body: `{environment, handler, taskRoot, artefacts?}`. */
function parseSpecialisation(body) {
  return JSON.parse(body.toString("utf8"));
}

/** What the function's code finds around it: its variables, `console` and `awslambda`. */
function assume({ environment }) {
  // What it booted with is not set again: of some variables, such as TZ, Node takes note at some expense.
  for (const [name, value] of Object.entries(environment))
    if (process.env[name] !== value) process.env[name] = value;
  patchConsole();
  defineAwslambda();
}

/** Is there for the moment of a rehearsal only. */
const REHEARSAL_VARIABLE = "_HORNERO_REHEARSAL";

/** Does it for no function and takes it back: code that has run is compiled. */
function rehearse() {
  const methods = { ...console };
  const environment = { ...process.env, [REHEARSAL_VARIABLE]: "1" };
  assume(parseSpecialisation(Buffer.from(JSON.stringify({ environment }))));
  delete process.env[REHEARSAL_VARIABLE];
  delete globalThis.awslambda;
  for (const name of Object.keys(console)) if (!(name in methods)) delete console[name];
  Object.assign(console, methods);
}

module.exports = { assume, parseSpecialisation, rehearse };
