// Goal: the bubblewrap driver keeps the sandbox contract on this machine.
// Method: the conformance suite.
import { systemClock } from "../../../kernel/clock.ts";
import { sandboxSuite } from "../conformance.ts";
import { createBubblewrapDriver } from "./driver.ts";

sandboxSuite("bubblewrap", ({ code, runtime, lang, data }) =>
  createBubblewrapDriver({
    node: process.execPath,
    codeDirectory: code,
    runtimesDirectories: [runtime, lang],
    dataDirectory: data,
    endpointPort: 4566,
    clock: systemClock,
  }),
);
