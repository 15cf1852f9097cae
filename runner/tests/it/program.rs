//! Promises about `hearth-runner`.
//!
//! It is not PID 1 here, so it kills the function's process group at its end instead of everybody,
//! and adopts orphans because it asked for them. What only PID 1 can show is tested with the sandbox.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use wire::runner::{MAX_MESSAGE, Report, Request};

use crate::supervised::{Supervised, eventually, execute, log, script};

fn errno(number: i32) -> Option<Report> {
    Some(Report::Refused { errno: number as u32 })
}

fn exited(status: u32) -> Option<Report> {
    Some(Report::Exited { status })
}

/// Runs a request to its end; what it printed.
fn output(request: &Request) -> String {
    let runner = Supervised::start();
    let (mut reader, writer) = log();
    runner.execute(request, &[&writer]);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("output");
    assert_eq!(runner.report(), exited(0), "{text}");
    text
}

/// The living and the unburied whose parent a process is.
fn children_of(parent: u32) -> usize {
    let stat = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| stat(entry.ok()?))
        .filter_map(|stat| Some(stat.rsplit(") ").next()?.split(' ').nth(1)?.to_owned()))
        .filter(|ppid| *ppid == parent.to_string())
        .count()
}

// === executing ===

#[test]
fn a_program_gets_exactly_the_arguments_it_was_given() {
    let text = output(&execute(&["/usr/bin/printf", "%s|", "a", "b c", "", "*", "$HOME"]));
    assert_eq!(text, "a|b c||*|$HOME|");
}

#[test]
fn a_program_gets_exactly_the_environment_it_was_given() {
    let env = ["A=1", "B=two words", "EMPTY=", "A=again"];
    let request = Request::Execute {
        argv: vec![b"/usr/bin/env".to_vec()],
        env: env.iter().map(|entry| entry.as_bytes().to_vec()).collect(),
        cwd: b"/".to_vec(),
    };
    assert_eq!(output(&request), env.join("\n") + "\n");
}

#[test]
fn a_program_starts_in_its_working_directory() {
    let request = Request::Execute {
        argv: vec![b"/bin/pwd".to_vec()],
        env: vec![],
        cwd: b"/usr/bin".to_vec(),
    };
    assert_eq!(output(&request), "/usr/bin\n");
}

#[test]
fn a_program_has_four_descriptors_and_no_other() {
    // Asks about each number without opening anything.
    let probe = "n=0; while [ $n -lt 100 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done
                 readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 /proc/$$/fd/3; true";
    let runner = Supervised::start_with("exec 7</dev/null 8</dev/zero 9</dev/null", None);
    let (mut reader, writer) = log();
    let (link, theirs) = UnixStream::pair().expect("a link");
    runner.execute(&script(probe), &[&writer, &theirs]);
    let identity = |fd: &dyn std::os::fd::AsRawFd| {
        fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("an open descriptor")
    };
    let (pipe, socket) = (identity(&writer), identity(&theirs));
    drop((writer, theirs));
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("output");
    let (pipe, socket) = (pipe.display(), socket.display());
    assert_eq!(text, format!("0\n1\n2\n3\n/dev/null\n{pipe}\n{pipe}\n{socket}\n"));
    assert_eq!(runner.report(), exited(0));
    drop(link);
}

#[test]
fn a_program_without_a_link_has_three_descriptors() {
    let probe = "n=0; while [ $n -lt 100 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done";
    assert_eq!(output(&script(&format!("{probe}; true"))), "0\n1\n2\n");
}

#[test]
fn nobody_but_the_program_holds_the_link() {
    let runner = Supervised::start();
    let (_reader, writer) = log();
    let (mut link, theirs) = UnixStream::pair().expect("a link");
    runner.execute(&script("exec 3<&-; while :; do sleep 1000; done"), &[&writer, &theirs]);
    drop(theirs);
    assert_eq!(link.read(&mut [0]).expect("the end"), 0, "the runner holds it");
}

#[test]
fn a_program_starts_with_default_signals_and_none_blocked() {
    let runner = Supervised::start_with("trap '' HUP PIPE USR1 CHLD 34 64", None);
    let (mut reader, writer) = log();
    runner.execute(&execute(&["/bin/grep", "^Sig[BI]", "/proc/self/status"]), &[&writer]);
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("output");
    for name in ["SigBlk", "SigIgn"] {
        assert!(text.contains(&format!("{name}:\t0000000000000000\n")), "{text}");
    }
}

#[test]
fn a_program_leads_a_session_of_its_own() {
    let text = output(&script(
        "read pid comm state ppid group session rest </proc/$$/stat
                               [ $pid = $group ] && [ $pid = $session ] && echo leads",
    ));
    assert_eq!(text, "leads\n");
}

