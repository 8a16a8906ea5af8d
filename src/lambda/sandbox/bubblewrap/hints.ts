/** What an operator can do about the ways in which namespaces are commonly refused. */

const USER_NAMESPACES =
  "allow user namespaces: sysctl user.max_user_namespaces=10000; on Debian before 11 also " +
  "kernel.unprivileged_userns_clone=1, on Ubuntu from 23.10 kernel.apparmor_restrict_unprivileged_userns=0; " +
  "in a container, run it with a seccomp profile that allows unshare and mount";

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/bwrap: .*ENOENT|bwrap ENOENT/, "install bubblewrap"],
  [/unshare ENOENT/, "install util-linux"],
  [/unshare failed: No space left|max_user_namespaces/, USER_NAMESPACES],
  [/unshare failed|No permissions to create new namespace|Creating new namespace failed/, USER_NAMESPACES],
  [/setting up uid map|uid_map/, USER_NAMESPACES],
  [
    /Can't mount proc|mount \/proc: EPERM/,
    "run where /proc is not masked: in a container, with an unmasked /proc",
  ],
  [/(open_tree|mount_setattr|openat2|close_range).*ENOSYS/, "use Linux 5.12 or later"],
];

/** Undefined for what is not known. */
export function hintFor(message: string): string | undefined {
  return HINTS.find(([pattern]) => pattern.test(message))?.[1];
}
