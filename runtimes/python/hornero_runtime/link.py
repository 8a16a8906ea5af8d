"""The fast link to the platform: length-framed messages over an inherited unix stream socket.

A frame is: u32 little-endian length of what follows, u8 type, body. Frames are written whole before the call returns,
whichever thread calls: no log line or answer is lost when the process dies right after, and no two frames interleave.
"""

import os
import struct
import sys
import threading

LINK_FD = 3

FRAME_SPECIALISE = 1
FRAME_INVOKE = 2
FRAME_BOOTED = 16
FRAME_READY = 17
FRAME_INIT_ERROR = 18
FRAME_RESPONSE = 19
FRAME_ERROR = 20
FRAME_LOG = 21
FRAME_FILE = 32
FRAME_PREPARED = 33
FRAME_NOT_PREPARED = 34

# The platform's bound of a frame; a longer one means that the stream is out of step.
_FRAME_BYTES_MAX = 16 * 1024 * 1024
# sysexits' EX_IOERR: the platform is gone, there is nobody left to answer.
_EXIT_LINK_LOST = 74

_HEADER = struct.Struct("<IB")
_LOG_HEAD = struct.Struct("<dB")


class Link:
    """One end of a connected stream socket. Blocks: the runtime has nothing else to do while it waits."""

    def __init__(self, fd):
        # Processes that the function starts must not hold the link open.
        os.set_inheritable(fd, False)
        os.set_blocking(fd, True)
        self._fd = fd
        self._input = open(fd, "rb", closefd=False)
        # Reentrant: a signal handler that logs may interrupt a frame's thread between two frames.
        self._lock = threading.RLock()

    def receive(self):
        """The next frame as (type, body). Ends the process when the platform has closed its end."""
        header = self._input.read(_HEADER.size)
        if len(header) < _HEADER.size:
            sys.exit(_EXIT_LINK_LOST)
        length, kind = _HEADER.unpack(header)
        if not 1 <= length <= _FRAME_BYTES_MAX:
            sys.exit(_EXIT_LINK_LOST)
        body = self._input.read(length - 1)
        if len(body) < length - 1:
            sys.exit(_EXIT_LINK_LOST)
        return kind, body

    def send(self, kind, *parts):
        """Writes one frame whose body is `parts`, bytes each."""
        frame = b"".join((_HEADER.pack(1 + sum(map(len, parts)), kind), *parts))
        with self._lock:
            try:
                written = os.write(self._fd, frame)
                while written < len(frame):
                    written += os.write(self._fd, memoryview(frame)[written:])
            except (BrokenPipeError, ConnectionResetError):
                os._exit(_EXIT_LINK_LOST)

    def log(self, time_s, level, text):
        """One log event. level: 0 none, 1 TRACE, 2 DEBUG, 3 INFO, 4 WARN, 5 ERROR, 6 FATAL."""
        self.send(FRAME_LOG, _LOG_HEAD.pack(time_s * 1000, level), text.encode("utf-8", "backslashreplace"))
