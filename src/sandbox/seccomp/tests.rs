//! The emitted program decides what the table says: checked by running it.

mod golden;
mod minimal;
mod own;

use super::{Condition, Decision, Policy, Program, Rule, Verdict, arch, entries, program};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// Runs a filter on one call, as the kernel would.
fn run(program: &Program, audit: u32, number: u32, arguments: [u64; 6]) -> u32 {
    steps(program, audit, number, arguments).0
}

/// The same, and how many instructions it took.
fn steps(program: &Program, audit: u32, number: u32, arguments: [u64; 6]) -> (u32, usize) {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(audit.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut at, mut accumulator, mut count) = (0, 0u32, 0);
    loop {
        count += 1;
        let step = program.instructions()[at];
        let k = step.k;
        let go = |met: bool| 1 + usize::from(if met { step.jt } else { step.jf });
        at += match step.code {
            0x20 => {
                let bytes = data[k as usize..][..4].try_into().unwrap();
                accumulator = u32::from_le_bytes(bytes);
                1
            }
            0x54 => {
                accumulator &= k;
                1
            }
            0x05 => 1 + k as usize,
            0x15 => go(accumulator == k),
            0x35 => go(accumulator >= k),
            0x45 => go(accumulator & k != 0),
            0x06 => return (k, count),
            code => panic!("instruction {code:#x} is not one we emit"),
        };
    }
}

fn refused(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

/// What the rules say, read directly.
fn apply(rules: &[Rule], arguments: [u64; 6]) -> u32 {
    let low = |argument: u8| arguments[usize::from(argument)] as u32;
    let holds = |condition: &Condition| match *condition {
        Condition::Is(argument, value) => low(argument) == value,
        Condition::Masked(argument, mask, value) => low(argument) & mask == value,
        Condition::Any(argument, bits) => low(argument) & bits != 0,
        Condition::Absent(argument) => arguments[usize::from(argument)] == 0,
    };
    let decided = rules.iter().find(|rule| rule.when.iter().all(holds)).unwrap();
    verdict(decided.then)
}

fn verdict(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Allow => ALLOW,
        Verdict::Refuse(errno) => refused(errno),
        Verdict::Kill => KILL,
    }
}

fn number(name: &str) -> u32 {
    entries().find(|entry| entry.name == name).unwrap().number
}

#[test]
fn every_number_is_decided_as_the_table_says() {
    for policy in policies() {
        let filter = program(&policy);
        for number in 0..1024 {
            for arguments in [[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6]] {
                let expected = match policy.decide(number) {
                    Decision::Always(always) => verdict(always),
                    Decision::Arguments(rules) => apply(rules, arguments),
                };
                assert_eq!(run(&filter, arch::AUDIT, number, arguments), expected, "call {number}");
            }
        }
    }
}

fn policies() -> [Policy; 6] {
    [
        Policy::complete(),
        Policy::maker(),
        Policy::template(),
        Policy::spawner(),
        Policy::outer(),
        Policy::control_plane(),
    ]
}

