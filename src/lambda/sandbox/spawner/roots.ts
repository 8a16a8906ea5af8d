/**
 * The read-only root file systems that sandboxes see: one for each runtime, composed once in the spawner's own mount
 * namespace on a tmpfs, then shown to each sandbox with a single recursive bind.
 *
 * A root holds what a program needs of the host (binaries, libraries, certificates, time zones), made-up files in
 * /etc, the interpreter and boot files, and empty folders to mount on. The rest of the host does not exist inside.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { closeSync } from "node:fs";
import { join } from "node:path";
import type { RuntimeRoot } from "../sandbox.ts";
import { SandboxError } from "../sandbox.ts";
import type { AnnouncedFolders } from "./folders.ts";
import {
  attachMount,
  cloneMount,
  detachMount,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  mount,
  MS_BIND,
  MS_NODEV,
  MS_NOSUID,
  MS_RDONLY,
  MS_REMOUNT,
  openFolder,
} from "./libc.ts";

export const READ_ONLY = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
/** Different roots that one spawner makes. Ours: every runtime and architecture many times over. */
const ROOTS_MAX = 256;

/** Shown as they are on the host, where they exist. */
const HOST_FOLDERS = [
  "/usr/bin",
  "/usr/sbin",
  "/usr/lib",
  "/usr/lib32",
  "/usr/lib64",
  "/usr/libexec",
  ...["ca-certificates", "i18n", "locale", "mime", "misc", "perl", "perl5", "terminfo", "zoneinfo"].map(
    (name) => `/usr/share/${name}`,
  ),
  "/etc/alternatives",
  "/etc/crypto-policies",
  "/etc/pki/ca-trust/extracted",
  "/etc/pki/tls",
  "/etc/ssl/certs",
];
/** Copied: single files would each be one more mount. */
const HOST_FILES = ["ld.so.cache", "ld.so.conf", "mime.types", "protocols", "services", "ssl/openssl.cnf"];
/** Links into /usr on hosts with a merged /usr; folders of their own on older ones. */
const TOP_LEVEL = ["bin", "sbin", "lib", "lib32", "lib64"];
const MOUNT_POINTS = ["dev", "opt", "proc", "tmp", "var/artefacts", "var/lang", "var/runtime", "var/task"];

/** The account that functions run as on AWS. */
export const SANDBOX_UID = 993;
export const SANDBOX_GID = 990;

const MADE_UP_FILES: Readonly<Record<string, string>> = {
  passwd: [
    "root:x:0:0:root:/root:/sbin/nologin",
    "nobody:x:99:99:Nobody:/:/sbin/nologin",
    `sbx_user1051:x:${SANDBOX_UID}:${SANDBOX_GID}::/home/sbx_user1051:/sbin/nologin`,
    "",
  ].join("\n"),
  group: `root:x:0:\nnobody:x:99:\nsbx_user1051:x:${SANDBOX_GID}:\n`,
  hosts: "127.0.0.1 localhost localhost.localdomain\n::1 localhost6 localhost6.localdomain6\n",
  "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
};

export class RuntimeRoots {
  readonly #base: string;
  readonly #folders: AnnouncedFolders;
  readonly #files: Readonly<Record<string, string>>;
  readonly #paths = new Map<string, string>();

  /** `base` lies on a tmpfs of this process's own mount namespace; `files` are added to /etc, by name. */
  constructor(base: string, folders: AnnouncedFolders, files: Readonly<Record<string, string>>) {
    this.#base = base;
    this.#folders = folders;
    this.#files = { ...MADE_UP_FILES, ...files };
  }

  /** The path of the root, composed on first use. Throws SandboxError. */
  path(root: RuntimeRoot): string {
    const known = this.#paths.get(root.key);
    if (known !== undefined) return known;
    if (this.#paths.size >= ROOTS_MAX) throw new SandboxError("compose-root", `more than ${ROOTS_MAX} roots`);
    const path = join(this.#base, root.key);
    this.#compose(path, root);
    this.#paths.set(root.key, path);
    return path;
  }

  #compose(path: string, root: RuntimeRoot): void {
    mkdirSync(path, { recursive: true });
    // A mount of its own, which can be made read-only when it is complete.
    mount(path, path, null, MS_BIND);
    try {
      this.#furnish(path, root);
    } catch (error) {
      // Nothing half-built for the next attempt to stumble over; what lies below goes with the mount.
      detachMount(path);
      rmSync(path, { recursive: true });
      throw error;
    }
    mount("", path, null, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV);
  }

  #furnish(path: string, root: RuntimeRoot): void {
    for (const name of MOUNT_POINTS) mkdirSync(join(path, name), { recursive: true });
    for (const name of TOP_LEVEL) showTopLevel(path, name);
    for (const folder of [...HOST_FOLDERS, ...javaFolders()]) {
      if (existsSync(folder)) showHostFolder(folder, join(path, folder));
    }
    writeEtc(join(path, "etc"), this.#files);
    if (root.lang !== undefined) this.#show(root.lang, join(path, "var/lang"));
    if (root.runtime !== undefined) this.#show(root.runtime, join(path, "var/runtime"));
  }

  #show(source: string, target: string): void {
    this.#folders.with(source, (fd) => attachClone(fd, target, { recursive: true }));
  }
}

/** Shows the open folder `fd` at `target`, read-only, without set-user-id programs or devices. */
export function attachClone(fd: number, target: string, options: { recursive?: boolean } = {}): void {
  const tree = cloneMount(fd, READ_ONLY, options);
  try {
    attachMount(tree, target);
  } finally {
    closeSync(tree);
  }
}

function showHostFolder(source: string, target: string): void {
  mkdirSync(target, { recursive: true });
  const fd = openFolder(source);
  try {
    attachClone(fd, target, { recursive: true });
  } finally {
    closeSync(fd);
  }
}

function showTopLevel(root: string, name: string): void {
  const hostPath = `/${name}`;
  if (!existsSync(hostPath)) return;
  let link: string | undefined;
  try {
    link = readlinkSync(hostPath);
  } catch {
    // A folder of its own: a host without a merged /usr.
  }
  if (link === undefined) showHostFolder(hostPath, join(root, name));
  else symlinkSync(link, join(root, name));
}

/** Debian keeps a JDK's configuration in /etc, with links to it from the JDK's folder. */
function javaFolders(): string[] {
  return readdirSync("/etc")
    .filter((name) => name.startsWith("java-"))
    .map((name) => `/etc/${name}`);
}

function writeEtc(etc: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(etc, "ssl"), { recursive: true });
  for (const name of HOST_FILES) {
    if (existsSync(join("/etc", name))) copyFileSync(join("/etc", name), join(etc, name));
  }
  symlinkSync("/usr/share/zoneinfo/UTC", join(etc, "localtime"));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(etc, name), content);
}