#[test]
fn output_waits_for_a_slow_reader_even_if_the_pipe_was_made_not_to() {
    let runner = Supervised::start();
    let (mut reader, writer) = log();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
    runner.execute(&execute(&["/bin/grep", "^flags", "/proc/self/fdinfo/1"]), &[&writer]);
    assert_eq!(runner.report(), exited(0));
    let mut line = [0; 64];
    let length = reader.read(&mut line).expect("output");
    let flags = str::from_utf8(&line[..length]).expect("text").trim_start_matches("flags:").trim();
    let flags = i32::from_str_radix(flags, 8).expect("octal");
    assert!(!OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK), "{flags:o}");

    let runner = Supervised::start();
    let size = 1 << 20;
    runner.execute(&execute(&["/usr/bin/head", "-c", &size.to_string(), "/dev/zero"]), &[&writer]);
    drop(writer);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("output");
    assert_eq!(bytes.len(), size);
    assert_eq!(runner.report(), exited(0));
}

// === refusing ===

#[test]
fn a_program_that_cannot_be_executed_is_refused_with_the_kernels_reason() {
    let runner = Supervised::start();
    let (_reader, writer) = log();
    let refused = |request: &Request| {
        runner.send(&request.encode(), &[&writer]);
        runner.report()
    };
    assert_eq!(refused(&execute(&["/no/such/program"])), errno(libc::ENOENT));
    assert_eq!(refused(&execute(&["/etc/passwd"])), errno(libc::EACCES));
    assert_eq!(refused(&execute(&["/etc/passwd/x"])), errno(libc::ENOTDIR));
    let nowhere = Request::Execute {
        argv: vec![b"/bin/true".to_vec()],
        env: vec![],
        cwd: b"/no/such/folder".to_vec(),
    };
    assert_eq!(refused(&nowhere), errno(libc::ENOENT));
    eventually("a refused child is buried", || children_of(runner.process.id()) == 0);
    // Nothing has run, so the next one may.
    runner.execute(&execute(&["/bin/true"]), &[&writer]);
    assert_eq!(runner.report(), exited(0));
}

#[test]
fn a_second_program_is_refused_and_the_first_runs_on() {
    let runner = Supervised::start();
    let (reader, writer) = log();
    let (mut link, theirs) = UnixStream::pair().expect("a link");
    runner.execute(&script("read word <&3; echo $word; exit 4"), &[&writer, &theirs]);
    runner.send(&execute(&["/bin/true"]).encode(), &[&writer]);
    assert_eq!(runner.report(), errno(libc::EBUSY));
    link.write_all(b"still here\n").expect("the first one reads");
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).expect("output");
    assert_eq!(line, "still here\n");
    assert_eq!(runner.report(), exited(4 << 8));
}

#[test]
fn what_is_not_a_message_ends_the_runner() {
    let (_reader, log) = log();
    let run = execute(&["/bin/true"]).encode();
    let signal = Request::Signal { number: 9 }.encode();
    // Cut where the buffer ends, it would be a message.
    let filler = "x".repeat(MAX_MESSAGE - execute(&["/bin/true", ""]).encode().len());
    let long = [execute(&["/bin/true", &filler]).encode(), vec![0]].concat();
    assert!(Request::decode(&long[..MAX_MESSAGE]).is_ok());
    let cases: [(&str, &[u8], usize); 8] = [
        ("an unknown tag", &[77], 0),
        ("half a message", &run[..run.len() - 1], 1),
        ("something behind a message", &[signal.as_slice(), &[0]].concat(), 0),
        ("more than fits", &long, 1),
        ("no log", &run, 0),
        ("one descriptor too many", &run, 3),
        ("far too many descriptors", &run, 40),
        ("a descriptor where none belongs", &signal, 1),
    ];
    for (what, bytes, count) in cases {
        let mut runner = Supervised::start();
        let descriptors = vec![&log as &dyn std::os::fd::AsRawFd; count];
        runner.send(bytes, &descriptors);
        assert_eq!(runner.report(), None, "{what}");
        assert_eq!(runner.close().code(), Some(2), "{what}");
    }
}

// === ending ===

#[test]
fn the_end_of_the_program_is_reported_as_the_kernel_tells_it() {
    for (text, status) in
        [("exit 0", 0), ("exit 7", 7 << 8), ("kill -9 $$", 9), ("kill -15 $$", 15)]
    {
        let mut runner = Supervised::start();
        let (_reader, writer) = log();
        runner.execute(&script(text), &[&writer]);
        assert_eq!(runner.report(), exited(status), "{text}");
        assert_eq!(runner.report(), None, "it says no more");
        assert!(runner.close().success());
    }
}

