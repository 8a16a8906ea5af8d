/**
 * Goal: each line is whole and carries what somebody needs who was not there: time, level, fields, stacks and causes.
 * Method: a manual clock and a sink that keeps lines.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../kernel/clock.ts";
import { createLogger, silentLogger, type LoggerOptions } from "./logger.ts";

function record(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const clock = new ManualClock(Date.UTC(2026, 10, 23, 12, 0, 0, 5));
  const sink = (line: string) => void lines.push(line);
  return { lines, logger: createLogger({ level: "debug", format: "json", clock, sink, ...options }) };
}

describe("logger", () => {
  it("writes one JSON object a line, whatever the message holds", () => {
    const { lines, logger } = record();
    logger.with({ part: "wire" }).info("two\nlines", { port: 4566, big: 1n, absent: undefined });
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^[^\n]*\n$/);
    assert.deepEqual(JSON.parse(lines[0] ?? ""), {
      time: "2026-11-23T12:00:00.005Z",
      level: "info",
      message: "two\nlines",
      part: "wire",
      port: 4566,
      big: "1",
    });
  });

  it("writes short lines for people, errors with stack and causes below", () => {
    const { lines, logger } = record({ format: "pretty" });
    const error = new Error("outer", { cause: new TypeError("inner") });
    logger.warn("it broke", { operation: "Invoke", count: 2, error });
    assert.match(lines[0] ?? "", /^12:00:00\.005 WARN {2}it broke operation=Invoke count=2\nError: outer\n/);
    assert.match(lines[0] ?? "", /logger\.test\.ts[^]*caused by TypeError: inner\n[^]*logger\.test\.ts/);
  });

  it("follows causes no further than a few steps", () => {
    const { lines, logger } = record();
    const error = new Error("loop");
    error.cause = error;
    logger.error("it loops", { error });
    assert.equal((lines[0]?.match(/caused by/g) ?? []).length, 5);
  });

  it("makes no line below its level", () => {
    const { lines, logger } = record({ level: "warn" });
    logger.debug("no");
    logger.info("no");
    logger.warn("yes");
    logger.error("yes");
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { message: string }).message),
      ["yes", "yes"],
    );
    const silent = record({ level: "silent" });
    silent.logger.error("no");
    silentLogger.with({}).error("no");
    assert.deepEqual(silent.lines, []);
  });
});
