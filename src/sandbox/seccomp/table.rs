//! The table: every call a sandbox may make, and those refused in a particular way.
//!
//! Whatever is known and not here answers `EPERM`: the mount family, `unshare`, `setns`, `ptrace`,
//! `process_vm_*`, `bpf`, `perf_event_open`, `userfaultfd`, keys, modules, `kexec`, clocks, swap,
//! quota, NUMA policy, `fanotify`, file handles, `iopl`, `modify_ldt` and the rest of an
//! administrator's calls. The list was checked against what CPython 3.11 and Node 20 do.

use super::{Condition, Decision, Entry, Rule, arch};

/// "Operation not permitted": it exists, and not for you.
pub(super) const ADMIN: Option<i32> = Some(libc::EPERM);
/// "Function not implemented": makes programs that probe take the older way.
pub(super) const ENOSYS: i32 = libc::ENOSYS;

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

const CLONE: &[Rule] = &[
    Rule { when: &[Condition::Any(0, CLONE_NEW)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

/// `AF_UNIX`; routing queries; and TCP and UDP over IP. Raw sockets, MPTCP (which Landlock and
/// packet filters overlook), SCTP, ESP and every other family end here, before their code runs.
const SOCKET: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::AF_UNIX as u32)], refuse: None },
    Rule {
        when: &[
            Condition::Is(0, libc::AF_NETLINK as u32),
            Condition::Is(2, libc::NETLINK_ROUTE as u32),
        ],
        refuse: None,
    },
    Rule {
        when: &[Condition::Is(0, libc::AF_NETLINK as u32)],
        refuse: Some(libc::EPROTONOSUPPORT),
    },
    ip(libc::AF_INET, libc::SOCK_STREAM, 0),
    ip(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP),
    ip(libc::AF_INET, libc::SOCK_DGRAM, 0),
    ip(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    ip(libc::AF_INET6, libc::SOCK_STREAM, 0),
    ip(libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP),
    ip(libc::AF_INET6, libc::SOCK_DGRAM, 0),
    ip(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
    Rule {
        when: &[Condition::Masked(1, SOCKET_TYPE, libc::SOCK_RAW as u32)],
        refuse: ADMIN,
    },
    Rule {
        when: &[Condition::Is(0, libc::AF_INET as u32)],
        refuse: Some(libc::EPROTONOSUPPORT),
    },
    Rule {
        when: &[Condition::Is(0, libc::AF_INET6 as u32)],
        refuse: Some(libc::EPROTONOSUPPORT),
    },
    Rule { when: &[], refuse: Some(libc::EAFNOSUPPORT) },
];

const SOCKETPAIR: &[Rule] = &[
    Rule { when: &[Condition::Is(0, libc::AF_UNIX as u32)], refuse: None },
    Rule { when: &[], refuse: Some(libc::EAFNOSUPPORT) },
];

const SETSOCKOPT: &[Rule] = &[
    Rule {
        when: &[Condition::Is(1, libc::IPPROTO_TCP as u32), Condition::Is(2, TCP_ULP)],
        refuse: ADMIN,
    },
    Rule {
        when: &[Condition::Is(1, libc::IPPROTO_UDP as u32), Condition::Is(2, UDP_ENCAP)],
        refuse: ADMIN,
    },
    Rule { when: &[], refuse: None },
];

const IOCTL: &[Rule] = &[
    Rule { when: &[Condition::Is(1, libc::TIOCSTI as u32)], refuse: ADMIN },
    Rule { when: &[Condition::Is(1, TIOCLINUX)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

const PRLIMIT: &[Rule] = &[
    Rule {
        when: &[Condition::Is(1, libc::RLIMIT_CORE as u32), Condition::Given(2)],
        refuse: ADMIN,
    },
    Rule { when: &[], refuse: None },
];

const SCHED_SETSCHEDULER: &[Rule] = &[
    Rule {
        when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_OTHER as u32)],
        refuse: None,
    },
    Rule {
        when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_BATCH as u32)],
        refuse: None,
    },
    Rule { when: &[Condition::Masked(1, SCHED_POLICY, libc::SCHED_IDLE as u32)], refuse: None },
    Rule { when: &[], refuse: ADMIN },
];

/// Plain Linux, 32-bit address layout, the old version number, and asking which it is.
const PERSONALITY: &[Rule] = &[
    Rule { when: &[Condition::Is(0, 0)], refuse: None },
    Rule { when: &[Condition::Is(0, 8)], refuse: None },
    Rule { when: &[Condition::Is(0, 0x2_0000)], refuse: None },
    Rule { when: &[Condition::Is(0, 0x2_0008)], refuse: None },
    Rule { when: &[Condition::Is(0, u32::MAX)], refuse: None },
    Rule { when: &[], refuse: ADMIN },
];

const MKNODAT: &[Rule] = &[
    Rule { when: &[Condition::Masked(2, libc::S_IFMT, libc::S_IFCHR)], refuse: ADMIN },
    Rule { when: &[Condition::Masked(2, libc::S_IFMT, libc::S_IFBLK)], refuse: ADMIN },
    Rule { when: &[], refuse: None },
];

/// Every entry of this architecture.
pub(super) fn entries() -> impl Iterator<Item = &'static Entry> {
    COMMON.iter().chain(arch::LEGACY)
}

pub(super) const fn allow(name: &'static str, number: libc::c_long, why: &'static str) -> Entry {
    Entry { name, number: number as u32, decision: Decision::Allow, why }
}

pub(super) const fn is(
    name: &'static str,
    number: libc::c_long,
    rules: &'static [Rule],
    why: &'static str,
) -> Entry {
    Entry { name, number: number as u32, decision: Decision::Arguments(rules), why }
}

const fn refuse(name: &'static str, number: libc::c_long, errno: i32, why: &'static str) -> Entry {
    Entry { name, number: number as u32, decision: Decision::Refuse(errno), why }
}

const fn ip(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> Rule {
    /// Conditions of one permitted combination; constants, because a rule borrows them for ever.
    const fn conditions(v6: bool, datagram: bool, named: bool) -> &'static [Condition] {
        macro_rules! combination {
            ($family:expr, $kind:expr, $protocol:expr) => {
                &[
                    Condition::Is(0, $family as u32),
                    Condition::Masked(1, SOCKET_TYPE, $kind as u32),
                    Condition::Is(2, $protocol as u32),
                ]
            };
        }
        use libc::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_STREAM};
        match (v6, datagram, named) {
            (false, false, false) => combination!(AF_INET, SOCK_STREAM, 0),
            (false, false, true) => combination!(AF_INET, SOCK_STREAM, IPPROTO_TCP),
            (false, true, false) => combination!(AF_INET, SOCK_DGRAM, 0),
            (false, true, true) => combination!(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
            (true, false, false) => combination!(AF_INET6, SOCK_STREAM, 0),
            (true, false, true) => combination!(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
            (true, true, false) => combination!(AF_INET6, SOCK_DGRAM, 0),
            (true, true, true) => combination!(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
        }
    }
    let when = conditions(family == libc::AF_INET6, kind == libc::SOCK_DGRAM, protocol != 0);
    Rule { when, refuse: None }
}
