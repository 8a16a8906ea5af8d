// Goal: taste that a program can check: banned calls, leftovers, lengths, pages and links.
// Method: read every file that git tracks (or would) and look for what must not be there.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";

const ROOT = join(import.meta.dirname, "..", "..");
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: ROOT,
  encoding: "utf8",
})
  .split("\n")
  .filter((name) => name !== "" && existsSync(join(ROOT, name)));
const isTest = (name: string) => /(\.test|fakes|fixture|-child)\.(ts|mjs)$|^test\/|\/conformance/.test(name);
const source = tracked.filter((name) => /^src\/.*\.ts$/.test(name) && !isTest(name));
const text = (name: string) => readFileSync(join(ROOT, name), "utf8");

interface Ban {
  readonly what: RegExp;
  readonly instead: string;
  /** Files that may, each for the reason given. */
  readonly except?: Readonly<Record<string, string>>;
}

const CLI = "the command line is not the server: it has no clock to inject";
const BANS: readonly Ban[] = [
  {
    what: /\bDate\.now\(\)|\bnew Date\(\)/,
    instead: "the Clock port",
    except: { "src/kernel/clock.ts": "it is the clock", "src/cli/": CLI },
  },
  { what: /\bMath\.random\(/, instead: "kernel/ids.ts or an injected source" },
  {
    what: /\bsetInterval\(/,
    instead: "Clock.after, rescheduled by what it does",
    except: {
      "src/lambda/sandbox/spawner/main.ts": "keeps the process alive: a Clock's timers do not",
      "src/cli/commands/start.ts": "keeps the process alive while it closes",
    },
  },
  { what: /\bexecSync\(|(?<![.\w])exec\(\s*[`"']/, instead: "execFile with a list of arguments" },
  {
    what: /\bprocess\.exit\(/,
    instead: "an error, so that what is open is closed",
    except: {
      "src/cli/": "the command line sets exit statuses",
      "src/lambda/sandbox/spawner/": "a process of its own",
      "src/lambda/runtimes/survey.ts": "a process of its own",
    },
  },
  { what: /\b(TODO|FIXME|XXX|HACK)\b/, instead: "an issue" },
  {
    what: /console\.(log|error|warn|info)\(/,
    instead: "the Logger, or the stream that the command was given",
  },
];

/** Longest file of src/; a longer one needs a reason. */
const LINES_MAX = 500;
const LONGER: Readonly<Record<string, string>> = {
  "src/lambda/environment/environment.ts":
    "one state machine: cut in two, no part could be believed without the other",
};
const COLUMNS_MAX = 140;

describe("the source", () => {
  for (const { what, instead, except = {} } of BANS) {
    it(`has no ${what.source} (use ${instead})`, () => {
      const allowed = Object.keys(except);
      const found = source
        .filter((name) => !allowed.some((prefix) => name.startsWith(prefix)))
        .flatMap((name) =>
          text(name)
            .split("\n")
            .flatMap((line, at) =>
              what.test(line) && !/^\s*(\*|\/\/)/.test(line) ? [`${name}:${at + 1}: ${line.trim()}`] : [],
            ),
        );
      assert.deepEqual(found, []);
    });
  }

  it(`has no file longer than ${LINES_MAX} lines`, () => {
    assert.deepEqual(
      source.filter((name) => text(name).split("\n").length > LINES_MAX && !(name in LONGER)),
      [],
    );
  });

  it("opens each test file by its goal and method", () => {
    const tests = tracked.filter((name) => name.endsWith(".test.ts"));
    assert.ok(tests.length > 10, "the test files were found");
    assert.deepEqual(
      tests.filter((name) => !/goal[\s\S]{0,600}method/i.test(text(name).slice(0, 1200))),
      [],
    );
  });
});

describe("every text", () => {
  const texts = tracked.filter(
    (name) =>
      /\.(ts|mjs|cjs|js|md|py|json|sh)$/.test(name) && !/package-lock|^models\/data|vectors\//.test(name),
  );

  it("speaks of the project alone: no host names of registries, no paths of somebody's machine", () => {
    // Built from parts, so that this file passes its own test.
    const words = [
      ["registry", "npmjs"],
      ["pypi", "org"],
      ["repo1", "maven", "org"],
      ["repo", "maven", "apache"],
      ["deb", "debian", "org"],
    ]
      .map((parts) => parts.join("."))
      .concat(["", "work", ""].join("/"));
    const found = texts.flatMap((name) =>
      words.filter((word) => text(name).includes(word)).map((word) => `${name}: ${word}`),
    );
    assert.deepEqual(found, []);
  });

  it("has lines that fit a screen, in code", () => {
    const found = source.flatMap((name) =>
      text(name)
        .split("\n")
        .flatMap((line, at) =>
          line.length > COLUMNS_MAX && !/["'`]/.test(line) && !/^\s*(\*|\/\/|\/\*|\/\^)/.test(line)
            ? [`${name}:${at + 1}`]
            : [],
        ),
    );
    assert.deepEqual(found, []);
  });
});

describe("every page", () => {
  const pages = tracked.filter((name) => name.endsWith(".md") && !/node_modules/.test(name));

  it("has one title", () => {
    const titles = (page: string) =>
      text(page)
        .replaceAll(/^```[\s\S]*?^```/gm, "")
        .match(/^# /gm)?.length ?? 0;
    assert.deepEqual(
      pages.filter((page) => titles(page) !== 1),
      [],
    );
  });

  it("links to files that are there", () => {
    const broken = pages.flatMap((page) =>
      [...text(page).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
        .map((match) => match[1] ?? "")
        .filter((target) => !existsSync(join(ROOT, dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    );
    assert.deepEqual(broken, []);
  });
});
