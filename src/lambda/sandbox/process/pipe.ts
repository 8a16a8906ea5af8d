import { closeSync } from "node:fs";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import koffi from "koffi";

const O_CLOEXEC = 0o2000000;
const pipe2: (ends: Int32Array, flags: number) => number = koffi
  .load(null)
  .func("pipe2", "int", ["void *", "int"]);

/**
 * A pipe for a child's output. Not child_process's own "pipe", which is a socket: `echo > /dev/stderr` opens it anew, and
 * a socket cannot be opened. The writer's end is a file descriptor: hand it to spawn, then call `closeWriter`.
 */
export function openPipe(): { reader: Readable; writer: number; closeWriter: () => void } {
  const ends = new Int32Array(2);
  if (pipe2(ends, O_CLOEXEC) !== 0) throw new Error(`pipe2 failed with errno ${koffi.errno()}`);
  const [reader = -1, writer = -1] = ends;
  return {
    reader: new Socket({ fd: reader, readable: true, writable: false }),
    writer,
    closeWriter: () => closeSync(writer),
  };
}
