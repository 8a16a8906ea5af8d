/**
 * `npm test`: everything that must hold. Style first (format, lint, types), then every test file with Node's own runner.
 *   --style        the style part only
 *   FILE …         only these test files
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { whereEverybodyEnters } from "./run.mjs";
import { ensureNpmPackages, ensureServerUser, ensureSystemPackages, node24, onPath, ROOT } from "./setup.mjs";

const AWS_TOOLS = ["awscli==1.45.11", "boto3==1.43.11"];
const args = process.argv.slice(2);
const elsewhere = whereEverybodyEnters("scripts/test.mjs", args);
if (elsewhere) {
  const [command, ...rest] = elsewhere;
  process.exit(spawnSync(command, rest, { stdio: "inherit" }).status ?? 1);
}
const styleOnly = args.includes("--style");
const files = args.filter((arg) => !arg.startsWith("--"));

ensureNpmPackages();
const node = node24();
const env = { ...process.env, PATH: `${join(ROOT, "node_modules", ".bin")}:${process.env.PATH}`, NODE: node };
if (files.length === 0) style();
if (!styleOnly) tests();

function style() {
  step("format", "oxfmt", ["--check", "."]);
  step("lint", "oxlint", ["--type-aware", "--deny-warnings"]);
  step("types", "tsc", ["-p", "."]);
}

function tests() {
  ensureSystemPackages({ forTests: true });
  ensureServerUser();
  const tools = ensureAwsTools();
  const found =
    files.length > 0
      ? files
      : [...list("src"), ...list("runtimes"), ...list("test"), ...list("models")].sort();
  const done = spawnSync(
    node,
    ["--test", "--test-concurrency=2", "--test-timeout=300000", "--test-reporter=spec", ...found],
    { cwd: ROOT, stdio: "inherit", env: { ...env, ...(tools ? { HORNERO_TEST_AWS_TOOLS: tools } : {}) } },
  );
  process.exit(done.status ?? 1);
}

/** AWS's own CLI and boto3 in a virtual environment of the checkout; undefined when there is no Python. */
function ensureAwsTools() {
  if (!onPath("python3")) return undefined;
  const folder = join(ROOT, ".cache", "aws-tools");
  const stamp = join(folder, "ready");
  if (existsSync(stamp)) return join(folder, "bin");
  process.stderr.write("Installing the AWS CLI and boto3 for the tests (once) …\n");
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  const quiet = { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"], env };
  if (spawnSync("python3", ["-m", "venv", folder], quiet).status !== 0) return undefined;
  const pip = join(folder, "bin", "pip");
  if (spawnSync(pip, ["install", "--quiet", "--disable-pip-version-check", ...AWS_TOOLS], quiet).status !== 0)
    return undefined;
  writeFileSync(stamp, AWS_TOOLS.join("\n"));
  return join(folder, "bin");
}

function list(folder) {
  const path = join(ROOT, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.test\.(ts|mjs)$/.test(name) && !name.includes("node_modules"))
    .map((name) => join(folder, name));
}

function step(name, command, commandArgs) {
  const done = spawnSync(node, [join(ROOT, "node_modules", ".bin", command), ...commandArgs], {
    cwd: ROOT,
    stdio: "inherit",
    env,
  });
  if (done.status === 0) return;
  process.stderr.write(`\n${name}: not clean. ${name === "format" ? "`npm run format` mends it." : ""}\n`);
  process.exit(done.status ?? 1);
}
