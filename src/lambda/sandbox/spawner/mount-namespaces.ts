/** Doing something in a mount namespace other than this process's own, which the thread enters for a moment. */
import { closeSync, openSync } from "node:fs";
import { CLONE_NEWNS, setns, unshare } from "./libc.ts";

/** This process's own: the main thread is in another one only within `inNamespace`. */
let ownNamespace: number | undefined;

function own(): number {
  ownNamespace ??= openSync("/proc/self/ns/mnt", "r");
  return ownNamespace;
}

/** Runs `act` in the mount namespace of `pid`, with that namespace's root and working directory; synchronous only. */
export function inMountNamespace(pid: number, act: () => void): void {
  const theirs = openSync(`/proc/${pid}/ns/mnt`, "r");
  try {
    inNamespace(theirs, act);
  } finally {
    closeSync(theirs);
  }
}

/** A mount namespace with no process in it: it begins as a copy of this process's own, and ends with this process. */
export class PrivateMountNamespace {
  readonly #fd: number;

  /** Throws SystemCallError. */
  constructor() {
    const home = own();
    unshare(CLONE_NEWNS);
    try {
      this.#fd = openSync("/proc/self/ns/mnt", "r");
    } finally {
      returnTo(home);
    }
  }

  /** Runs `act` in it; synchronous only. */
  run<T>(act: () => T): T {
    return inNamespace(this.#fd, act);
  }
}

function inNamespace<T>(namespace: number, act: () => T): T {
  const home = own();
  setns(namespace, CLONE_NEWNS);
  try {
    return act();
  } finally {
    // Left behind in a sandbox's namespace this process would see its files as the host's: it must not live on.
    returnTo(home);
  }
}

function returnTo(namespace: number): void {
  try {
    setns(namespace, CLONE_NEWNS);
  } catch {
    process.abort();
  }
}
