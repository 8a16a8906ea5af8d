/**
 * Makes a machine ready: npm packages, system packages, the server's own user. Runs on the system's Node (20 or later)
 * and uses nothing but Node itself. Everything here is done once and then costs a few file look-ups.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const isRoot = process.getuid?.() === 0;
const say = (text) => process.stderr.write(`${text}\n`);

/** What the default isolation stands on: a program and the Debian package that has it. */
const RUN_PACKAGES = [
  { program: "bwrap", package: "bubblewrap", why: "the walls around functions" },
  { program: "unshare", package: "util-linux", why: "the spawner's namespaces" },
  { program: "mkfs.ext4", package: "e2fsprogs", why: "exact /tmp sizes" },
  { program: "nft", package: "nftables", why: "the way out for functions" },
];

/** What the tests need beside it: AWS's own tools, which are Python programs. */
const TEST_PACKAGES = [
  { program: "python3", package: "python3", why: "the AWS CLI and boto3" },
  { program: "python3", module: "ensurepip", package: "python3-venv", why: "the AWS CLI and boto3" },
  { program: "ip", package: "iproute2", why: "network tests" },
  { program: "git", package: "git", why: "the tests of a fresh clone" },
];

/** Path of Node 24: the exact version of package-lock.json, or the running Node when it is new enough. */
export function node24() {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  // npm may put an installed package's dependencies beside it instead of into it.
  for (const folder of [join(ROOT, "node_modules"), dirname(ROOT)]) {
    const own = join(folder, `node-linux-${arch}`, "bin", "node");
    if (existsSync(own)) return own;
  }
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  return fail(
    `No Node 24 for ${process.platform}-${process.arch}.`,
    "Install Node 24 or later and run this again.",
  );
}

/** npm packages exactly as in package-lock.json, unless they are there already. */
export function ensureNpmPackages() {
  const wanted = join(ROOT, "package-lock.json");
  const installed = join(ROOT, "node_modules", ".package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs - 1000) return;
  if (!existsSync(wanted)) return;
  say("Installing npm packages (once) …");
  const done = spawnSync("npm", ["ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (done.status !== 0) fail("npm ci did not succeed.", `Run it yourself to see why: cd ${ROOT} && npm ci`);
  // npm keeps the time of an unchanged file: mark the moment, so that the next start need not ask again.
  spawnSync("touch", [installed]);
}

/** System packages: installed when root, otherwise the command is printed. `required: false` goes on without them. */
export function ensureSystemPackages({ forTests = false } = {}) {
  const missing = [...RUN_PACKAGES, ...(forTests ? TEST_PACKAGES : [])].filter((item) => !has(item));
  if (missing.length === 0) return;
  const names = [...new Set(missing.map((item) => item.package))];
  const command = `apt-get install -y --no-install-recommends ${names.join(" ")}`;
  if (!isRoot || !onPath("apt-get")) {
    say(`Missing: ${missing.map((item) => `${item.program} (${item.why})`).join(", ")}.`);
    say(`To install: ${isRoot ? "" : "sudo "}${command}`);
    return;
  }
  say(`Installing system packages (once): ${names.join(" ")} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const options = { env, stdio: ["ignore", "ignore", "inherit"] };
  spawnSync("apt-get", ["update", "-qq"], options);
  const done = spawnSync("sh", ["-c", `exec ${command} -qq`], options);
  if (done.status !== 0) say(`That did not succeed. Run it yourself to see why: ${command}`);
}

/** The user that the server becomes once it listens; only root can make it. */
export function ensureServerUser() {
  if (!isRoot || /^hornero:/m.test(readFileSync("/etc/passwd", "utf8"))) return;
  const done = spawnSync(
    "useradd",
    [
      "--system",
      "--user-group",
      "--no-create-home",
      "--home-dir",
      "/var/lib/hornero",
      "--shell",
      "/usr/sbin/nologin",
      "hornero",
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  if (done.status !== 0) say("Could not create the user 'hornero': the server will refuse to run as root.");
}

function has({ program, module }) {
  if (!onPath(program)) return false;
  return (
    module === undefined || spawnSync(program, ["-c", `import ${module}`], { stdio: "ignore" }).status === 0
  );
}

export function onPath(program) {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.some((folder) => folder !== "" && existsSync(join(folder, program)));
}

export function fail(what, fix) {
  say(`hornero: ${what}\n  ${fix}`);
  process.exit(1);
}
