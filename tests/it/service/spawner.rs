//! Who may have the spawner, with what rights it runs, and what becomes of either when the other dies.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{connect, recv, socket};
use serde_json::json;

use crate::harness::daemon::{ended, log_of, nothing_left, send};
use crate::harness::{Function, Manager};

const ECHO: &str = "def handler(event, context):\n    return event\n";

fn connect_to_spawner(manager: &Manager) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket");
    let path = manager.home().path().join("spawner.sock");
    connect(socket.as_raw_fd(), &UnixAddr::new(&path).expect("short")).expect("a listener");
    socket
}

/// Whether something comes, or the end, within this many milliseconds.
fn hears(socket: &OwnedFd, milliseconds: u16) -> bool {
    let mut socket = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut socket, PollTimeout::from(milliseconds)) == Ok(1)
}

#[test]
fn nobody_but_the_control_planes_user_gets_a_spawner() {
    let manager = Manager::new();
    // Root may connect, file permissions being what they are, and is still not the one.
    let stranger = connect_to_spawner(&manager);
    assert!(hears(&stranger, 60_000), "the connection is closed");
    let mut buffer = [0; 64];
    let length = recv(stranger.as_raw_fd(), &mut buffer, MsgFlags::empty());
    assert!(matches!(length, Ok(0)), "no word was said: {length:?}");
    // The very process that refused serves the right one.
    let daemon = manager.start();
    assert_eq!(manager.spawners_ended(), 0);
    assert!(daemon.log().contains("is not the control plane"), "{}", daemon.log());
}

#[test]
fn a_spawner_has_one_peer_and_others_wait_for_a_fresh_one() {
    let manager = Manager::new();
    let daemon = manager.start();
    let second = connect_to_spawner(&manager);
    assert!(!hears(&second, 500), "it is neither served nor sent away");
    let trace = daemon.trace();
    daemon.stop();
    nothing_left(&trace);
    // Its turn has come; being root's it is refused, by another process.
    assert!(hears(&second, 60_000), "a fresh one looked at it");
    assert_eq!(manager.spawner_ended(1), "exit 0");
}

#[test]
fn the_spawner_needs_no_capability_that_its_unit_does_not_grant() {
    let unit = include_str!("../../../rootfs/systemd/hearth-spawner.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let granted: Vec<&str> = lines.flat_map(|line| line.split(' ')).collect();
    let manager = Manager::with_capabilities(&granted);
    let daemon = manager.start();
    let function = Function::python(ECHO).deploy(&daemon);
    assert_eq!(function.answer(&json!(1)), 1);
    drop(function);
    daemon.stop();
    assert_eq!(manager.spawner_ended(1), "exit 0");
}

#[test]
fn a_killed_spawner_ends_the_control_plane_with_its_code_and_both_start_again() {
    let manager = Manager::new();
    let mut daemon = manager.start();
    let function = Function::python(ECHO).deploy(&daemon);
    assert_eq!(function.answer(&json!(1)), 1);
    let name = function.keep();
    let trace = daemon.trace();
    send(daemon.spawner, Signal::SIGKILL);
    assert_eq!(ended(daemon.wait()), "exit 70", "{}", daemon.log());
    assert_eq!(manager.spawner_ended(1), "signal 9");
    nothing_left(&trace);
    let daemon = manager.start();
    assert_eq!(crate::harness::Deployed::existing(&daemon, &name).answer(&json!(2)), 2);
}

#[test]
fn a_killed_control_plane_ends_the_spawner_in_order_and_both_start_again() {
    let manager = Manager::new();
    let mut daemon = manager.start();
    let trace = daemon.trace();
    daemon.signal(Signal::SIGKILL);
    assert_eq!(ended(daemon.wait()), "signal 9");
    assert_eq!(manager.spawner_ended(1), "exit 0");
    nothing_left(&trace);
    assert!(trace.remaining_cgroups().is_empty(), "{:?}", trace.remaining_cgroups());
    let daemon = manager.start();
    assert_eq!(manager.spawners_ended(), 1);
    daemon.stop();
}

#[test]
fn sigterm_to_the_spawners_main_process_ends_it_in_order() {
    let manager = Manager::new();
    let mut daemon = manager.start();
    let trace = daemon.trace();
    send(daemon.spawner, Signal::SIGTERM);
    assert_eq!(manager.spawner_ended(1), "exit 0");
    assert_eq!(ended(daemon.wait()), "exit 70", "{}", daemon.log());
    nothing_left(&trace);
    assert!(trace.remaining_cgroups().is_empty(), "{:?}", trace.remaining_cgroups());
}

#[test]
fn the_control_plane_has_nothing_of_roots_from_its_first_moment() {
    let manager = Manager::new();
    let daemon = manager.start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid)).expect("alive");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), vec![manager.user.to_string(); 4]);
    assert_eq!(field("Gid:"), vec![manager.user.to_string(); 4]);
    assert_eq!(field("CapEff:"), ["0000000000000000"]);
    assert_eq!(field("CapPrm:"), ["0000000000000000"]);
    assert_eq!(field("NoNewPrivs:"), ["1"]);
}

#[test]
fn started_wrongly_either_says_what_to_do() {
    let said = |command: &mut Command| {
        let out = command.output().expect("it runs");
        assert_eq!(out.status.code(), Some(1), "{out:?}");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let hearth = || Command::new(env!("CARGO_BIN_EXE_hearth"));
    let text = said(hearth().arg("spawner"));
    assert!(text.contains("hearth-spawner.socket"), "{text}");
    let text = said(hearth().args(["serve", "--spawner-socket", "/nowhere"]));
    assert!(text.contains("as root, leave it out"), "{text}");
    let manager = Manager::new();
    std::fs::remove_file(manager.home().path().join("spawner.sock")).expect("it was there");
    let status = manager.serve().status().expect("it runs");
    assert_eq!(ended(status), "exit 1");
    let text = log_of(manager.home());
    assert!(text.contains("systemctl start hearth-spawner.socket"), "{text}");
}
