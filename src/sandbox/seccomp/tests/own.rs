//! The policies of our own processes, loaded into real ones that then try what they must not.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use super::{ALLOW, KILL, arch, refused, run};
use crate::seccomp::{Policy, Program, program};
use crate::sys::privilege::load_filter;

const FORKS: [libc::c_long; 4] =
    [libc::SYS_fork, libc::SYS_vfork, libc::SYS_clone, libc::SYS_clone3];
const EXECS: [libc::c_long; 2] = [libc::SYS_execve, libc::SYS_execveat];

#[test]
fn what_makes_processes_or_programs_ends_the_spawner() {
    for policy in [Policy::spawner(), Policy::outer()] {
        let filter = program(&policy);
        for number in FORKS.into_iter().chain(EXECS) {
            for arguments in [[0; 6], [u64::MAX; 6]] {
                assert_eq!(run(&filter, arch::AUDIT, number as u32, arguments), KILL);
            }
        }
        // Nor can code come from elsewhere.
        let executable = libc::PROT_READ | libc::PROT_EXEC;
        for number in [libc::SYS_mmap, libc::SYS_mprotect] {
            let call = |protection: i32| {
                let arguments = [0, 4096, protection as u64, 0, 0, 0];
                run(&filter, arch::AUDIT, number as u32, arguments)
            };
            assert_eq!((call(executable), call(libc::PROT_READ | libc::PROT_WRITE)), (KILL, ALLOW));
        }
    }
}

#[test]
fn the_spawner_enters_mounts_and_networks_and_no_user_namespace() {
    let filter = program(&Policy::spawner());
    let enter =
        |kind: i32| run(&filter, arch::AUDIT, libc::SYS_setns as u32, [5, kind as u64, 0, 0, 0, 0]);
    assert_eq!(enter(libc::CLONE_NEWNS), ALLOW);
    assert_eq!(enter(libc::CLONE_NEWNET), ALLOW);
    for kind in
        [0, libc::CLONE_NEWUSER, libc::CLONE_NEWPID, libc::CLONE_NEWNS | libc::CLONE_NEWUSER]
    {
        assert_eq!(enter(kind), KILL);
    }
}

/// What the kernel decides under several filters, in the order in which they were loaded: it asks all of
/// them, the last one first, and does what is sternest.
fn under(filters: &[Program], audit: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let action = |answer: &u32| (answer & libc::SECCOMP_RET_ACTION_FULL).cast_signed();
    let answers = filters.iter().rev().map(|filter| run(filter, audit, number, arguments));
    answers.reduce(|new, old| if action(&old) < action(&new) { old } else { new }).unwrap()
}

/// Under these filters together everything is decided as it is for a function.
#[track_caller]
fn decide_what_a_function_may(policies: &[Policy]) {
    let filters: Vec<_> = policies.iter().map(program).collect();
    let function = [program(&Policy::complete())];
    // Every flag by itself too: namespaces, options, protections.
    let flags = (6..64).map(|bit| [1 << bit; 6]);
    let patterns = (0..64).map(|value| [value; 6]).chain(flags);
    for arguments in patterns.chain([[u64::MAX; 6], [1, 2, 3, 4, 5, 6], [1, 0, 0, 0, 0, 0]]) {
        for number in (0..1024).chain([0x3FFF_FFFF, 0x4000_0000, u32::MAX]) {
            for audit in [arch::AUDIT, 3 | 0x4000_0000] {
                assert_eq!(
                    under(&filters, audit, number, arguments),
                    under(&function, audit, number, arguments),
                    "call {number} with {arguments:?}"
                );
            }
        }
    }
}

#[test]
fn the_makers_filter_and_a_cells_together_decide_what_a_function_may() {
    decide_what_a_function_may(&[Policy::maker(), Policy::cell()]);
}

#[test]
fn the_filters_that_a_fork_has_inherited_and_the_last_together_decide_what_a_function_may() {
    decide_what_a_function_may(&[Policy::maker(), Policy::template(), Policy::last()]);
    // Neither is left out without its being seen.
    let without = [Policy::maker(), Policy::template()].map(|policy| program(&policy));
    let into_users = [3, libc::CLONE_NEWUSER as u64, 0, 0, 0, 0];
    assert_eq!(under(&without, arch::AUDIT, libc::SYS_setns as u32, into_users), ALLOW);
}

#[test]
fn a_template_enters_what_it_is_handed_and_does_nothing_else_that_no_function_may() {
    let filters = [Policy::maker(), Policy::template()].map(|policy| program(&policy));
    let call = |number: libc::c_long, first: u64, second: u64| {
        under(&filters, arch::AUDIT, number as u32, [first, second, 0, 0, 0, 0])
    };
    for kind in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        assert_eq!(call(libc::SYS_setns, 5, kind as u64), ALLOW);
        // It makes none.
        assert_eq!(call(libc::SYS_unshare, kind as u64, 0), refused(libc::EPERM));
        assert_eq!(call(libc::SYS_clone, kind as u64 | 17, 0), refused(libc::EPERM));
    }
    // Its forks are the spawner's children; theirs, under the last filter, are their own.
    assert_eq!(call(libc::SYS_clone, libc::CLONE_PARENT as u64 | 17, 0), ALLOW);
    let last = [Policy::maker(), Policy::template(), Policy::last()].map(|it| program(&it));
    let sibling = [libc::CLONE_PARENT as u64 | 17, 0, 0, 0, 0, 0];
    let decided = under(&last, arch::AUDIT, libc::SYS_clone as u32, sibling);
    assert_eq!(decided, refused(libc::EPERM));
    // Not whatever a descriptor happens to be, and not all that a process is in, at once.
    assert_eq!(call(libc::SYS_setns, 5, 0), refused(libc::EPERM));
    let both = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) as u64;
    assert_eq!(call(libc::SYS_setns, 5, both), refused(libc::EPERM));
    assert_eq!(call(libc::SYS_unshare, libc::CLONE_THREAD as u64, 0), ALLOW);
    assert_eq!(call(libc::SYS_unshare, 0, 0), refused(libc::EPERM));
    assert_eq!(call(libc::SYS_keyctl, 1, 0), ALLOW);
    assert_eq!(call(libc::SYS_keyctl, 1, 4096), refused(libc::EPERM));
    assert_eq!(call(libc::SYS_keyctl, 11, 0), refused(libc::EPERM));
    assert_eq!(call(libc::SYS_seccomp, 1, 0), ALLOW);
    assert_eq!(call(libc::SYS_seccomp, 3, 0), refused(libc::ENOSYS));
    for number in [
        libc::SYS_mount,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_pidfd_getfd,
        libc::SYS_bpf,
        libc::SYS_setgroups,
        libc::SYS_sethostname,
    ] {
        assert_eq!(call(number, 0, 0), refused(libc::EPERM), "call {number}");
    }
    assert_eq!(call(libc::SYS_clone3, 0, 0), refused(libc::ENOSYS));
    assert_eq!(call(libc::SYS_io_uring_setup, 0, 0), refused(libc::ENOSYS));
}

