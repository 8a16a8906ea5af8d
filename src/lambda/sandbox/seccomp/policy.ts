/**
 * What a function may ask of the kernel. An allow-list: a call that no list here names is refused with EPERM, and so is
 * everything that exists only to administer a machine. The namespaces and the missing capabilities refuse most of that
 * already; the filter takes it away from an attacker who looks for a bug in those walls.
 *
 * Three answers, because programs react to them differently:
 *   allow    what ordinary programs in Node, Python, Ruby, Java, Go, .NET and shells use, fast paths included.
 *   ENOSYS   "this kernel is too old for it": programs that probe for a newer call then fall back to an older one.
 *   EPERM    "not for you": a program has no other way, and its error message should say so.
 *
 * Deliberately refused with EPERM, and why (by being in no list):
 *   mount, umount2, pivot_root, chroot, move_mount, fsopen, fsmount, open_tree, mount_setattr …: the view of the file system is a wall.
 *   unshare, setns: new namespaces open kernel code that needs capabilities elsewhere; most local root exploits start there.
 *   ptrace, process_vm_*, pidfd_getfd, kcmp, process_madvise: reach into another process; also a way around this filter.
 *   bpf, perf_event_open, userfaultfd, fanotify_*: large attack surface, of use to tracers and exploits.
 *   keyctl, add_key, request_key: kernel keyrings are not namespaced.
 *   open_by_handle_at: opens files by inode, past every mount.
 *   kexec_*, *_module, reboot, swapon, acct, quotactl, syslog, iopl, ioperm, vhangup, sethostname: administer the machine.
 *   settimeofday, clock_settime, clock_adjtime, adjtimex: time is the host's.
 *   modify_ldt: 16-bit segments, used by emulators of old systems and by exploits.
 */

/** What the filter answers: let the call through, refuse it with an errno, or kill the process. */
export type Verdict = "allow" | "kill" | { readonly errno: number };

/** A decision tree over the arguments. Only the low 32 bits are seen: all arguments tested here are 32-bit in the kernel. */
export type Decision = Verdict | ArgumentTest;

export interface ArgumentTest {
  /** Which argument of the call, 0–5. */
  readonly argument: number;
  /** Bits that count; all when absent. */
  readonly mask?: number;
  /** The argument is one of these, after the mask. */
  readonly is: readonly number[];
  readonly answer: Decision;
  readonly otherwise: Decision;
}

// include/uapi/asm-generic/errno{-base,}.h
export const EPERM: Verdict = { errno: 1 };
export const ENOSYS: Verdict = { errno: 38 };
const EPROTONOSUPPORT: Verdict = { errno: 93 };
const EAFNOSUPPORT: Verdict = { errno: 97 };

const names = (text: string) => text.trim().split(/\s+/);

export const ALLOWED: readonly string[] = [
  // Files and folders. The mounts decide what can be reached; mknod makes only FIFOs and sockets without capabilities.
  ...names(`
    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
    fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr
    fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat lchown lgetxattr
    link linkat listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat
    newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
    readv removexattr removexattrat rename renameat renameat2 rmdir sendfile setxattr setxattrat splice stat statfs
    statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes
    vmsplice write writev`),
  // Memory.
  ...names(`
    brk cachestat madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap
    mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect`),
  // Processes, threads, signals, scheduling. clone is below: its flags decide.
  ...names(`
    arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv futex_wake
    get_robust_list getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid
    getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill pidfd_open pidfd_send_signal prctl
    prlimit64 restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setpgid
    setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid sigaltstack sysinfo tgkill times tkill
    uname vfork wait4 waitid`),
  // Walls that a program puts around itself: they only take rights away, and this filter's answer wins over theirs.
  ...names(`landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp`),
  // Waiting and time.
  ...names(`
    alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
    epoll_wait eventfd eventfd2 getitimer gettimeofday inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
    nanosleep pause poll ppoll pselect6 select setitimer signalfd signalfd4 time timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime`),
  // Sockets and pipes. socket and socketpair are below: the address family decides.
  ...names(`
    accept accept4 bind connect getpeername getsockname getsockopt listen pipe pipe2 recvfrom recvmmsg recvmsg sendmmsg
    sendmsg sendto setsockopt shutdown`),
  // System V and POSIX IPC: the namespace is the sandbox's own.
  ...names(`
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget
    semop semtimedop shmat shmctl shmdt shmget`),
  // Random numbers: libraries abort when this fails.
  "getrandom",
];

