import koffi from "koffi";

const LOCK_EXCLUSIVE_NO_WAIT = 2 | 4; // LOCK_EX | LOCK_NB
const flock: (file: number, operation: number) => number = koffi.load(null).func("int flock(int, int)");

/** flock(2) on an open file: false when another process holds it. The kernel frees it when the holder ends, however it ends. */
export function tryLock(file: number): boolean {
  if (flock(file, LOCK_EXCLUSIVE_NO_WAIT) === 0) return true;
  if (koffi.errno() === koffi.os.errno["EAGAIN"]) return false;
  throw new Error(`flock failed with errno ${koffi.errno()}`);
}
