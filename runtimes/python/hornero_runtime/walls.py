"""The walls around a child of the fork server: what bubblewrap builds around a runtime that boots on its own.

The fork server itself stands behind walls: the root that its children show, namespaces without network, and an account
without rights, with the capabilities of its own user namespace only. A child takes a copy of these namespaces for
itself, and then, in a user namespace of its own, gives up every capability:

    fork server ── pid 1 of the sandbox: waits for the command, reaps orphans (init.py) ── command: becomes the runtime

The network, /tmp and the function's code are attached from outside, by the platform.
"""

import _signal
import ctypes
import os

SANDBOX_UID = 993
SANDBOX_GID = 990
# When the machine runs out of memory, functions go before the platform does.
_OOM_SCORE_ADJUSTMENT = 500
# Shells, and the platform, tell an end by signal N as the exit status 128 + N.
_SIGNAL_STATUS_BASE = 128
_DESCRIPTORS_END = 1024
_DESCRIPTOR_MAX = 2**32 - 1
_CLOSE_RANGE_CLOEXEC = 4
_LINK_FD = 3
# The first child of pid 1, and what init.py's program waits for.
_COMMAND_PID = 2

_CLONE_NEWNS = 0x20000
_CLONE_NEWCGROUP = 0x2000000
_CLONE_NEWUTS = 0x4000000
_CLONE_NEWIPC = 0x8000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000

_MS_NOSUID = 0x2
_MS_NODEV = 0x4
_MS_NOEXEC = 0x8
_MS_MOVE = 0x2000
_MNT_DETACH = 0x2

_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _declare(name, *kinds):
    """libc's `name`, which raises OSError when it fails."""

    def check(result, _, __):
        if result < 0:
            errno = ctypes.get_errno()
            raise OSError(errno, os.strerror(errno), name)
        return result

    # A type for each argument: without, every call would make objects for them, and each is a page to copy in a child.
    function = _libc[name]
    function.argtypes = kinds
    function.errcheck = check
    return function


_unshare = _declare("unshare", ctypes.c_int)
_setns = _declare("setns", ctypes.c_int, ctypes.c_int)
_sethostname = _declare("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_mount = _declare("mount", ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = _declare("umount2", ctypes.c_char_p, ctypes.c_int)
_capset = _declare("capset", ctypes.c_void_p, ctypes.c_void_p)
_prctl = _declare("prctl", ctypes.c_int, *[ctypes.c_ulong] * 4)
_close_range = _declare("close_range", ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)
_fork = _declare("fork")


class OwnNamespaces:
    """The fork server's own pid namespace, to which it comes back after each fork."""

    def __init__(self):
        self._pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def fork_into_pid_namespace(self):
        """The child is pid 1 of a new namespace, a child of this one's, and its interpreter does not know of it: it is to
        fork once more, by os.fork, and not to run the runtime itself."""
        _unshare(_CLONE_NEWPID)
        pid = -1
        try:
            pid = _fork()
        finally:
            if pid != 0:
                _setns(self._pid_namespace, _CLONE_NEWPID)
        return pid


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class SystemCallFilter:
    def __init__(self, instructions):
        if not instructions or len(instructions) % 8 != 0:
            raise ValueError("not a system call filter: %d bytes" % len(instructions))
        self._program = _FilterProgram(len(instructions) // 8, instructions)
        self._program_address = ctypes.addressof(self._program)
        self._capset_header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        self._no_capabilities = (ctypes.c_uint32 * 6)()
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            self._last_capability = int(file.read())

    def seal(self):
        """Gives up every capability in every set, for good, and all system calls that the filter does not list."""
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        for capability in range(self._last_capability + 1):
            _prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        _capset(self._capset_header, self._no_capabilities)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._program_address, 0, 0)


def enclose(request, groups, system_calls, tell_birth):
    """Walls for pid 1 and what it starts. `request`: {hostname, account: id in this user namespace, or None}; `groups`
    are the open `cgroup.procs` of the sandbox. Calls `tell_birth` when the platform may attach to the namespaces."""
    for group in groups:
        os.write(group, b"0")
    os.setsid()
    _write("/proc/self/oom_score_adj", str(_OOM_SCORE_ADJUSTMENT))
    _unshare(_CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWUTS | _CLONE_NEWNET | _CLONE_NEWCGROUP)
    hostname = request["hostname"].encode("ascii")
    _sethostname(hostname, len(hostname))
    _mount_proc()
    _umount2(b"/dev/pts", _MNT_DETACH)
    _mount(b"devpts", b"/dev/pts", b"devpts", _MS_NOSUID | _MS_NOEXEC, b"newinstance,ptmxmode=0666,mode=620")
    tell_birth()
    _enter_user_namespace(request["account"])
    system_calls.seal()


def start_as_command(output, gate, link, init):
    """Forks the command off, which returns when the platform opens the gate; pid 1 stays here for good, as the program
    of the descriptor `init` if there is one."""
    # All that pid 1 must do comes before: what is changed after a fork is copied, page by page.
    # Nothing inside may look into it, though it runs under the same account.
    _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    os.dup2(0, 1)
    os.dup2(0, 2)
    # Closed when it becomes the program. The command closes them itself.
    _close_range(_LINK_FD, _DESCRIPTOR_MAX, _CLOSE_RANGE_CLOEXEC)
    command = os.fork()
    if command != 0:
        _stay_as_init(command, init)
    # Passed on by the parent: the command's /proc/self is its own to look at.
    _prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if os.read(gate, 1) == b"":
        os._exit(1)
    os.dup2(link, _LINK_FD)
    os.closerange(_LINK_FD + 1, _DESCRIPTORS_END)


def _mount_proc():
    """The namespace's own, in the place of the fork server's: made beside it, because to mount one another must be seen."""
    _mount(b"proc", b"/opt", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)
    _umount2(b"/proc", _MNT_DETACH)
    _mount(b"/opt", b"/proc", None, _MS_MOVE, None)


def _enter_user_namespace(account):
    """The account that functions run as on AWS; outside it is `account`, which is no other sandbox's."""
    if account is not None:
        os.setresgid(account, account, account)
        os.setresuid(account, account, account)
        # The change of account took the right to its own /proc files away.
        _prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", "%d %d 1" % (SANDBOX_UID, uid))
    _write("/proc/self/gid_map", "%d %d 1" % (SANDBOX_GID, gid))


def _stay_as_init(command, init):
    """What pid 1 does. Its end ends everything inside, and its status is the command's."""
    if init is not None and command == _COMMAND_PID:
        try:
            os.execve(init, ["init"], {})
        except OSError:
            # A machine that runs no programs from memory: the interpreter can wait, too.
            pass
    os.closerange(_LINK_FD, _DESCRIPTORS_END)
    _reap_until_end_of(command)


def _reap_until_end_of(command):
    """What init.py's program does, where that cannot run."""
    name = ctypes.create_string_buffer(b"init")
    _prctl(_PR_SET_NAME, ctypes.addressof(name), 0, 0, 0)
    for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        # The kernel keeps what has no handler from pid 1.
        _signal.signal(number, _signal.SIG_DFL)
    while True:
        pid, status = os.wait()
        if pid == command:
            break
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else _SIGNAL_STATUS_BASE + os.WTERMSIG(status)
    os._exit(code)


def _write(path, text):
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