#[test]
fn signals_reach_the_program() {
    let runner = Supervised::start();
    let (reader, writer) = log();
    let waiting = "trap 'echo got it; exit 5' TERM; sleep 1000 & echo ready; wait";
    runner.execute(&script(waiting), &[&writer]);
    let mut lines = BufReader::new(reader).lines().map(|line| line.expect("output"));
    assert_eq!(lines.next().as_deref(), Some("ready"));
    runner.send(&Request::Signal { number: 15 }.encode(), &[]);
    assert_eq!(lines.next().as_deref(), Some("got it"));
    assert_eq!(runner.report(), exited(5 << 8));
}

#[test]
fn a_signal_without_a_program_is_no_error() {
    let runner = Supervised::start();
    let (_reader, writer) = log();
    runner.send(&Request::Signal { number: 9 }.encode(), &[]);
    runner.execute(&execute(&["/bin/true"]), &[&writer]);
    assert_eq!(runner.report(), exited(0));
}

#[test]
fn what_the_program_left_running_dies_with_it() {
    let mut runner = Supervised::start();
    let (mut reader, writer) = log();
    runner.execute(&script("sleep 1000 & sleep 1000 & exit 3"), &[&writer]);
    drop(writer);
    assert_eq!(runner.report(), exited(3 << 8));
    // The pipe ends when the last one that holds it is gone.
    assert_eq!(reader.read_to_end(&mut Vec::new()).expect("the end"), 0);
    assert!(runner.close().success());
}

#[test]
fn a_runner_ends_with_its_socket_and_takes_the_program_along() {
    let mut idle = Supervised::start();
    assert!(idle.close().success(), "before anything was executed");
    let mut runner = Supervised::start();
    let (mut reader, writer) = log();
    runner.execute(&script("trap '' TERM HUP; while :; do sleep 1000; done"), &[&writer]);
    drop(writer);
    assert!(runner.close().success());
    assert_eq!(reader.read_to_end(&mut Vec::new()).expect("the end"), 0);
}

// === burying ===

#[test]
fn orphans_are_buried() {
    let runner = Supervised::start();
    let (reader, writer) = log();
    let text = "n=0; while [ $n -lt 300 ]; do (true &); n=$((n+1)); done
                (sleep 1000 &); echo done; sleep 1000";
    runner.execute(&script(text), &[&writer]);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).expect("output");
    assert_eq!(line, "done\n");
    let children = || children_of(runner.process.id());
    eventually("only the program and its living orphan are left", || children() == 2);
}

#[test]
fn a_flood_of_dying_orphans_does_not_keep_the_runner_from_its_socket() {
    let mut runner = Supervised::start();
    let (reader, writer) = log();
    runner.execute(&script("echo up; while :; do (true &); done"), &[&writer]);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).expect("output");
    runner.send(&execute(&["/bin/true"]).encode(), &[&writer]);
    assert_eq!(runner.report(), errno(libc::EBUSY), "it answers");
    runner.send(&Request::Signal { number: 9 }.encode(), &[]);
    assert_eq!(runner.report(), exited(9), "it passes signals on");
    assert!(runner.close().success());
}

// === itself ===

#[test]
fn a_runner_is_small_and_has_one_thread() {
    let runner = Supervised::start();
    let (_reader, writer) = log();
    runner.execute(&execute(&["/bin/sleep", "1000"]), &[&writer]);
    let status = fs::read_to_string(format!("/proc/{}/status", runner.process.id())).expect("proc");
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a field");
        line.split_whitespace().nth(1).expect("a value").parse().expect("a number")
    };
    assert_eq!(field("Threads:"), 1);
    // Measured: 0.1 MiB of its own and 0.8 MiB of the program file. Twice that is a change to explain.
    assert!(field("RssAnon:") <= 256, "{} KiB", field("RssAnon:"));
    assert!(field("VmRSS:") <= 2048, "{} KiB", field("VmRSS:"));
}

#[test]
fn a_runner_hides_its_memory_before_there_is_any_program() {
    // `/proc` gives the files of an undumpable process to root, whoever it runs as; so it has to run
    // as somebody else to show the difference.
    let nobody = nix::unistd::geteuid().is_root().then_some(65_534);
    let runner = Supervised::start_with("", nobody);
    let (_reader, writer) = log();
    let owner = |pid: u32| fs::metadata(format!("/proc/{pid}/maps")).expect("proc").uid();
    let pid = runner.process.id();
    eventually("it hides", || owner(pid) == 0);
    // The control: its program, of the same user, does not by itself.
    runner.execute(&execute(&["/bin/sleep", "1000"]), &[&writer]);
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("proc");
    let child = children.trim().parse().expect("one child");
    let user = nobody.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
    eventually("it runs", || owner(child) == user);
    assert_eq!(owner(pid), 0);
}

#[test]
fn a_runner_without_its_socket_says_so() {
    let ended = std::process::Command::new(crate::supervised::program())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("it starts");
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.status.signal(), None);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("cannot take the socket"), "{said}");
}
