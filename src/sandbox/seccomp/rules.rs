//! Decisions that depend on arguments.
//!
//! The first rule that applies decides. Only the low half of an argument is compared, which is all
//! that the kernel itself reads of these.

use super::{Condition, Rule, Verdict};

/// "Operation not permitted": it exists, and not for you.
pub(super) const ADMIN: Verdict = Verdict::Refuse(libc::EPERM);
/// "Function not implemented": makes programs that probe take the older way.
pub(super) const ENOSYS: i32 = libc::ENOSYS;
/// Success, without the kernel having done anything: for what does nothing to a sandbox's own files,
/// which are memory, and something to the host's.
pub(super) const NOTHING: i32 = 0;
const DONE: Verdict = Verdict::Refuse(NOTHING);

/// Every namespace flag of `clone`, the time namespace included.
const CLONE_NEW: u32 = 0x7E02_0080;
/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC` share the type argument; the type proper is below them.
const SOCKET_TYPE: u32 = 0xF;
/// `SCHED_RESET_ON_FORK` shares the policy argument.
const SCHED_POLICY: u32 = !0x4000_0000;
/// `TCP_ULP`: hands a connection to kernel TLS or ESP-in-TCP, both with page-cache bugs behind them.
const TCP_ULP: u32 = 31;
/// `UDP_ENCAP`: the same door for ESP-in-UDP.
const UDP_ENCAP: u32 = 100;
/// `UDP_CORK`: `MSG_MORE` for everything that is sent.
const UDP_CORK: u32 = 1;
/// Signatures of TCP segments; the library does not know these.
const TCP_MD5SIG_EXT: u32 = 32;
const TCP_AO_ADD_KEY: u32 = 38;
/// Options of IPv6, and of both versions, that the library does not know.
const IPV6_2292PKTOPTIONS: u32 = 6;
const IPV6_JOIN_ANYCAST: u32 = 27;
const IPV6_FLOWLABEL_MGR: u32 = 32;
const MCAST_JOIN_GROUP: u32 = 42;
const MCAST_MSFILTER: u32 = 48;
/// `TIOCLINUX`: console selection, which can type into a terminal.
const TIOCLINUX: u32 = 0x541C;
/// Linux 6.4; the library does not know it yet.
const PR_SET_MEMORY_MERGE: u32 = 67;
/// Linux 6.14; the library does not know it yet.
const RWF_DONTCACHE: u32 = 0x80;

pub(super) const CLONE: &[Rule] = &[
    Rule { when: &[Condition::Any(0, CLONE_NEW)], then: ADMIN },
    // The parent of a fork is the spawner: it would bury what functions bear in its name, on its time.
    Rule { when: &[Condition::Any(0, libc::CLONE_PARENT as u32)], then: ADMIN },
    Rule { when: &[], then: Verdict::Allow },
];

/// The same for whoever forks into cells.
pub(super) const CLONE_FOR_PARENT: &[Rule] = &[
    Rule { when: &[Condition::Any(0, CLONE_NEW)], then: ADMIN },
    Rule { when: &[], then: Verdict::Allow },
];

/// `AF_INET` and `AF_INET6` differ in one bit, and the rules are the same for both.
const ANY_IP: Condition = Condition::Masked(
    0,
    !((libc::AF_INET ^ libc::AF_INET6) as u32),
    (libc::AF_INET & libc::AF_INET6) as u32,
);
const _: () = assert!(((libc::AF_INET ^ libc::AF_INET6) as u32).is_power_of_two());

/// One permitted combination of type and protocol; protocol 0 (`IPPROTO_IP`) is the default.
macro_rules! ip {
    ($kind:ident, $protocol:ident) => {
        Rule {
            when: &[
                ANY_IP,
                Condition::Masked(1, SOCKET_TYPE, libc::$kind as u32),
                Condition::Is(2, libc::$protocol as u32),
            ],
            then: Verdict::Allow,
        }
    };
}

/// `AF_UNIX`, and TCP and UDP over IP. Raw sockets, MPTCP (which Landlock and packet filters overlook),
/// SCTP, ESP and every other family end here, before their code runs. Netlink, too: what the kernel
/// answers and nobody reads is charged to no control group, 200 KiB a socket, so that one sandbox could
/// take all memory of the host.
pub(super) const SOCKET: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::AF_UNIX as u32)], then: Verdict::Allow },
    ip!(SOCK_STREAM, IPPROTO_IP),
    ip!(SOCK_STREAM, IPPROTO_TCP),
    ip!(SOCK_DGRAM, IPPROTO_IP),
    ip!(SOCK_DGRAM, IPPROTO_UDP),
    // What a process without capabilities is told anyway.
    Rule { when: &[ANY_IP, Condition::Masked(1, SOCKET_TYPE, libc::SOCK_RAW as u32)], then: ADMIN },
    Rule { when: &[ANY_IP], then: Verdict::Refuse(libc::EPROTONOSUPPORT) },
    Rule { when: &[], then: Verdict::Refuse(libc::EAFNOSUPPORT) },
];

pub(super) const SOCKETPAIR: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::AF_UNIX as u32)], then: Verdict::Allow },
    Rule { when: &[], then: Verdict::Refuse(libc::EAFNOSUPPORT) },
];

/// An option of a socket that is nobody's to set here.
macro_rules! option {
    ($level:ident, $name:expr) => {
        Rule {
            when: &[Condition::Is(1, libc::$level as u32), Condition::Is(2, $name as u32)],
            then: ADMIN,
        }
    };
}

/// The eight options from `MCAST_JOIN_GROUP` less two: joining and leaving groups, by source too.
macro_rules! groups {
    ($level:ident) => {
        Rule {
            when: &[
                Condition::Is(1, libc::$level as u32),
                Condition::Masked(2, !7, MCAST_JOIN_GROUP & !7),
            ],
            then: ADMIN,
        }
    };
}

/// "More will follow": a datagram is kept until it does, up to 64 KiB a socket, and nobody is charged for
/// what is not sent yet; six processes took half a gigabyte from the host. TCP, which is charged, knows
/// the flag as well, and a filter cannot tell which of the two a socket is; `TCP_CORK` remains.
macro_rules! nothing_kept {
    ($flags:literal) => {
        &[
            Rule {
                when: &[Condition::Any($flags, libc::MSG_MORE as u32)],
                then: Verdict::Refuse(libc::EOPNOTSUPP),
            },
            Rule { when: &[], then: Verdict::Allow },
        ]
    };
}

pub(super) const SENDMSG: &[Rule] = nothing_kept!(2);
/// `sendto` and `sendmmsg`.
pub(super) const SENDTO: &[Rule] = nothing_kept!(3);

/// Programs of BPF: what the kernel compiles of them comes out of one budget of the machine
/// (`net.core.bpf_jit_limit`), and when that is used up, nobody can load a system-call filter. Sending
/// without copying: pages of the page cache would get into the kernel's packets. And what a socket keeps
/// in memory that is charged to nobody, up to 128 KiB each (`net.core.optmem_max`): memberships of
/// groups, keys, flow labels, options for every packet; there is nobody to send to but oneself.
pub(super) const SETSOCKOPT: &[Rule] = &[
    option!(IPPROTO_TCP, TCP_ULP),
    option!(IPPROTO_UDP, UDP_ENCAP),
    option!(IPPROTO_UDP, UDP_CORK),
    option!(SOL_SOCKET, libc::SO_ATTACH_FILTER),
    option!(SOL_SOCKET, libc::SO_ATTACH_BPF),
    option!(SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF),
    option!(SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_EBPF),
    option!(SOL_SOCKET, libc::SO_ZEROCOPY),
    option!(IPPROTO_TCP, libc::TCP_MD5SIG),
    option!(IPPROTO_TCP, TCP_MD5SIG_EXT),
    option!(IPPROTO_TCP, TCP_AO_ADD_KEY),
    option!(IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
    option!(IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP),
    option!(IPPROTO_IP, MCAST_MSFILTER),
    groups!(IPPROTO_IP),
    option!(IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP),
    option!(IPPROTO_IPV6, IPV6_2292PKTOPTIONS),
    option!(IPPROTO_IPV6, IPV6_JOIN_ANYCAST),
    option!(IPPROTO_IPV6, IPV6_FLOWLABEL_MGR),
    option!(IPPROTO_IPV6, MCAST_MSFILTER),
    groups!(IPPROTO_IPV6),
    Rule { when: &[], then: Verdict::Allow },
];

pub(super) const IOCTL: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::TIOCSTI as u32)], then: ADMIN },
    Rule { when: &[Condition::Is(1, TIOCLINUX)], then: ADMIN },
    Rule { when: &[], then: Verdict::Allow },
];

/// Limits of others are not to be changed: PID 1 has the same user id, and would die of them.
pub(super) const PRLIMIT: &[Rule] = &[
    Rule { when: &[Condition::Absent(2)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::RLIMIT_CORE)], then: ADMIN },
    Rule { when: &[Condition::Is(0, 0)], then: Verdict::Allow },
    Rule { when: &[], then: ADMIN },
];

/// Reading past the page cache: from a file of the image, a gigabyte a second of the host's disk, beside
/// the daemon's own commits. Everything else a function reads is in the cache, or was charged to it.
const fn direct(argument: u8) -> Condition {
    Condition::Any(argument, libc::O_DIRECT as u32)
}
/// What a file system says that cannot.
const NOT_DIRECTLY: Verdict = Verdict::Refuse(libc::EINVAL);

pub(super) const OPENAT: &[Rule] =
    &[Rule { when: &[direct(2)], then: NOT_DIRECTLY }, Rule { when: &[], then: Verdict::Allow }];

#[cfg(target_arch = "x86_64")]
pub(super) const OPEN: &[Rule] =
    &[Rule { when: &[direct(1)], then: NOT_DIRECTLY }, Rule { when: &[], then: Verdict::Allow }];

/// A pipe is charged to whoever made it: a larger log pipe is paid by the control plane.
pub(super) const FCNTL: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::F_SETPIPE_SZ as u32)], then: ADMIN },
    Rule { when: &[Condition::Is(1, libc::F_SETFL as u32), direct(2)], then: NOT_DIRECTLY },
    // A lease on a file holds up whoever opens it, 45 seconds, and tells of it. It is for the owner of
    // the file, which is a sandbox's own id where an ordinary user has no other ids to give.
    Rule {
        when: &[Condition::Is(1, libc::F_SETLEASE as u32)],
        then: Verdict::Refuse(libc::EINVAL),
    },
    Rule { when: &[], then: Verdict::Allow },
];

/// Huge pages that the host keeps for somebody are not counted as memory, so there is no limit on them:
/// as if there were none.
pub(super) const MMAP: &[Rule] = &[
    Rule {
        when: &[Condition::Any(3, libc::MAP_HUGETLB as u32)],
        then: Verdict::Refuse(libc::ENOMEM),
    },
    Rule { when: &[], then: Verdict::Allow },
];

/// Merging equal pages tells by the time a write takes whether somebody else has the same page.
pub(super) const MADVISE: &[Rule] = &[
    Rule {
        when: &[Condition::Is(2, libc::MADV_MERGEABLE as u32)],
        then: Verdict::Refuse(libc::EINVAL),
    },
    // Whoever owns a file, as a sandbox does the image where it has the id of the user who made it,
    // throws its pages out of everybody's cache.
    Rule {
        when: &[Condition::Is(2, libc::MADV_PAGEOUT as u32)],
        then: Verdict::Refuse(libc::EINVAL),
    },
    Rule { when: &[], then: Verdict::Allow },
];

/// The same for all pages of a process; and filters, for the reason of `SO_ATTACH_FILTER`.
pub(super) const PRCTL: &[Rule] = &[
    Rule { when: &[Condition::Is(0, PR_SET_MEMORY_MERGE)], then: Verdict::Refuse(libc::EINVAL) },
    Rule {
        when: &[Condition::Is(0, libc::PR_SET_SECCOMP as u32)],
        then: Verdict::Refuse(libc::EINVAL),
    },
    // Whoever has a core to itself takes the sibling thread from everybody else, whatever its weight.
    Rule {
        when: &[Condition::Is(0, libc::PR_SCHED_CORE as u32)],
        then: Verdict::Refuse(libc::EINVAL),
    },
    Rule { when: &[], then: Verdict::Allow },
];

/// Writing a shared mapping back: for that of a file of the image, that is a flush of the host's disk.
pub(super) const MSYNC: &[Rule] = &[
    Rule { when: &[Condition::Any(2, libc::MS_SYNC as u32)], then: DONE },
    Rule { when: &[], then: Verdict::Allow },
];

/// "Not needed any more" throws pages out of the page cache, those of the image too, which everybody
/// reads; how long the next one then takes tells what others use.
pub(super) const FADVISE: &[Rule] = &[
    Rule { when: &[Condition::Is(3, libc::POSIX_FADV_DONTNEED as u32)], then: DONE },
    Rule { when: &[], then: Verdict::Allow },
];

/// "Only what is in the page cache" tells what others have read; "and do not keep it there" reads the
/// disk each time.
pub(super) const PREADV2: &[Rule] = &[
    Rule {
        when: &[Condition::Any(5, libc::RWF_NOWAIT as u32 | RWF_DONTCACHE)],
        then: Verdict::Refuse(libc::EOPNOTSUPP),
    },
    Rule { when: &[], then: Verdict::Allow },
];

pub(super) const MEMFD_CREATE: &[Rule] = &[
    Rule { when: &[Condition::Any(1, libc::MFD_HUGETLB)], then: Verdict::Refuse(libc::EINVAL) },
    Rule { when: &[], then: Verdict::Allow },
];

pub(super) const SHMGET: &[Rule] = &[
    Rule { when: &[Condition::Any(2, libc::SHM_HUGETLB as u32)], then: ADMIN },
    Rule { when: &[], then: Verdict::Allow },
];

pub(super) const SCHED_SETSCHEDULER: &[Rule] = &[
    Rule {
        when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_OTHER as u32)],
        then: Verdict::Allow,
    },
    Rule {
        when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_BATCH as u32)],
        then: Verdict::Allow,
    },
    Rule {
        when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_IDLE as u32)],
        then: Verdict::Allow,
    },
    Rule { when: &[], then: ADMIN },
];

/// Plain Linux, 32-bit address layout, the old version number, and asking which it is.
pub(super) const PERSONALITY: &[Rule] = &[
    // Either of the two flags, both, or none.
    Rule { when: &[Condition::Masked(0, !0x2_0008, 0)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(0, u32::MAX)], then: Verdict::Allow },
    Rule { when: &[], then: ADMIN },
];

/// Character and block devices differ in one bit, and no other kind of file has the rest.
const DEVICE: (u32, u32) =
    (libc::S_IFMT & !(libc::S_IFCHR ^ libc::S_IFBLK), libc::S_IFCHR & libc::S_IFBLK);

pub(super) const MKNODAT: &[Rule] = &[
    Rule { when: &[Condition::Masked(2, DEVICE.0, DEVICE.1)], then: ADMIN },
    Rule { when: &[], then: Verdict::Allow },
];

/// `mknod`: everything but device nodes, which would need privilege anyway.
#[cfg(target_arch = "x86_64")]
pub(super) const MKNOD: &[Rule] = &[
    Rule { when: &[Condition::Masked(1, DEVICE.0, DEVICE.1)], then: ADMIN },
    Rule { when: &[], then: Verdict::Allow },
];

#[cfg(target_arch = "x86_64")]
pub(super) const SETRLIMIT: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::RLIMIT_CORE)], then: ADMIN },
    Rule { when: &[], then: Verdict::Allow },
];

// === our own processes ===

/// Nothing that is mapped or changed can be executed: a program that is all there when it starts has
/// no use for it.
pub(super) const NOTHING_EXECUTABLE: &[Rule] = &[
    Rule { when: &[Condition::Any(2, libc::PROT_EXEC as u32)], then: Verdict::Kill },
    Rule { when: &[], then: Verdict::Allow },
];

/// `AF_UNIX`.
pub(super) const LOCAL_SOCKET: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::AF_UNIX as u32)], then: Verdict::Allow },
    Rule { when: &[], then: Verdict::Kill },
];

/// TCP over IPv4: what listens for a cell.
pub(super) const LISTENER: &[Rule] = &[
    Rule {
        when: &[
            Condition::Is(0, libc::AF_INET as u32),
            Condition::Masked(1, SOCKET_TYPE, libc::SOCK_STREAM as u32),
            Condition::Is(2, libc::IPPROTO_IP as u32),
        ],
        then: Verdict::Allow,
    },
    Rule { when: &[], then: Verdict::Kill },
];

/// Mounts, or the network; never a user namespace, where capabilities are given back.
pub(super) const INTO_A_CELL: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWNS as u32)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWNET as u32)], then: Verdict::Allow },
    Rule { when: &[], then: Verdict::Kill },
];

/// Each of a cell's namespaces by what it is, which the kernel compares with what is handed in.
pub(super) const INTO_ALL_OF_A_CELL: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWUSER as u32)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWCGROUP as u32)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWIPC as u32)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWUTS as u32)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWNET as u32)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWPID as u32)], then: Verdict::Allow },
    Rule { when: &[Condition::Is(1, libc::CLONE_NEWNS as u32)], then: Verdict::Allow },
    Rule { when: &[], then: ADMIN },
];

/// Of all that `unshare` could do, what does nothing: it fails where there is a second thread.
pub(super) const ONE_THREAD: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::CLONE_THREAD as u32)], then: Verdict::Allow },
    Rule { when: &[], then: ADMIN },
];

/// A new, nameless session keyring.
pub(super) const NEW_KEYRING: &[Rule] = &[
    Rule {
        when: &[Condition::Is(0, libc::KEYCTL_JOIN_SESSION_KEYRING), Condition::Absent(1)],
        then: Verdict::Allow,
    },
    Rule { when: &[], then: ADMIN },
];

/// One filter more; it can only take away.
pub(super) const ANOTHER_FILTER: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::SECCOMP_SET_MODE_FILTER)], then: Verdict::Allow },
    Rule { when: &[], then: Verdict::Refuse(libc::ENOSYS) },
];

/// A thread of this process; not a process, and no namespace.
pub(super) const THREADS: &[Rule] = &[
    Rule { when: &[Condition::Any(0, CLONE_NEW)], then: ADMIN },
    Rule { when: &[Condition::Any(0, libc::CLONE_THREAD as u32)], then: Verdict::Allow },
    Rule { when: &[], then: ADMIN },
];