#[test]
fn rules_look_at_the_arguments_they_name() {
    let filter = program(&Policy::complete());
    let call = |name, arguments| run(&filter, arch::AUDIT, number(name), arguments);
    let (unix, inet) = (1, 2);
    // clone: threads and processes yes, each namespace flag no.
    assert_eq!(call("clone", [0x3D_0F00, 0, 0, 0, 0, 0]), ALLOW);
    for flag in [0x80, 0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x4000_0000] {
        assert_eq!(call("clone", [flag | 17, 0, 0, 0, 0, 0]), refused(libc::EPERM), "{flag:#x}");
    }
    // Nor a child for its own parent, which of a fork is the spawner.
    assert_eq!(call("clone", [0x8000 | 17, 0, 0, 0, 0, 0]), refused(libc::EPERM));
    // socket: families, types with flags on top, protocols.
    assert_eq!(call("socket", [unix, 5, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call("socket", [inet, 0x8_0801, 6, 0, 0, 0]), ALLOW);
    assert_eq!(call("socket", [10, 2, 17, 0, 0, 0]), ALLOW);
    assert_eq!(call("socket", [inet, 3, 1, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("socket", [inet, 1, 262, 0, 0, 0]), refused(libc::EPROTONOSUPPORT));
    assert_eq!(call("socket", [inet, 2, 1, 0, 0, 0]), refused(libc::EPROTONOSUPPORT));
    // The two families differ in one bit; nothing else does from them.
    for family in (0..64).filter(|family| ![1, 2, 10].contains(family)) {
        let answer = call("socket", [family, 1, 0, 0, 0, 0]);
        assert_eq!(answer, refused(libc::EAFNOSUPPORT), "{family}");
    }
    for family in [3, 15, 16, 17, 21, 29, 30, 31, 33, 38, 40, 44, 45] {
        let answer = call("socket", [family, 3, 0, 0, 0, 0]);
        assert_eq!(answer, refused(libc::EAFNOSUPPORT), "{family}");
    }
    assert_eq!(call("socketpair", [40, 1, 0, 0, 0, 0]), refused(libc::EAFNOSUPPORT));
    // The upper half of an int is noise the kernel ignores: it must not hide anything.
    assert_eq!(call("socket", [1 << 32 | 40, 1, 0, 0, 0, 0]), refused(libc::EAFNOSUPPORT));
    assert_eq!(call("ioctl", [0, 1 << 32 | 0x5412, 0, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("ioctl", [0, 0x541C, 0, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("ioctl", [0, 0x5401, 0, 0, 0, 0]), ALLOW);
    // The core limit can be read, not set; a pointer counts by either half.
    assert_eq!(call("prlimit64", [0, 4, 0, 1, 0, 0]), ALLOW);
    assert_eq!(call("prlimit64", [0, 4, 1 << 32, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("prlimit64", [0, 4, 1, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("prlimit64", [0, 7, 1, 0, 0, 0]), ALLOW);
    // Limits of another process (PID 1 has the same user) can be read, not set.
    assert_eq!(call("prlimit64", [1, 7, 1, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("prlimit64", [1, 7, 0, 1, 0, 0]), ALLOW);
    // A pipe is not made larger at its maker's expense; other requests of fcntl pass.
    assert_eq!(call("fcntl", [1, 1031, 1 << 20, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("fcntl", [1, 1032, 0, 0, 0, 0]), ALLOW);
    // The page cache is not gone past: not at opening, not afterwards, not where a filter cannot look.
    let direct = libc::O_DIRECT as u64;
    assert_eq!(call("openat", [0, 1, direct | 0x8_0000, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("openat", [0, 1, 0x8_0000, 0, 0, 0]), ALLOW);
    assert_eq!(call("fcntl", [1, 4, direct, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("fcntl", [1, 4, 0x800, 0, 0, 0]), ALLOW);
    assert_eq!(call("openat2", [0; 6]), refused(libc::ENOSYS));
    // Huge pages look as if there were none.
    assert_eq!(call("mmap", [0, 4096, 3, 0x4_0022, 0, 0]), refused(libc::ENOMEM));
    assert_eq!(call("mmap", [0, 4096, 3, 0x22, 0, 0]), ALLOW);
    assert_eq!(call("memfd_create", [0, 5, 0, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("memfd_create", [0, 1, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call("shmget", [0, 4096, 0o5600, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("shmget", [0, 4096, 0o1600, 0, 0, 0]), ALLOW);
    assert_eq!(call("sched_setscheduler", [0, 0x4000_0003, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call("sched_setscheduler", [0, 1, 0, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("sched_setscheduler", [0, 6, 0, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("personality", [u64::from(u32::MAX), 0, 0, 0, 0, 0]), ALLOW);
    for known in [0, 8, 0x2_0000, 0x2_0008] {
        assert_eq!(call("personality", [known, 0, 0, 0, 0, 0]), ALLOW);
        assert_eq!(call("personality", [known | 0x40_0000, 0, 0, 0, 0, 0]), refused(libc::EPERM));
    }
    assert_eq!(call("setsockopt", [0, 6, 31, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("setsockopt", [0, 17, 100, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("setsockopt", [0, 6, 1, 0, 0, 0]), ALLOW);
    for option in [26, 50, 51, 52] {
        assert_eq!(call("setsockopt", [0, 1, option, 0, 0, 0]), refused(libc::EPERM), "{option}");
    }
    // Nor without copying, nor with keys, nor to groups: what that takes is charged to nobody.
    for (level, option) in
        [(1, 60), (6, 14), (6, 32), (6, 38), (0, 35), (0, 42), (41, 20), (41, 32), (41, 6)]
    {
        assert_eq!(
            call("setsockopt", [0, level, option, 0, 0, 0]),
            refused(libc::EPERM),
            "{option}"
        );
    }
    for (level, option) in [(1, 2), (1, 15), (6, 13), (0, 32), (0, 33), (0, 34), (41, 26), (41, 16)]
    {
        assert_eq!(call("setsockopt", [0, level, option, 0, 0, 0]), ALLOW, "{level} {option}");
    }
    // Nor what is kept unsent, which nobody is charged with, by whichever call.
    let more = libc::MSG_MORE as u64;
    for (name, flags) in [("sendto", 3), ("sendmmsg", 3), ("sendmsg", 2)] {
        let with = |value| std::array::from_fn(|at| if at == flags { value } else { 0 });
        assert_eq!(call(name, with(more | 0x4000)), refused(libc::EOPNOTSUPP), "{name}");
        assert_eq!(call(name, with(0x4000)), ALLOW, "{name}");
    }
    assert_eq!(call("setsockopt", [0, 17, 1, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("setsockopt", [0, 6, 3, 0, 0, 0]), ALLOW);
    // No file is leased, no core taken for oneself.
    assert_eq!(call("fcntl", [1, 1024, 1, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("prctl", [62, 1, 0, 0, 0, 0]), refused(libc::EINVAL));
    // Disk, page cache and page merging of the host: as if it were done, or not there.
    assert_eq!(call("fsync", [0; 6]), refused(0));
    assert_eq!(call("msync", [0, 4096, 4, 0, 0, 0]), refused(0));
    assert_eq!(call("msync", [0, 4096, 1, 0, 0, 0]), ALLOW);
    assert_eq!(call("fadvise64", [0, 0, 0, 4, 0, 0]), refused(0));
    assert_eq!(call("fadvise64", [0, 0, 0, 3, 0, 0]), ALLOW);
    assert_eq!(call("preadv2", [0, 0, 0, 0, 0, 8]), refused(libc::EOPNOTSUPP));
    assert_eq!(call("preadv2", [0, 0, 0, 0, 0, 0x80]), refused(libc::EOPNOTSUPP));
    assert_eq!(call("preadv2", [0, 0, 0, 0, 0, 1]), ALLOW);
    assert_eq!(call("madvise", [0, 4096, 12, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("madvise", [0, 4096, 21, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("madvise", [0, 4096, 4, 0, 0, 0]), ALLOW);
    assert_eq!(call("prctl", [67, 1, 0, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("prctl", [22, 2, 0, 0, 0, 0]), refused(libc::EINVAL));
    assert_eq!(call("prctl", [15, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call("mknodat", [0, 0, 0x1180, 0, 0, 0]), ALLOW);
    assert_eq!(call("mknodat", [0, 0, 0x2180, 0, 0, 0]), refused(libc::EPERM));
    assert_eq!(call("mknodat", [0, 0, 0x6180, 0, 0, 0]), refused(libc::EPERM));
    for kind in (0..16).filter(|kind| ![0x2, 0x6].contains(kind)) {
        assert_eq!(call("mknodat", [0, 0, kind << 12 | 0x180, 0, 0, 0]), ALLOW, "{kind:#x}");
        assert_eq!(call("mknod", [0, kind << 12 | 0x180, 0, 0, 0, 0]), ALLOW, "{kind:#x}");
    }
    assert_eq!(call("sendfile", [0; 6]), refused(libc::EINVAL));
    assert_eq!(call("clone3", [0; 6]), refused(libc::ENOSYS));
}

#[test]
fn another_architecture_ends_the_process() {
    let i386 = 3 | 0x4000_0000;
    for filter in policies().iter().map(program) {
        assert_eq!(run(&filter, i386, 20, [0; 6]), KILL);
        if let Some(first) = arch::OTHER_ABI {
            assert_eq!(run(&filter, arch::AUDIT, first, [0; 6]), KILL);
            assert_eq!(run(&filter, arch::AUDIT, u32::MAX, [0; 6]), KILL);
        }
    }
}

#[test]
fn what_no_kernel_had_yet_is_not_implemented() {
    for filter in policies().iter().map(program) {
        for number in [arch::GAP.0, arch::GAP.1, arch::HIGHEST + 1, 1000, 0x3FFF_FFFF] {
            assert_eq!(run(&filter, arch::AUDIT, number, [0; 6]), refused(libc::ENOSYS));
        }
    }
}

#[test]
fn what_reaches_the_host_is_refused() {
    let policy = Policy::complete();
    for number in [
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_mount_setattr,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_init_module,
        libc::SYS_kexec_load,
        libc::SYS_open_by_handle_at,
        libc::SYS_fanotify_init,
        libc::SYS_syslog,
        libc::SYS_sethostname,
        libc::SYS_clock_settime,
        libc::SYS_mbind,
        libc::SYS_sync,
    ] {
        let decision = policy.decide(number as u32);
        assert_eq!(decision, Decision::Always(Verdict::Refuse(libc::EPERM)), "call {number}");
    }
}

#[test]
fn a_policy_can_differ_in_one_call_and_nothing_else() {
    let setns = libc::SYS_setns as u32;
    let (usual, other) =
        (Policy::complete(), Policy::complete().with(setns, Decision::Always(Verdict::Allow)));
    for number in (0..1024).filter(|number| *number != setns) {
        assert_eq!(usual.decide(number), other.decide(number));
    }
    assert_eq!(run(&program(&other), arch::AUDIT, setns, [0; 6]), ALLOW);
}

#[test]
fn the_kernel_takes_the_program_quickly_and_does_as_it_says() {
    let filter = program(&Policy::complete());
    // A filter belongs to the thread that loads it, and each of these ends at once.
    let load = || {
        nix::sys::prctl::set_no_new_privs().unwrap();
        // As in a cell, which has inherited the maker's.
        Policy::maker().load().unwrap();
        let started = std::time::Instant::now();
        crate::sys::privilege::load_filter(filter.instructions()).unwrap();
        let took = started.elapsed();
        let refused = nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS);
        assert_eq!(refused, Err(nix::errno::Errno::EPERM));
        took
    };
    let mut took: Vec<_> =
        (0..50).map(|_| std::thread::scope(|scope| scope.spawn(load).join().unwrap())).collect();
    took.sort_unstable();
    println!("loaded in {:?} to {:?}, half of them in {:?}", took[0], took[49], took[25]);
    // About 30 µs as a tree, 300 as a chain; the bound is for a busy machine.
    assert!(took[25] < std::time::Duration::from_millis(30), "{took:?}");
}
