/** Loop devices, loop(4): files as block devices. */
import { closeSync, constants, openSync } from "node:fs";
import { ioctl, ioctlBuffer, SystemCallError } from "./libc.ts";

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
/** The device is free again when its last user, the mount, is gone. */
const LO_FLAGS_AUTOCLEAR = 4;
/** struct loop_config: u32 fd, u32 block_size, struct loop_info64 (232 bytes), u64 reserved[8]. */
const LOOP_CONFIG_BYTES = 8 + 232 + 64;
/** Of lo_flags in it: after lo_device, lo_inode, lo_rdevice, lo_offset, lo_sizelimit, lo_number and two words of encryption. */
const FLAGS_OFFSET = 8 + 52;
/** Another process may take the free device first. */
const ATTEMPTS_MAX = 64;

/** Opens a file without a name in a folder: open(2). Reading and writing. */
export const O_TMPFILE = constants.O_RDWR | 0o20000000 | constants.O_DIRECTORY;

/** `fd` is to be closed when the device has been mounted. Throws SystemCallError. */
export function attachLoopDevice(image: number): { path: string; fd: number } {
  const control = openSync("/dev/loop-control", "r+");
  try {
    for (let attempt = 1; ; attempt += 1) {
      const path = `/dev/loop${ioctl(control, LOOP_CTL_GET_FREE, 0)}`;
      const fd = openSync(path, "r+");
      try {
        ioctlBuffer(fd, LOOP_CONFIGURE, configuration(image));
        return { path, fd };
      } catch (error) {
        closeSync(fd);
        const taken = error instanceof SystemCallError && error.code === "EBUSY";
        if (!taken || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  } finally {
    closeSync(control);
  }
}

function configuration(image: number): Buffer {
  const config = Buffer.alloc(LOOP_CONFIG_BYTES);
  config.writeUInt32LE(image, 0);
  config.writeUInt32LE(LO_FLAGS_AUTOCLEAR, FLAGS_OFFSET);
  return config;
}
