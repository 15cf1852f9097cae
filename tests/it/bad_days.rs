//! The machine runs short of something: descriptors, processes, room on the disk.
//!
//! Whoever cannot be served then is told so in AWS's words and when to come back; what can be served
//! is; nothing of ours ends; and as soon as there is enough again everything is as before, without
//! anybody's doing. Each is brought about from outside, for one process or one directory of one daemon.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::http::connect;
use crate::harness::leftovers::Process;
use crate::harness::tools::run;
use crate::harness::{Daemon, Deployed, Function, Home, Options, Response, eventually};

/// Keeps its instance for as long as the event says, and says whose answer it is.
const SLEEPER: &str = "
    import time

    def handler(event, context):
        time.sleep(event['seconds'])
        return event['id']
    ";
/// Calls at once: more than there are sandboxes that stand ready.
const CALLS: usize = 24;
/// Until everything is as before: the shelf is filled again two seconds after it could not be.
const SOON: Duration = Duration::from_secs(20);

/// Calls at once; every answer is right or a throttle. How many were throttled.
fn throttled(function: &Deployed<'_>) -> usize {
    let answers: Vec<(usize, Response)> = thread::scope(|scope| {
        let call = |id: usize| (id, function.invoke(&json!({"id": id, "seconds": 1})).response);
        let calls: Vec<_> = (0..CALLS).map(|id| scope.spawn(move || call(id))).collect();
        calls.into_iter().map(|call| call.join().expect("answered")).collect()
    });
    let mut throttled = 0;
    for (id, answer) in answers {
        if answer.status == 200 {
            assert_eq!(answer.json(), json!(id));
            continue;
        }
        let body = answer.refused(429, "TooManyRequestsException", "Rate Exceeded.");
        assert_eq!(body["Reason"], "ConcurrentInvocationLimitExceeded");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        throttled += 1;
    }
    throttled
}

/// All calls are served again.
fn comes_back(function: &Deployed<'_>) {
    eventually("everything is as before", SOON, || (throttled(function) == 0).then_some(()));
}

/// Sets a process's soft limit.
fn limit(pid: u32, resource: &str, most: u64) {
    let mut command = Command::new("prlimit");
    command.arg(format!("--pid={pid}")).arg(format!("--{resource}={most}:"));
    run(&mut command, "").succeeded();
}

fn soft(pid: u32, name: &str) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel has it");
    let word = line.split_whitespace().next().expect("a number");
    word.parse().expect("a number")
}

fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count() as u64
}

/// A daemon and a function, with nothing warm.
fn with_sleeper(daemon: &Daemon) -> Deployed<'_> {
    Function::python(SLEEPER).timeout(30).deploy(daemon)
}

#[test]
fn a_control_plane_that_may_open_no_more_files_throttles_and_comes_back() {
    const FILES: u64 = 400;
    let options = Options { files: Some(FILES), ..Options::default() };
    let daemon = Daemon::start_in(&Home::new(), &options);
    let function = with_sleeper(&daemon);
    // Connections that say nothing take what there is.
    let mut idle = Vec::new();
    while descriptors(daemon.pid) < FILES {
        idle.push(connect(daemon.http));
        // One that is accepted takes a moment; one that waits in the backlog takes nothing.
        thread::sleep(Duration::from_millis(1));
    }
    let call = json!({"id": 1, "seconds": 0});
    thread::scope(|scope| {
        let waits = scope.spawn(|| function.invoke(&call).response);
        // Enough for the calls' own connections, and for few starts.
        idle.truncate(idle.len() - CALLS);
        let answer = waits.join().expect("it waited in the backlog and was answered");
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
    });
    assert!(throttled(&function) > 0, "the limit is felt");
    drop(idle);
    comes_back(&function);
    drop(function);
    daemon.stop();
}

#[test]
fn a_machine_that_has_no_number_for_another_process_throttles_and_comes_back() {
    let daemon = Daemon::start();
    let function = with_sleeper(&daemon);
    let maker = child_of(daemon.spawner_proper());
    let before = soft(maker, "Max processes");
    limit(maker, "nproc", 1);
    assert!(throttled(&function) > 0, "the limit is felt");
    limit(maker, "nproc", before);
    comes_back(&function);
    drop(function);
    daemon.stop();
}

#[test]
fn a_spawner_that_may_open_no_more_files_throttles_and_comes_back() {
    let daemon = Daemon::start();
    let spawner = daemon.spawner_proper();
    let before = soft(spawner, "Max open files");
    // At the first step of making a sandbox, and of giving one to a function.
    for least in [3, 9] {
        let function = with_sleeper(&daemon);
        limit(spawner, "nofile", least);
        assert!(throttled(&function) > 0, "the limit is felt");
        limit(spawner, "nofile", before);
        comes_back(&function);
    }
    daemon.stop();
}

#[test]
fn a_full_disk_refuses_what_has_to_be_kept_and_serves_what_is_there() {
    // Logs are written only while there is half a gibibyte left.
    let disk = Disk::new("2g");
    let home = Home::within(disk.0.path());
    let daemon = Daemon::start_in(&home, &Options::default());
    let function = with_sleeper(&daemon);
    let name = function.name.clone();

    disk.fill();
    let refused = Function::python(SLEEPER).create(&daemon);
    let body = refused.refused(429, "TooManyRequestsException", "Rate Exceeded.");
    assert_eq!(body["Reason"], "CallerRateLimitExceeded");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(throttled(&function), 0, "what is there is served");
    let ready = daemon.api("GET", "/readyz", &Value::Null);
    assert_eq!(ready.status, 200, "a full disk poisons nothing: {ready:?}");

    disk.resize("2g");
    let second = with_sleeper(&daemon);
    assert_eq!(second.answer(&json!({"id": 7, "seconds": 0})), json!(7));
    let lines = |lines: &[String]| lines.iter().any(|line| line.starts_with("REPORT RequestId: "));
    second.log_until("lines are written again", lines);
    drop(second);
    let kept = function.keep();
    daemon.stop();
    let daemon = Daemon::start_in(&home, &Options::default());
    let function = Deployed::existing(&daemon, &kept);
    assert_eq!((kept, function.answer(&json!({"id": 9, "seconds": 0}))), (name, json!(9)));
    drop(function);
    daemon.stop();
}

/// A file system of its own, whose size is what a test says.
struct Disk(TempDir);

impl Disk {
    fn new(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temp dir");
        let options = format!("size={size},mode=755");
        let (source, kind) = (Some("hearth-test"), Some("tmpfs"));
        let at = folder.path();
        mount(source, at, kind, MsFlags::empty(), Some(options.as_str())).expect("root mounts");
        Self(folder)
    }

    fn resize(&self, size: &str) {
        let (options, none) = (format!("size={size}"), None::<&str>);
        let at = self.0.path();
        mount(none, at, none, MsFlags::MS_REMOUNT, Some(options.as_str())).expect("it is ours");
    }

    /// Makes it as small as what is in it.
    fn fill(&self) {
        let facts = statvfs(self.0.path()).expect("it is mounted");
        let used = (facts.blocks() - facts.blocks_free()) * facts.fragment_size();
        self.resize(&used.to_string());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A daemon that hangs on to it has failed the test already.
        let _busy = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

/// The only child of a process.
fn child_of(pid: u32) -> u32 {
    let all = Process::all();
    let parent = all.iter().find(|one| one.pid == pid).expect("it lives");
    let mut children = all.iter().filter(|one| one.parent_in(&all) == Some(parent));
    children.next().expect("it has a child").pid
}
