// Goal: imports point one way only, as ARCHITECTURE.md says, so that every line of code knows its room.
// Method: read the import statements of every file in src/ and compare the layers of both ends.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, it } from "node:test";

const SRC = join(import.meta.dirname, "..", "..", "src");

/** Rooms by layer, lowest first: a file imports from its own layer and from lower ones. */
const LAYERS: readonly (readonly string[])[] = [
  ["kernel/", "limits.ts", "errors.ts"],
  ["store/", "telemetry/"],
  ["wire/", "iam/"],
  ["lambda/model.ts"],
  ["lambda/sandbox/", "lambda/runtimes/", "lambda/metering/", "lambda/signing/"],
  ["lambda/environment/"],
  ["lambda/artefacts/"],
  ["lambda/placement/"],
  ["lambda/invoke/"],
  ["lambda/durable/"],
  ["lambda/sources/", "lambda/urls/"],
  ["lambda/control/", "services/"],
  ["cli/", "main.ts"],
];
/** Helpers of tests stand beside what they test; nothing that runs in production may import them. */
const TEST_ONLY = /(\.test|fakes|fixture|conformance|testing|[a-z-]+-child)\.ts$|\/conformance\//;

const IMPORT = /^(?:import|export)\s(?:[^"';]*?\sfrom\s)?"([^"]+)"|\bimport\("([^"]+)"\)/gm;

function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? "");
}

function layerOf(file: string): number {
  return LAYERS.findIndex((rooms) =>
    rooms.some((room) => file === room || (room.endsWith("/") && file.startsWith(room))),
  );
}

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));

function eachImport(check: (from: string, to: string) => string | undefined): string[] {
  const found: string[] = [];
  for (const from of files) {
    for (const specifier of importsOf(readFileSync(join(SRC, from), "utf8"))) {
      if (!specifier.startsWith(".")) continue;
      const to = relative(SRC, join(SRC, dirname(from), specifier));
      const problem = check(from, to);
      if (problem !== undefined) found.push(`${from} imports ${to}: ${problem}`);
    }
  }
  return found;
}

describe("the layers of src/", () => {
  it("have a place for every file", () => {
    assert.deepEqual(
      files.filter((file) => layerOf(file) < 0),
      [],
    );
  });

  it("are imported downwards only", () => {
    assert.deepEqual(
      eachImport((from, to) => (layerOf(to) > layerOf(from) ? "that room lies above" : undefined)),
      [],
    );
  });

  it("keep the neighbours apart: a service knows no other service", () => {
    const service = (file: string) => /^services\/([^/]+)\//.exec(file)?.[1];
    assert.deepEqual(
      eachImport((from, to) => {
        const [one, other] = [service(from), service(to)];
        return one !== undefined && other !== undefined && one !== other ? "another neighbour" : undefined;
      }),
      [],
    );
  });

  it("stay inside src/: what runs inside environments is never imported", () => {
    assert.deepEqual(
      eachImport((_from, to) =>
        to.startsWith("..") && !to.startsWith("../models/") ? "outside of src/" : undefined,
      ),
      [],
    );
  });

  it("do not lean on helpers of tests", () => {
    assert.deepEqual(
      eachImport((from, to) =>
        TEST_ONLY.test(to) && !TEST_ONLY.test(from) ? "a helper of tests" : undefined,
      ),
      [],
    );
  });

  it("are read right: the imports of a known text are found", () => {
    const text = `import a from "./a.ts";\nimport {\n  b,\n} from "../b.ts";\nimport "./c.ts";\nexport * from "./d.ts";\nawait import("./e.ts");\n`;
    assert.deepEqual(importsOf(text), ["./a.ts", "../b.ts", "./c.ts", "./d.ts", "./e.ts"]);
  });
});
