/** Finds a Node.js of a given major: on this host, in the project's own packages, in the cache, or from npm. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { coerceError } from "../../kernel/deferred.ts";
import { onPath, placeInterpreter, probe, type Interpreter, type InterpreterSearch } from "./interpreter.ts";
import { pinnedNode, type PinnedNode } from "./pinned-node.ts";

export interface NodeSearch {
  /** Where fetched builds are kept; made when needed. */
  readonly cacheDirectory: string;
  /** Search path; the server's own PATH. */
  readonly path: string | undefined;
  /** Folders that may hold packages with a bin/node: the project's node_modules. */
  readonly packageDirectories: readonly string[];
  /** The program that fetches packages; undefined forbids fetching. */
  readonly npm: string | undefined;
}

const FETCH_TIMEOUT_MS = 10 * 60_000;
const FETCH_OUTPUT_BYTES_MAX = 1024 * 1024;
const run = promisify(execFile);

export async function findNode(major: string, search: NodeSearch): Promise<InterpreterSearch> {
  const pinned = pinnedNode(major, process.platform, process.arch);
  const local = await findLocalNode(major, pinned, search);
  if (local) return { found: local };
  if (!pinned) {
    return {
      found: undefined,
      reason: `There is no Node.js ${major} on the PATH, and none to fetch for ${process.platform}/${process.arch}.`,
      fix: `nvm install ${major}`,
    };
  }
  const { packageName, version } = pinned;
  const fix = `npm pack ${packageName}@${version} --pack-destination ${search.cacheDirectory}`;
  try {
    return { found: await fetchNode(pinned, search) };
  } catch (error) {
    const why = coerceError(error).message.trim().split("\n").at(-1) ?? "";
    return {
      found: undefined,
      reason: `Node.js ${major} is not on this machine, and ${packageName}@${version} could not be fetched: ${why}.`,
      fix,
    };
  }
}

async function findLocalNode(
  major: string,
  pinned: PinnedNode | undefined,
  search: NodeSearch,
): Promise<Interpreter | undefined> {
  const programs = [
    process.execPath,
    ...onPath("node", search.path),
    ...search.packageDirectories.map((folder) => join(folder, `node-linux-${process.arch}`, "bin", "node")),
  ];
  if (pinned) programs.push(join(cacheFolder(pinned, search), "bin", "node"));
  for (const program of new Set(programs)) {
    const found = await askNode(program, major);
    if (found) return found;
  }
  return undefined;
}

/** A version manager's shim answers with the path of the program behind it. */
async function askNode(program: string, major: string): Promise<Interpreter | undefined> {
  if (!existsSync(program)) return undefined;
  const answer = await probe(program, ["-p", "process.versions.node + ' ' + process.execPath"]);
  const [, version, execPath] = /^(\d+\.\d+\.\d+) (\/.*)\n$/.exec(answer ?? "") ?? [];
  if (version === undefined || execPath === undefined || version.split(".")[0] !== major) return undefined;
  return placeInterpreter(dirname(dirname(realpathSync(execPath))), "node", version);
}

function cacheFolder({ packageName, version }: PinnedNode, { cacheDirectory }: NodeSearch): string {
  return join(cacheDirectory, `${packageName}-${version}`);
}

/**
 * Fetches, verifies and unpacks into the cache. The folder appears there whole or not at all; when two processes do
 * this at once the first one wins and both use its folder. A tarball that an operator put into the cache directory is
 * used instead of the registry, and verified the same way.
 */
async function fetchNode(pinned: PinnedNode, search: NodeSearch): Promise<Interpreter> {
  const { packageName, version } = pinned;
  mkdirSync(search.cacheDirectory, { recursive: true });
  const work = mkdtempSync(join(search.cacheDirectory, ".fetch-"));
  try {
    const fileName = `${packageName}-${version}.tgz`;
    const supplied = join(search.cacheDirectory, fileName);
    const tarball = existsSync(supplied) ? supplied : await download(pinned, fileName, work, search.npm);
    await verify(tarball, pinned.integrity);
    const unpacked = join(work, "node");
    mkdirSync(unpacked);
    await run("tar", [
      "-xzf",
      tarball,
      "-C",
      unpacked,
      "--strip-components=1",
      "package/bin",
      "package/LICENSE",
    ]);
    const folder = cacheFolder(pinned, search);
    try {
      renameSync(unpacked, folder);
    } catch (error) {
      if (!existsSync(join(folder, "bin", "node"))) throw error;
    }
    const major = version.split(".")[0] ?? "";
    const found = await askNode(join(folder, "bin", "node"), major);
    if (!found) throw new Error("the fetched program does not run on this machine");
    return found;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function download(
  { packageName, version }: PinnedNode,
  fileName: string,
  work: string,
  npm: string | undefined,
): Promise<string> {
  if (npm === undefined) throw new Error("there is no npm on the PATH");
  const args = [
    "pack",
    `${packageName}@${version}`,
    "--ignore-scripts",
    "--silent",
    "--pack-destination",
    work,
  ];
  await run(npm, args, { cwd: work, timeout: FETCH_TIMEOUT_MS, maxBuffer: FETCH_OUTPUT_BYTES_MAX });
  return join(work, fileName);
}

async function verify(tarball: string, integrity: string): Promise<void> {
  const hash = createHash("sha512");
  await pipeline(createReadStream(tarball), hash);
  if (`sha512-${hash.digest("base64")}` !== integrity) {
    throw new Error("the package is not the one that is pinned (its SHA-512 differs)");
  }
}
