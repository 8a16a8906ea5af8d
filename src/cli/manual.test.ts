// Goal: docs/configuration.md and docs/cli.md name every option, variable, default, command and exit status, and no other.
// Method: read the pages' tables, and compare them with what the command line says of itself (--help) and does (readConfiguration).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readConfiguration } from "./configuration.ts";
import { EXIT } from "./errors.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const page = (name: string) => readFileSync(join(ROOT, "docs", name), "utf8");
const help = (...command: string[]) =>
  execFileSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...command, "--help"], {
    encoding: "utf8",
  });

/** `--name` of each option that a help text lists, but --help itself. */
function options(text: string): string[] {
  const names = [...text.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, name = ""]) => name);
  return names.filter((name) => name !== "--help").sort();
}

/** Cells of the rows of every table, without the code marks. */
function rows(text: string): string[][] {
  return [...text.matchAll(/^\|(.*)\|$/gm)]
    .map(([, row = ""]) => row.split("|").map((cell) => cell.replaceAll("`", "").trim()))
    .filter(([first = ""]) => !/^-+$/.test(first));
}

describe("docs/configuration.md", () => {
  const table = rows(page("configuration.md")).filter(([option]) => option?.startsWith("--"));

  it("has every option of start, and no other", () => {
    const told = table.map(([option]) => option).sort();
    assert.deepEqual(told, [...options(help("start")), "--data"].sort());
  });

  it("has every variable that is read, and no other", () => {
    const read = ["configuration.ts"]
      .flatMap(
        (file) => readFileSync(join(import.meta.dirname, file), "utf8").match(/HORNERO_[A-Z_]+/g) ?? [],
      )
      .sort();
    const told = table.map(([, variable]) => variable).filter((variable) => variable !== "");
    assert.deepEqual(told.sort(), [...new Set(read)]);
  });

  it("tells defaults that change nothing when they are said", () => {
    const plain = readConfiguration({}, {});
    const told = table.filter(([, , value = ""]) => value !== "" && value !== "see below");
    assert.equal(told.length, table.length - 3, "all but --data, --runtimes and --example");
    for (const [option = "", variable = "", value = ""] of told) {
      assert.deepEqual(readConfiguration({}, { [variable]: value }), plain, variable);
      const name = option.slice(2).replaceAll(/-[a-z]/g, (letter) => letter.slice(1).toUpperCase());
      assert.deepEqual(readConfiguration({ [name]: value }, {}), plain, option);
      assert.notDeepEqual(read(name, value), plain, `${option} is read`);
    }
  });

  /** What comes of another value than the default; a refusal shows as well that the option is read. */
  function read(name: string, value: string): unknown {
    try {
      return readConfiguration({ [name]: name === "region" ? "eu-west-1" : `${value}1`.slice(-12) }, {});
    } catch (error) {
      return error;
    }
  }
});

describe("docs/cli.md", () => {
  const text = page("cli.md");
  const commands = [...help().matchAll(/^ {2}([a-z][a-z-]*)(?: |$)/gm)]
    .map(([, name = ""]) => name)
    .filter((name) => name !== "help");

  it("has every command, and no other", () => {
    const [table = ""] = text.split("\n## ");
    const told = rows(table).flatMap(([name = ""]) => /^[a-z-]+/.exec(name)?.[0] ?? []);
    assert.deepEqual(told.filter((name) => name !== "command").sort(), commands.sort());
  });

  for (const command of commands.filter((name) => name !== "start")) {
    it(`has every option of ${command}`, () => {
      const section = text.split("\n## ").find((one) => one.startsWith(`\`${command}\``));
      const others = text
        .split("\n## The others")[1]
        ?.split("\n")
        .filter((line) => line.includes(command));
      for (const option of options(help(command)))
        assert.ok((section ?? others?.join("\n") ?? "").includes(option), `${command} ${option} is told`);
    });
  }

  it("has every exit status", () => {
    const [, statuses = ""] = text.split("## Exit status");
    const told = rows(statuses).flatMap(([status = ""]) => (/^\d+$/.test(status) ? [Number(status)] : []));
    const ofOwn = told.filter((status) => status < 128);
    assert.deepEqual(ofOwn, Object.values(EXIT));
  });
});
