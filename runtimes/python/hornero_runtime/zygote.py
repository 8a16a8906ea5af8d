"""The fork server: one interpreter that has booted the runtime, and one process forked from it for each sandbox.

The platform starts it as it starts a sandbox's runtime, with the same command and variables, so that a child is what a
fresh interpreter would be. In place of the link it has three descriptors:

    3  a pipe to the platform: lines `ready`, `born TOKEN`, `exit TOKEN STATUS`, `failed TOKEN MESSAGE`
    4  a socket that keeps message boundaries: requests come with descriptors, births go with the sender's credentials
    5  the system call filter, an array of struct sock_filter

It never runs a function's code, and has neither network nor link. walls.py says what becomes of a child.
"""

import _signal
import gc
import json
import os
import stat
import sys
import time

EVENTS_FD = 3
CONTROL_FD = 4
FILTER_FD = 5

_FILTER_BYTES_MAX = 64 * 1024
_REQUEST_BYTES_MAX = 4096
# An output, a gate, a link, and the files of as many control groups as there can be.
_DESCRIPTORS_MAX = 16
_SIGCHLD = {_signal.SIGCHLD}


def is_zygote():
    """Whether this process was started as a fork server: where a runtime has its link, a socket, it has its pipe."""
    try:
        return stat.S_ISFIFO(os.fstat(EVENTS_FD).st_mode)
    except OSError:
        return False


def fork_on_request():
    """Returns in each child, behind its walls and with the link as descriptor 3; never in the fork server itself."""
    # Here alone: a runtime that is started on its own needs none of it.
    from . import init, walls

    server = _ForkServer(walls, init)
    while not server.serve():
        pass
    _look_fresh()


class _ForkServer:
    def __init__(self, walls, init):
        import _socket
        from array import array

        self._socket = _socket
        self._array = array
        self._walls = walls
        self._control = _socket.socket(fileno=CONTROL_FD)
        self._filter = walls.SystemCallFilter(os.read(FILTER_FD, _FILTER_BYTES_MAX))
        # And whatever else was left open on the way.
        os.closerange(FILTER_FD, 64)
        self._init = init.make_program()
        self._own = walls.OwnNamespaces()
        # Pids to tokens. They are reaped between requests and while we wait for one.
        self._children = {}
        _signal.signal(_signal.SIGCHLD, lambda *_: self._reap())
        gc.collect()
        # What is there now stays as it is: a collection in a child would write to every object, and so copy its page.
        gc.freeze()
        _tell("ready")

    def serve(self):
        """Waits for a request and answers it. True in the child, once it stands behind its walls."""
        body, descriptors = self._receive()
        if body == b"":
            self._outlive_children()
        request = json.loads(body)
        try:
            if self._fork(request["token"]) == 0:
                self._become(request, descriptors)
                return True
        except OSError as error:
            _tell("failed %d %s" % (request["token"], error))
        for descriptor in descriptors:
            os.close(descriptor)
        return False

    def _fork(self, token):
        # A child that ends at once is reaped when it is known.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGCHLD)
        pid = -1
        try:
            pid = self._own.fork_into_pid_namespace()
            if pid == 0:
                _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
            else:
                self._children[pid] = token
        finally:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _SIGCHLD)
        return pid

    def _become(self, request, descriptors):
        """In the child: builds its walls. Ends it when that fails; the gate tells why."""
        token = request["token"]
        self._children.clear()
        output, gate, link, *groups = descriptors
        try:

            def tell_birth():
                self._control.send(b"%d" % token)
                _tell("born %d" % token)

            self._walls.enclose(request, groups, self._filter, tell_birth)
            self._walls.start_as_command(output, gate, link, self._init)
            # Closed with all others: an object that is collected later must not close another's descriptor.
            self._control.detach()
        except BaseException as error:
            os.write(gate, ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "backslashreplace"))
            os._exit(1)

    def _receive(self):
        """One request and its descriptors; empty when the platform wants no more children."""
        descriptors = self._array("i")
        room = self._socket.CMSG_SPACE(_DESCRIPTORS_MAX * descriptors.itemsize)
        body, ancillary, _, _ = self._control.recvmsg(_REQUEST_BYTES_MAX, room, self._socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in ancillary:
            if (level, kind) == (self._socket.SOL_SOCKET, self._socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        return body, list(descriptors)

    def _reap(self):
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _tell("exit %d %d" % (self._children.pop(pid), status))

    def _outlive_children(self):
        """As pid 1 of their parent namespace this process would take them along."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGCHLD)
        while True:
            self._reap()
            if not self._children:
                os._exit(0)
            _signal.sigwait(_SIGCHLD)


def _look_fresh():
    """What a fresh interpreter would not have kept from the fork server."""
    sys.modules["threading"].main_thread()._set_native_id()
    logging = sys.modules["logging"]
    started = logging._startTime
    logging._startTime = time.time_ns() if isinstance(started, int) else time.time()


def _tell(line):
    os.write(EVENTS_FD, (line.replace("\n", " ")[:1000] + "\n").encode("utf-8", "backslashreplace"))
