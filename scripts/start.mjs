/** `npm start`: sets up what is missing, then runs the server; options after `--` are the server's. */
import { ensureNpmPackages, ensureServerUser, ensureSystemPackages } from "./setup.mjs";
import { run } from "./run.mjs";

const args = process.argv.slice(2);
if (!args.includes("--help")) {
  ensureNpmPackages();
  ensureSystemPackages();
  ensureServerUser();
}
run("src/cli/main.ts", ["start", "--example", ...args]);
