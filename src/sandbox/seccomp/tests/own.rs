//! The policies of our own processes, loaded into real ones that then try what they must not.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use super::{ALLOW, KILL, arch, refused, run};
use crate::seccomp::{Policy, program};
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

#[test]
fn the_makers_filter_and_a_cells_together_decide_what_a_function_may() {
    let [maker, cell, function] =
        [Policy::maker(), Policy::cell(), Policy::complete()].map(|policy| program(&policy));
    // The kernel asks every filter, the last one loaded first, and does what is sternest.
    let sterner = |new: u32, old: u32| {
        let action = |answer: u32| (answer & libc::SECCOMP_RET_ACTION_FULL).cast_signed();
        if action(old) < action(new) { old } else { new }
    };
    let patterns = (0..64).map(|value| [value; 6]).chain([[u64::MAX; 6], [1, 2, 3, 4, 5, 6]]);
    for arguments in patterns {
        for number in (0..1024).chain([0x3FFF_FFFF, 0x4000_0000, u32::MAX]) {
            for audit in [arch::AUDIT, 3 | 0x4000_0000] {
                let [maker, cell, function] =
                    [&maker, &cell, &function].map(|filter| run(filter, audit, number, arguments));
                assert_eq!(sterner(cell, maker), function, "call {number} with {arguments:?}");
            }
        }
    }
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
