//! Decisions that depend on arguments.
//!
//! The first rule that applies decides. Only the low half of an argument is compared, which is all
//! that the kernel itself reads of these.

use super::{Condition, Rule};

/// "Operation not permitted": it exists, and not for you.
pub(super) const ADMIN: Option<i32> = Some(libc::EPERM);
/// "Function not implemented": makes programs that probe take the older way.
pub(super) const ENOSYS: i32 = libc::ENOSYS;
/// Success, without the kernel having done anything: for what does nothing to a sandbox's own files,
/// which are memory, and something to the host's.
pub(super) const NOTHING: i32 = 0;
const DONE: Option<i32> = Some(NOTHING);

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
/// `TIOCLINUX`: console selection, which can type into a terminal.
const TIOCLINUX: u32 = 0x541C;
/// Linux 6.4; the library does not know it yet.
const PR_SET_MEMORY_MERGE: u32 = 67;

pub(super) const CLONE: &[Rule] = &[
    Rule { when: &[Condition::Any(0, CLONE_NEW)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

/// One permitted combination of family, type and protocol; protocol 0 (`IPPROTO_IP`) is the default.
macro_rules! ip {
    ($family:ident, $kind:ident, $protocol:ident) => {
        Rule {
            when: &[
                Condition::Is(0, libc::$family as u32),
                Condition::Masked(1, SOCKET_TYPE, libc::$kind as u32),
                Condition::Is(2, libc::$protocol as u32),
            ],
            refuse: None,
        }
    };
}

/// A raw socket of one family: what a process without capabilities is told anyway.
macro_rules! raw {
    ($family:ident) => {
        Rule {
            when: &[
                Condition::Is(0, libc::$family as u32),
                Condition::Masked(1, SOCKET_TYPE, libc::SOCK_RAW as u32),
            ],
            refuse: ADMIN,
        }
    };
}

/// `AF_UNIX`, and TCP and UDP over IP. Raw sockets, MPTCP (which Landlock and packet filters overlook),
/// SCTP, ESP and every other family end here, before their code runs. Netlink, too: what the kernel
/// answers and nobody reads is charged to no control group, 200 KiB a socket, so that one sandbox could
/// take all memory of the host.
pub(super) const SOCKET: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::AF_UNIX as u32)], refuse: None },
    ip!(AF_INET, SOCK_STREAM, IPPROTO_IP),
    ip!(AF_INET, SOCK_STREAM, IPPROTO_TCP),
    ip!(AF_INET, SOCK_DGRAM, IPPROTO_IP),
    ip!(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    ip!(AF_INET6, SOCK_STREAM, IPPROTO_IP),
    ip!(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    ip!(AF_INET6, SOCK_DGRAM, IPPROTO_IP),
    ip!(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    raw!(AF_INET),
    raw!(AF_INET6),
    Rule { when: &[Condition::Is(0, libc::AF_INET as u32)], refuse: Some(libc::EPROTONOSUPPORT) },
    Rule { when: &[Condition::Is(0, libc::AF_INET6 as u32)], refuse: Some(libc::EPROTONOSUPPORT) },
    Rule { when: &[], refuse: Some(libc::EAFNOSUPPORT) },
];

pub(super) const SOCKETPAIR: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::AF_UNIX as u32)], refuse: None },
    Rule { when: &[], refuse: Some(libc::EAFNOSUPPORT) },
];

/// Attaching a program of BPF to a socket. What the kernel compiles of it comes out of one budget of the
/// machine (`net.core.bpf_jit_limit`): when that is used up, nobody can load a system-call filter.
macro_rules! filter {
    ($option:ident) => {
        Rule {
            when: &[
                Condition::Is(1, libc::SOL_SOCKET as u32),
                Condition::Is(2, libc::$option as u32),
            ],
            refuse: ADMIN,
        }
    };
}

pub(super) const SETSOCKOPT: &[Rule] = &[
    Rule {
        when: &[Condition::Is(1, libc::IPPROTO_TCP as u32), Condition::Is(2, TCP_ULP)],
        refuse: ADMIN,
    },
    Rule {
        when: &[Condition::Is(1, libc::IPPROTO_UDP as u32), Condition::Is(2, UDP_ENCAP)],
        refuse: ADMIN,
    },
    filter!(SO_ATTACH_FILTER),
    filter!(SO_ATTACH_BPF),
    filter!(SO_ATTACH_REUSEPORT_CBPF),
    filter!(SO_ATTACH_REUSEPORT_EBPF),
    Rule { when: &[], refuse: None },
];

