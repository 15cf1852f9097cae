//! Our own processes: how they are built, what could be read out of them, what they share with those
//! they hold.

mod elf;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use self::elf::{faults, undone};
use crate::harness::leftovers::Process;
use crate::harness::tools::run;
use crate::harness::{Function, shared};

/// Files that a process maps: device and inode, as its table of mappings names them.
fn mapped(pid: u32) -> BTreeSet<(String, u64)> {
    let table = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let files = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(3);
        Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
    });
    files.filter(|(_, inode)| *inode != 0).collect()
}

/// The page cache knows no sandboxes: whoever found a way to write to a page of a file he may only
/// read would change it for everybody who maps that file. So nobody does but other functions, and what
/// they are forked from, which has no privilege.
#[test]
fn no_file_that_a_function_maps_is_mapped_by_a_process_of_the_host() {
    let daemon = shared();
    let source = "
        import ctypes, hashlib, socket, sqlite3, ssl, subprocess

        def handler(event, context):
            return subprocess.run(['/bin/sh', '-c', 'echo there'], capture_output=True).stdout.decode()
        ";
    let function = Function::python(source).deploy(&daemon);
    assert_eq!(function.answer(&json!({})), "there\n");
    let trace = daemon.trace();
    let inside: BTreeSet<_> =
        trace.sandboxed().into_iter().flat_map(|one| mapped(one.pid)).collect();
    assert!(inside.len() > 10, "an interpreter maps its libraries: {inside:?}");
    // Whoever is in fewer than three pid namespaces: the spawner's is the second, a sandbox's the third.
    let is_outside = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        numbers.is_some_and(|numbers| numbers.split_whitespace().count() < 3)
    };
    let of_the_host = || Process::all().into_iter().map(|one| one.pid).filter(is_outside);
    for pid in of_the_host() {
        if Process::find(pid).is_some_and(|process| process.is_template()) {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let sets = status.lines().filter(|line| line.starts_with("Cap"));
            assert!(sets.into_iter().all(|line| line.ends_with("\t0000000000000000")), "{status}");
            continue;
        }
        let shared: Vec<_> = mapped(pid).intersection(&inside).cloned().collect();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        assert!(shared.is_empty(), "process {pid} ({}) maps {shared:?}", name.trim());
    }
    // The control: two processes of the host do share the C library, and this shows it.
    let ours = mapped(std::process::id());
    let others = of_the_host().filter(|pid| *pid != std::process::id());
    assert!(others.into_iter().any(|pid| !mapped(pid).is_disjoint(&ours)));
}

#[test]
fn every_program_of_ours_is_position_independent_with_nothing_writable_and_executable() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    return 1\n").deploy(&daemon);
    assert_eq!(function.answer(&json!({})), 1);
    let trace = daemon.trace();
    let all = Process::all();
    let sandboxed = trace.sandboxed();
    // PID 1 of a sandbox is the one whose parent is in none.
    let runner = sandboxed
        .iter()
        .find(|one| one.parent_in(&all).is_some_and(|parent| !sandboxed.contains(&parent)));
    let runner = runner.expect("there is a sandbox").pid;
    for (program, pid) in
        [("hearth", daemon.pid), ("hearth-spawner", daemon.spawner), ("hearth-runner", runner)]
    {
        let file = fs::read(format!("/proc/{pid}/exe")).expect("root may read it");
        assert_eq!(faults(&file), Vec::<&str>::new(), "{program}");
        let table = fs::read_to_string(format!("/proc/{pid}/maps")).expect("root may read it");
        assert!(!table.lines().any(|line| line.contains(" rwx")), "{program}:\n{table}");
    }
    // The control: the same program with each of these undone.
    let file = fs::read(format!("/proc/{}/exe", daemon.pid)).expect("root may read it");
    assert_eq!(faults(&undone(file)).len(), 4);
}

#[test]
fn the_control_plane_cannot_be_looked_into_by_its_own_user() {
    let daemon = shared();
    let owner = |pid: u32| fs::metadata(format!("/proc/{pid}/environ")).expect("it runs").uid();
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid)).expect("it runs");
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("it has one");
    let uid: u32 = uid.split_whitespace().next().expect("four of them").parse().expect("a number");
    assert_ne!(uid, 0);
    // What is not dumpable belongs to root here, whoever runs it. The control is what is.
    assert_eq!(owner(daemon.pid), 0);
    let look = format!(
        "import os, sys\n\
         os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})\n\
         def attempt(pid):\n\
         \x20   try:\n\
         \x20       open(f'/proc/{{pid}}/environ', 'rb').close()\n\
         \x20       return 'read'\n\
         \x20   except PermissionError:\n\
         \x20       return 'refused'\n\
         child = os.fork()\n\
         if child == 0:\n\
         \x20   os.execv('/bin/sleep', ['sleep', '600'])\n\
         import time\n\
         while open(f'/proc/{{child}}/comm').read() != 'sleep\\n': time.sleep(0.001)\n\
         print(attempt({}), attempt(child))\n\
         os.kill(child, 9)\n",
        daemon.pid
    );
    let ran = run(std::process::Command::new("/usr/bin/python3").args(["-c", &look]), "");
    assert_eq!(ran.succeeded().stdout, "refused read\n");
}
