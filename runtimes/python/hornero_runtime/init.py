"""Pid 1 of a sandbox as a program of its own: some hundred bytes of machine code in place of a forked interpreter, which
would keep a megabyte to wait for a child.

    prctl(PR_SET_NAME, "init")
    prctl(PR_SET_DUMPABLE, 0)                       nothing inside looks into it
    do pid = wait4(-1, &status)                     reaps orphans, too
    while pid is another than 2, or EINTR
    exit_group(pid is not 2 ? 1                     no children: there never was a command
             : status is a signal ? 128 + signal
             : exit code)

The command is pid 2, the one child that pid 1 has of its own. To assemble a listing again: its right half, by `as`.
"""

import ctypes
import os
import struct

_X86_64 = """
    488d355f000000      lea    name(%rip), %rsi
    bf0f000000          mov    $15, %edi            # PR_SET_NAME
    b89d000000          mov    $157, %eax           # prctl
    0f05                syscall
    31f6                xor    %esi, %esi
    bf04000000          mov    $4, %edi             # PR_SET_DUMPABLE
    b89d000000          mov    $157, %eax
    0f05                syscall
    bfffffffff    wait: mov    $-1, %edi
    4889e6              mov    %rsp, %rsi
    31d2                xor    %edx, %edx
    4531d2              xor    %r10d, %r10d
    b83d000000          mov    $61, %eax            # wait4
    0f05                syscall
    83f802              cmp    $2, %eax
    7410                je     ended
    85c0                test   %eax, %eax
    7fe3                jg     wait
    83f8fc              cmp    $-4, %eax            # EINTR
    74de                je     wait
    bf01000000          mov    $1, %edi
    eb15                jmp    exit
    8b3c24       ended: mov    (%rsp), %edi
    83e77f              and    $0x7f, %edi
    7408                je     exited
    81c780000000        add    $128, %edi
    eb05                jmp    exit
    0fb67c2401  exited: movzbl 1(%rsp), %edi
    b8e7000000    exit: mov    $231, %eax           # exit_group
    0f05                syscall
    696e697400    name: .asciz "init"
"""

_AARCH64 = """
    c1030010            adr    x1, name
    e00180d2            mov    x0, #15              // PR_SET_NAME
    e81480d2            mov    x8, #167             // prctl
    010000d4            svc    #0
    010080d2            mov    x1, #0
    800080d2            mov    x0, #4               // PR_SET_DUMPABLE
    e81480d2            mov    x8, #167
    010000d4            svc    #0
    00008092      wait: mov    x0, #-1
    e1030091            mov    x1, sp
    020080d2            mov    x2, #0
    030080d2            mov    x3, #0
    882080d2            mov    x8, #260             // wait4
    010000d4            svc    #0
    1f080071            cmp    w0, #2
    e0000054            b.eq   ended
    1f000071            cmp    w0, #0
    ecfeff54            b.gt   wait
    1f100031            cmn    w0, #4               // EINTR
    a0feff54            b.eq   wait
    200080d2            mov    x0, #1
    07000014            b      exit
    e10340b9     ended: ldr    w1, [sp]
    20180012            and    w0, w1, #0x7f
    60000034            cbz    w0, exited
    00000211            add    w0, w0, #128
    02000014            b      exit
    203c0853    exited: ubfx   w0, w1, #8, #8
    c80b80d2      exit: mov    x8, #94              // exit_group
    010000d4            svc    #0
    696e697400    name: .asciz "init"
"""

_EM_X86_64 = 62
_EM_AARCH64 = 183
_PROGRAMS = {"x86_64": (_EM_X86_64, _X86_64), "aarch64": (_EM_AARCH64, _AARCH64)}

# elf(5): a header, one program header, and the code, all of it one segment.
_HEADER_BYTES = 64
_PROGRAM_HEADER_BYTES = 56
_ADDRESS = 0x400000
_SEGMENT_ALIGNMENT = 0x10000
_ET_EXEC = 2
_PT_LOAD = 1
_PF_READ_EXECUTE = 5

_MFD_EXEC = 0x10
_F_ADD_SEALS = 1033
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_WRITE = 1, 2, 4, 8
_MODE_EXECUTE_ONLY = 0o111


def image(machine):
    """The executable for a `machine` of uname(2), as bytes; None when there is none."""
    if machine not in _PROGRAMS:
        return None
    number, listing = _PROGRAMS[machine]
    code = bytes.fromhex("".join(line.split()[0] for line in listing.strip().splitlines()))
    start = _HEADER_BYTES + _PROGRAM_HEADER_BYTES
    size = start + len(code)
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    sizes = (_HEADER_BYTES, _PROGRAM_HEADER_BYTES, 1, 0, 0, 0)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identification, _ET_EXEC, number, 1, _ADDRESS + start, _HEADER_BYTES, 0, 0, *sizes
    )
    segment = (_PT_LOAD, _PF_READ_EXECUTE, 0, _ADDRESS, _ADDRESS, size, size, _SEGMENT_ALIGNMENT)
    return header + struct.pack("<IIQQQQQQ", *segment) + code


def make_program():
    """The executable in memory that nobody can change, as a descriptor; None where the kernel or the machine has none.

    It can be executed and not read, which makes the kernel keep all others out of the process from its first moment.
    """
    program = image(os.uname().machine)
    if program is None:
        return None
    try:
        descriptor = _memory_file()
    except OSError:
        # Linux can be told to have no programs in memory, vm.memfd_noexec.
        return None
    os.write(descriptor, program)
    os.fchmod(descriptor, _MODE_EXECUTE_ONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fcntl(descriptor, _F_ADD_SEALS, _SEAL_SEAL | _SEAL_SHRINK | _SEAL_GROW | _SEAL_WRITE) < 0:
        raise OSError(ctypes.get_errno(), "F_ADD_SEALS")
    return descriptor


def _memory_file():
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("init", flags | _MFD_EXEC)
    except OSError:
        # Before Linux 6.3 there is no such flag.
        return os.memfd_create("init", flags)
