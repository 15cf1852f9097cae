//! The pages of files that sandboxes read: who is charged for them, and who else uses them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use serde_json::json;

use crate::harness::daemon::{MOMENT, images};
use crate::harness::package::dedent;
use crate::harness::{
    Daemon, Deployed, Function, Home, Options, Package, eventually, setup, shared,
};

/// What the function reads, MiB.
const BLOB: u64 = 24;
/// Above what else of a sandbox's could be in the cache, and well below the blob.
const LITTLE: u64 = 8;

const SOURCE: &str = "
    def handler(event, context):
        with open('/var/task/blob', 'rb') as blob:
            return len(blob.read()) >> 20
    ";

/// Every plain file beneath a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut open, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

/// The one file of that name beneath a folder.
fn find(folder: &Path, name: &str) -> PathBuf {
    let found = files(folder).into_iter().find(|path| path.ends_with(name));
    found.unwrap_or_else(|| panic!("no {name} in {}", folder.display()))
}

/// Name and inode of what a process has mapped, if it still runs.
fn mapped(pid: u32) -> Option<HashSet<(String, u64)>> {
    let text = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let file = |line: &str| {
        let (facts, path) = line.split_once('/')?;
        let name = path.rsplit('/').next()?.to_owned();
        Some((name, facts.split_whitespace().nth(4)?.parse().ok()?))
    };
    Some(text.lines().filter_map(file).collect())
}

/// How much of a file is in the cache, MiB.
fn cached(file: &Path) -> u64 {
    let mut fincore = Command::new("fincore");
    fincore.args(["--bytes", "--noheadings", "--raw", "--output", "res"]).arg(file);
    let output = fincore.output().expect("util-linux has it");
    let text = String::from_utf8(output.stdout).expect("a number");
    text.trim().parse::<u64>().expect("a number") >> 20
}

/// Drops a file from the cache.
fn drop_from_cache(path: &Path) {
    let file = File::open(path).expect("there");
    file.sync_all().expect("written");
    eventually("nothing of it is cached", MOMENT, || {
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("allowed");
        (cached(path) == 0).then_some(())
    });
}

/// Pages of files that are charged to the daemon's sandboxes, MiB.
fn charged(daemon: &Daemon) -> u64 {
    let trace = daemon.trace();
    let leaf = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix('c').is_some_and(|number| number.parse::<u64>().is_ok())
    };
    let leaves = trace.cgroups().iter().map(|(path, _)| path).filter(leaf);
    let pages = leaves.filter_map(|leaf| {
        let text = fs::read_to_string(leaf.join("memory.stat")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(field, _)| *field == name)?.1.parse().ok()
        };
        // Version 1 and version 2; what lies in `/tmp` is none.
        Some(field("cache").or_else(|| field("file"))? - field("shmem")?)
    });
    pages.sum::<u64>() >> 20
}

#[test]
fn what_sandboxes_read_is_charged_to_the_daemon_that_read_it_first() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Options::default());
    let package = Package::new()
        .file("app.py", dedent(SOURCE))
        .file("blob", vec![7; (BLOB << 20) as usize])
        .build();
    let function = Function::new(setup::python_runtime(), "app.handler", package).deploy(&daemon);
    let name = function.keep();
    daemon.stop();
    let blob = find(&home.data(), "blob");
    if statfs(&blob).expect("there").filesystem_type() == TMPFS_MAGIC {
        // Files in memory have no cache whose pages anybody else could be charged for.
        return;
    }

    // As after a boot: nothing is cached when the daemon starts.
    drop_from_cache(&blob);
    let daemon = Daemon::start_in(&home, &Options::default());
    eventually("the code is read ahead", MOMENT, || (cached(&blob) == BLOB).then_some(()));
    let function = Deployed::existing(&daemon, &name);
    assert_eq!(function.answer(&json!(null)), BLOB);
    let ahead = charged(&daemon);
    assert!(ahead < LITTLE, "{ahead} MiB are charged to sandboxes");

    // The control: the same read by an instance that is the first.
    drop_from_cache(&blob);
    let change = json!({"Description": "another instance"});
    daemon.api("PUT", &function.path("configuration"), &change).expect(200);
    function.settle();
    assert_eq!(function.answer(&json!(null)), BLOB);
    let behind = charged(&daemon);
    assert!(behind >= BLOB, "only {behind} MiB are charged to sandboxes");
}

#[test]
fn no_process_of_ours_runs_a_file_that_sandboxes_read() {
    let daemon = shared();
    let source = "def handler(event, context):\n    return event\n";
    let function = Function::python(source).deploy(&daemon);
    assert_eq!(function.answer(&json!(1)), 1);
    let trees = [images(), daemon.home().data().join("code")];
    let read: HashSet<(String, u64)> = trees
        .iter()
        .flat_map(|tree| files(tree))
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some((name, fs::metadata(&path).ok()?.ino()))
        })
        .collect();
    let trace = daemon.trace();
    let (sandboxed, ours): (Vec<u32>, Vec<u32>) = {
        let inside: HashSet<u32> = trace.sandboxed().iter().map(|process| process.pid).collect();
        // What functions are forked from is an interpreter as they are, and has no privilege.
        let all = trace.processes().iter().filter(|process| !process.is_template());
        all.map(|process| process.pid).partition(|pid| inside.contains(pid))
    };
    assert!(ours.len() >= 4, "control plane, both spawners, maker: {ours:?}");
    for pid in ours {
        let shared: Vec<_> = mapped(pid).expect("it runs").intersection(&read).cloned().collect();
        assert!(shared.is_empty(), "process {pid} has mapped {shared:?}");
    }
    // The control: the interpreter of a function is such a file.
    let mut sandboxed = sandboxed.into_iter().filter_map(mapped);
    let seen = sandboxed.any(|files| !files.is_disjoint(&read));
    assert!(seen, "what sandboxes have mapped is seen");
}
