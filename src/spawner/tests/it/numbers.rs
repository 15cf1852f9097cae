//! Process numbers are used again; nothing of ours ever means a process by its number.

use std::fs;
use std::os::fd::AsFd;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use sandbox::sys::process::send_signal;
use wire::spawner::{Reply, Request, Subject};

use crate::harness::{Spawner, World, children_of};

/// The number that the youngest child of the spawner has in the spawner's own pid namespace.
fn number_of_youngest(spawner: &Spawner) -> u32 {
    let pid = *children_of(spawner.inner_pid()).last().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    numbers.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs a line of shell as a member of the spawner's pid namespace.
fn within(spawner: &Spawner, line: &str) -> bool {
    let mut command = Command::new("nsenter");
    command.args(["--target", &spawner.inner_pid().to_string(), "--pid"]);
    command.args(["--", "/bin/sh", "-c", line]).status().unwrap().success()
}

#[test]
fn a_number_that_is_somebody_elses_by_now_is_never_signalled() {
    let world = World::new();
    let mut spawner = world.start(4);
    let dead = spawner.ready();
    let number = number_of_youngest(&spawner);
    spawner.end(&dead);
    // As if all numbers had been used meanwhile: the next process gets the dead one's.
    let last = number - 1;
    assert!(within(&spawner, &format!("echo {last} > /proc/sys/kernel/ns_last_pid")));
    let stranger = spawner.ready();
    assert_eq!(number_of_youngest(&spawner), number, "or this test shows nothing");
    // The control: who signals by number hits the stranger.
    assert!(within(&spawner, &format!("kill -0 {number}")));

    spawner.send(&Request::End { cell: dead.number });
    let (reply, _) = spawner.receive();
    let expected = Subject::Cell(dead.number);
    assert!(
        matches!(&reply, Reply::Failed { subject, .. } if *subject == expected),
        "{reply:?}: a cell is not its process's number either"
    );
    assert_eq!(send_signal(dead.pidfd.as_fd(), Signal::SIGKILL), Err(Errno::ESRCH));
    assert_eq!(stranger.python("print(1)"), "1\n", "it lives");
    spawner.end(&stranger);
}