pub(super) const IOCTL: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::TIOCSTI as u32)], refuse: ADMIN },
    Rule { when: &[Condition::Is(1, TIOCLINUX)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

/// Limits of others are not to be changed: PID 1 has the same user id, and would die of them.
pub(super) const PRLIMIT: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::RLIMIT_CORE), Condition::Given(2)], refuse: ADMIN },
    Rule { when: &[Condition::Is(0, 0)], refuse: None },
    Rule { when: &[Condition::Given(2)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

/// A pipe is charged to whoever made it: a larger log pipe is paid by the control plane.
pub(super) const FCNTL: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::F_SETPIPE_SZ as u32)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

/// Huge pages that the host keeps for somebody are not counted as memory, so there is no limit on them:
/// as if there were none.
pub(super) const MMAP: &[Rule] = &[
    Rule { when: &[Condition::Any(3, libc::MAP_HUGETLB as u32)], refuse: Some(libc::ENOMEM) },
    Rule { when: &[], refuse: None },
];

/// Merging equal pages tells by the time a write takes whether somebody else has the same page.
pub(super) const MADVISE: &[Rule] = &[
    Rule { when: &[Condition::Is(2, libc::MADV_MERGEABLE as u32)], refuse: Some(libc::EINVAL) },
    Rule { when: &[], refuse: None },
];

/// The same for all pages of a process; and filters, for the reason of `SO_ATTACH_FILTER`.
pub(super) const PRCTL: &[Rule] = &[
    Rule { when: &[Condition::Is(0, PR_SET_MEMORY_MERGE)], refuse: Some(libc::EINVAL) },
    Rule { when: &[Condition::Is(0, libc::PR_SET_SECCOMP as u32)], refuse: Some(libc::EINVAL) },
    Rule { when: &[], refuse: None },
];

/// Writing a shared mapping back: for that of a file of the image, that is a flush of the host's disk.
pub(super) const MSYNC: &[Rule] = &[
    Rule { when: &[Condition::Any(2, libc::MS_SYNC as u32)], refuse: DONE },
    Rule { when: &[], refuse: None },
];

/// "Not needed any more" throws pages out of the page cache, those of the image too, which everybody
/// reads; how long the next one then takes tells what others use.
pub(super) const FADVISE: &[Rule] = &[
    Rule { when: &[Condition::Is(3, libc::POSIX_FADV_DONTNEED as u32)], refuse: DONE },
    Rule { when: &[], refuse: None },
];

/// "Only what is in the page cache" tells what others have read.
pub(super) const PREADV2: &[Rule] = &[
    Rule { when: &[Condition::Any(5, libc::RWF_NOWAIT as u32)], refuse: Some(libc::EOPNOTSUPP) },
    Rule { when: &[], refuse: None },
];

pub(super) const MEMFD_CREATE: &[Rule] = &[
    Rule { when: &[Condition::Any(1, libc::MFD_HUGETLB)], refuse: Some(libc::EINVAL) },
    Rule { when: &[], refuse: None },
];

pub(super) const SHMGET: &[Rule] = &[
    Rule { when: &[Condition::Any(2, libc::SHM_HUGETLB as u32)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

pub(super) const SCHED_SETSCHEDULER: &[Rule] = &[
    Rule { when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_OTHER as u32)], refuse: None },
    Rule { when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_BATCH as u32)], refuse: None },
    Rule { when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_IDLE as u32)], refuse: None },
    Rule { when: &[], refuse: ADMIN },
];

/// Plain Linux, 32-bit address layout, the old version number, and asking which it is.
pub(super) const PERSONALITY: &[Rule] = &[
    Rule { when: &[Condition::Is(0, 0)], refuse: None },
    Rule { when: &[Condition::Is(0, 8)], refuse: None },
    Rule { when: &[Condition::Is(0, 0x2_0000)], refuse: None },
    Rule { when: &[Condition::Is(0, 0x2_0008)], refuse: None },
    Rule { when: &[Condition::Is(0, u32::MAX)], refuse: None },
    Rule { when: &[], refuse: ADMIN },
];

pub(super) const MKNODAT: &[Rule] = &[
    Rule { when: &[Condition::Masked(2, libc::S_IFMT, libc::S_IFCHR)], refuse: ADMIN },
    Rule { when: &[Condition::Masked(2, libc::S_IFMT, libc::S_IFBLK)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

/// `mknod`: everything but device nodes, which would need privilege anyway.
#[cfg(target_arch = "x86_64")]
pub(super) const MKNOD: &[Rule] = &[
    Rule { when: &[Condition::Masked(1, libc::S_IFMT, libc::S_IFCHR)], refuse: ADMIN },
    Rule { when: &[Condition::Masked(1, libc::S_IFMT, libc::S_IFBLK)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

#[cfg(target_arch = "x86_64")]
pub(super) const SETRLIMIT: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::RLIMIT_CORE)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];
