// Goal: what the commands print is what a person and a shell can read: aligned tables, words that stay words, errors with a way on.
// Method: examples for the eye, and for quoting any string, evaluated by a real shell.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AwsError } from "../errors.ts";
import { SandboxError } from "../lambda/sandbox/sandbox.ts";
import { quoted } from "./commands/env.ts";
import { ConfigurationError } from "./configuration.ts";
import { CliError, EXIT, report } from "./errors.ts";
import { table } from "./table.ts";

describe("table", () => {
  it("makes columns as wide as their longest cell, and ends no line with spaces", () => {
    const rows = [
      ["a", "12"],
      ["longer name", "3"],
    ];
    assert.equal(table(["NAME", "N"], rows), "NAME         N\na            12\nlonger name  3\n");
  });

  it("puts numbers at the right end of their column", () => {
    const rows = [
      ["a", "12"],
      ["b", "3"],
    ];
    assert.equal(table(["NAME", "COUNT"], rows, [1]), "NAME  COUNT\na        12\nb         3\n");
  });

  it("has a head without rows, and leaves empty what a row lacks", () => {
    assert.equal(table(["A", "B"], []), "A  B\n");
    assert.equal(table(["A", "B", "C"], [["1", "", "3"], ["1"]]), "A  B  C\n1     3\n1\n");
  });
});

describe("quoted", () => {
  it("leaves plain words as they are", () => {
    for (const word of ["http://127.0.0.1:4566", "us-east-1", "a/b+c=="]) assert.equal(quoted(word), word);
  });

  it("keeps any string one word of a POSIX shell", () => {
    const words = fc.sample(fc.string({ unit: "binary", maxLength: 12 }), { numRuns: 300, seed: 7 });
    const nasty = ["", "'", "$(id)", "`id`", "a b", "\\", "a\nb", '"$HOME"', "!!", "*", "~", "#", "a;b"];
    const all = [...nasty, ...words].map((word) => word.replaceAll("\0", "").toWellFormed());
    const program = all.map((word) => `printf '%s\\0' ${quoted(word)}`).join("\n");
    const printed = execFileSync("sh", ["-c", program], { encoding: "utf8" });
    assert.deepEqual(printed.split("\0").slice(0, -1), all);
  });
});

describe("report", () => {
  function reported(error: unknown): { status: number; text: string } {
    let text = "";
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += chunk.toString();
        done();
      },
    });
    return { status: report(error, stream), text };
  }

  it("tells what, the way on, and the exit status", () => {
    const error = new CliError("it is broken", { hint: "mend it", exitCode: EXIT.noServer });
    assert.deepEqual(reported(error), { status: EXIT.noServer, text: "hornero: it is broken\n  mend it\n" });
    assert.deepEqual(reported(new CliError("no hint", { hint: "" })), {
      status: EXIT.failed,
      text: "hornero: no hint\n",
    });
  });

  it("knows the server's own errors", () => {
    assert.equal(reported(new ConfigurationError("--port takes numbers")).status, EXIT.usage);
    const sandbox = reported(new SandboxError("spawner", "no bwrap", { hint: "install it" }));
    assert.deepEqual(sandbox, {
      status: EXIT.failed,
      text: "hornero: functions cannot be isolated here: no bwrap\n  install it\n",
    });
    const inUse = Object.assign(new Error("listen EADDRINUSE 127.0.0.1:4566"), { code: "EADDRINUSE" });
    assert.match(reported(inUse).text, /listens on this port already .*\n {2}.*--port 4567/);
  });

  it("tells anything else in its own words", () => {
    assert.deepEqual(reported(new Error("plain")), { status: EXIT.failed, text: "hornero: plain\n" });
    assert.equal(reported("thrown text").status, EXIT.failed);
    assert.equal(reported(new AwsError("Code", "message")).text, "hornero: Code: message\n");
  });
});
