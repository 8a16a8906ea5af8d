"use strict";
/** Sends a file that the program before it has made: `node send-artefact.cjs FILE NAME`. */
const { readFileSync } = require("node:fs");
const { FRAME, sendFile, sendText } = require("./link.cjs");

const [, , file, name] = process.argv;
sendFile(name, readFileSync(file));
sendText(FRAME.PREPARED, "", "");