export const NOT_IMPLEMENTED: readonly string[] = [
  // Its flags are in memory, where a filter cannot look; libc falls back to clone, whose flags are in a register.
  "clone3",
  // A second system call interface that no filter sees into; libuv, Go and Java fall back to epoll and threads.
  ...names(`io_uring_enter io_uring_register io_uring_setup`),
  // The older asynchronous I/O: one budget (fs.aio-max-nr) for the whole machine, which a single call can use up, and then
  // the host's databases do not start.
  ...names(`io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit`),
  // A kernel without NUMA: what libnuma, the JVM and .NET ask before they pin memory to nodes of the host.
  ...names(`get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node`),
  // Unevictable memory outside the page tables of the kernel; libraries that want it fall back to mlock.
  "memfd_secret",
  // Too new to rely on. file_setattr could move a file to another disk quota project.
  ...names(
    `file_getattr file_setattr listmount lsm_get_self_attr lsm_list_modules lsm_set_self_attr statmount`,
  ),
];

// include/uapi/linux/sched.h: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. (NEWTIME exists in clone3 and unshare only.)
const CLONE_NEW_ANY = 0x7e02_0000;

// include/linux/socket.h, include/linux/net.h, include/uapi/linux/{in,netlink}.h
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const SOCK_TYPE_MASK = 0xf;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const IPPROTO_DEFAULT = 0;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const NETLINK_ROUTE = 0;

// include/uapi/linux/personality.h
const PER_LINUX = 0;
const ADDR_NO_RANDOMIZE = 0x004_0000;
const PERSONALITY_QUERY = 0xffff_ffff;

// include/uapi/asm-generic/ioctls.h, include/uapi/linux/fs.h
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
const TIOCSETD = 0x5423;
const FS_IOC_FSSETXATTR = 0x401c_5820;

export const CONDITIONAL: Readonly<Record<string, ArgumentTest>> = {
  // Threads and processes yes, namespaces no.
  clone: { argument: 0, mask: CLONE_NEW_ANY, is: [0], answer: "allow", otherwise: EPERM },

  // TCP and UDP over IP, unix sockets, and of netlink only the part with which getifaddrs lists the interfaces. Other
  // families and protocols (vsock, SCTP, AF_ALG, MPTCP …) would load kernel modules at a function's wish.
  socket: {
    argument: 0,
    is: [AF_UNIX],
    answer: "allow",
    otherwise: {
      argument: 0,
      is: [AF_INET, AF_INET6],
      answer: {
        argument: 1,
        mask: SOCK_TYPE_MASK,
        is: [SOCK_STREAM, SOCK_DGRAM],
        answer: {
          argument: 2,
          is: [IPPROTO_DEFAULT, IPPROTO_TCP, IPPROTO_UDP],
          answer: "allow",
          // What a kernel without the protocol says: Go then does without MPTCP.
          otherwise: EPROTONOSUPPORT,
        },
        // Raw sockets forge headers.
        otherwise: EPERM,
      },
      otherwise: {
        argument: 0,
        is: [AF_NETLINK],
        answer: { argument: 2, is: [NETLINK_ROUTE], answer: "allow", otherwise: EPROTONOSUPPORT },
        otherwise: { argument: 0, is: [AF_PACKET], answer: EPERM, otherwise: EAFNOSUPPORT },
      },
    },
  },
  socketpair: { argument: 0, is: [AF_UNIX], answer: "allow", otherwise: EAFNOSUPPORT },

  // Debuggers switch address randomisation off for their own child; everything else is an older system's behaviour.
  personality: {
    argument: 0,
    is: [PER_LINUX, ADDR_NO_RANDOMIZE, PERSONALITY_QUERY],
    answer: "allow",
    otherwise: EPERM,
  },

  // Typing into a terminal that another process reads, loading line disciplines, leaving the disk quota.
  ioctl: {
    argument: 1,
    is: [TIOCSTI, TIOCLINUX, TIOCSETD, FS_IOC_FSSETXATTR],
    answer: EPERM,
    otherwise: "allow",
  },
};
