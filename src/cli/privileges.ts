/**
 * Giving up root: the server needs no privilege but the spawner does, so a server that was started as root starts the
 * spawner and then becomes a user of its own, for good.
 */
import {
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  accessSync,
  constants,
} from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { PACKAGE_FOLDER } from "../kernel/package-folder.ts";
import { keepCompileCache } from "./compile-cache.ts";

const SERVER_USER = "hornero";
/** Three times the weight of a function's process. */
const SERVER_NICE = -5;

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Makes the data folder and `folders` in it, and as root gives all of it to the server's user. */
export function prepareDataDirectory(dataDirectory: string, folders: readonly string[]): void {
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  if (process.getuid?.() !== 0) return;
  const user = serverUser();
  // Where the data folder itself is a link, whoever runs the server made it.
  const root = realpathSync(dataDirectory);
  if (lstatSync(root).uid !== user.uid) own(root, user);
  // The links themselves, never what they point to: the server's user could have put one there since the last start.
  for (const folder of folders) lchownSync(folder, user.uid, user.gid);
}

/**
 * As root, once the spawner runs, whose sandboxes would inherit it: from now on the thread that serves requests goes first. It
 * hands out many invocations in one turn of its event loop, and each wakes a runtime that would otherwise take its CPU
 * before it has handed out the next.
 */
export function raisePriority(): void {
  if (process.getuid?.() === 0) setPriority(SERVER_NICE);
}

/** As root: becomes the server's user, without a way back. Throws when that user cannot run this server. */
export function becomeServerUser(dataDirectory: string): void {
  if (process.getuid?.() !== 0) return;
  const user = serverUser();
  keepCompileCache();
  process.setgroups?.([user.gid]);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
  process.env["HOME"] = dataDirectory;
  process.env["USER"] = SERVER_USER;
  try {
    accessSync(join(PACKAGE_FOLDER, "package.json"), constants.R_OK);
    accessSync(dataDirectory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Error(
      `the user '${SERVER_USER}' cannot read ${PACKAGE_FOLDER} or use ${dataDirectory}: ` +
        "put them where every user may enter the folders above them, such as /opt and /var/lib",
      { cause: error },
    );
  }
}

function serverUser(): User {
  const line = readFileSync("/etc/passwd", "utf8").match(
    new RegExp(`^${SERVER_USER}:[^:]*:(\\d+):(\\d+):`, "m"),
  );
  if (!line)
    throw new Error(
      `there is no user '${SERVER_USER}' to run as: useradd --system --user-group ${SERVER_USER}`,
    );
  return { uid: Number(line[1]), gid: Number(line[2]) };
}

/** chown of a whole tree, links themselves and not what they point to. */
function own(path: string, user: User): void {
  lchownSync(path, user.uid, user.gid);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) own(inside, user);
    else if (!entry.isSymbolicLink() && statSync(inside).nlink === 1) lchownSync(inside, user.uid, user.gid);
  }
}