#[test]
fn the_maker_may_do_whatever_a_function_may() {
    let (maker, function) = (program(&Policy::maker()), program(&Policy::complete()));
    for number in 0..1024 {
        for arguments in [[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6]] {
            if run(&function, arch::AUDIT, number, arguments) == ALLOW {
                assert_eq!(run(&maker, arch::AUDIT, number, arguments), ALLOW, "call {number}");
            }
        }
        // And is not sterner about the rest: a function that tries lives on.
        assert_ne!(run(&maker, arch::AUDIT, number, [u64::MAX; 6]), KILL, "call {number}");
    }
}

#[test]
fn the_control_plane_makes_threads_and_nothing_else() {
    let filter = program(&Policy::control_plane());
    let call = |number: libc::c_long, first: i32| {
        run(&filter, arch::AUDIT, number as u32, [first as u64, 0, 0, 0, 0, 0])
    };
    // What the C library makes a thread with.
    assert_eq!(call(libc::SYS_clone, 0x3D_0F00), ALLOW);
    assert_eq!(call(libc::SYS_clone3, 0), refused(libc::ENOSYS));
    for (number, first) in [
        (libc::SYS_clone, libc::SIGCHLD),
        (libc::SYS_clone, libc::CLONE_THREAD | libc::CLONE_NEWUSER),
        (libc::SYS_fork, 0),
        (libc::SYS_vfork, 0),
        (libc::SYS_execve, 0),
        (libc::SYS_execveat, 0),
        (libc::SYS_mount, 0),
        (libc::SYS_unshare, 0),
        (libc::SYS_setns, 0),
        (libc::SYS_ptrace, 0),
        (libc::SYS_bpf, 0),
    ] {
        assert_eq!(call(number, first), refused(libc::EPERM), "call {number}");
    }
}

/// Set in a child of the tests: the attempt that it is to make.
const ATTEMPT: &str = "HEARTH_TEST_ATTEMPT";

/// Runs this very test in a process of its own, where it loads a policy and makes an attempt.
fn in_a_process(attempt: &str) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "seccomp::tests::own::a_real_process_cannot_leave_its_policy"]);
    command.args(["--nocapture", "--test-threads=1"]).env(ATTEMPT, attempt);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.status().unwrap()
}

#[test]
fn a_real_process_cannot_leave_its_policy() {
    if let Ok(attempt) = std::env::var(ATTEMPT) {
        attempt_under_policy(&attempt);
    }
    // The control: without a policy, the same succeeds.
    assert_eq!(in_a_process("nothing fork").code(), Some(0));
    assert_eq!(in_a_process("nothing exec").code(), Some(0));
    for policy in ["spawner", "outer"] {
        assert_eq!(in_a_process(&format!("{policy} stay")).code(), Some(0), "{policy}");
        for deed in ["fork", "exec"] {
            let ended = in_a_process(&format!("{policy} {deed}"));
            assert_eq!(ended.signal(), Some(libc::SIGSYS), "{policy} {deed}: {ended}");
        }
    }
    // The maker may: its own children are what it is for.
    assert_eq!(in_a_process("maker fork").code(), Some(0));
    // The control plane is told that it must not, and goes on.
    assert_eq!(in_a_process("control_plane thread").code(), Some(0));
    for deed in ["fork", "exec"] {
        assert_eq!(in_a_process(&format!("control_plane {deed}")).code(), Some(1), "{deed}");
    }
}

/// Ends the process: 0 if it could, 1 if it was refused.
fn attempt_under_policy(attempt: &str) -> ! {
    let (policy, deed) = attempt.split_once(' ').unwrap();
    let policy = match policy {
        "spawner" => Some(Policy::spawner()),
        "outer" => Some(Policy::outer()),
        "maker" => Some(Policy::maker()),
        "control_plane" => Some(Policy::control_plane()),
        _ => None,
    };
    // What the deed needs is made before: the policy is about the deed.
    let mut command = Command::new("/bin/true");
    if let Some(policy) = policy {
        nix::sys::prctl::set_no_new_privs().unwrap();
        load_filter(program(&policy).instructions()).unwrap();
    }
    let done = match deed {
        "fork" => command.status().is_ok(),
        "exec" => {
            // Only comes back if it could not.
            drop(std::os::unix::process::CommandExt::exec(&mut command));
            false
        }
        "thread" => std::thread::Builder::new().spawn(|| {}).is_ok(),
        _ => true,
    };
    std::process::exit(i32::from(!done))
}
