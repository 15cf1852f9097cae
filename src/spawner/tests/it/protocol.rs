//! What the spawner refuses, and what its exit status then is.

use std::os::fd::AsFd;
use std::process::Stdio;

use sandbox::sys::socket;
use wire::spawner::{MAX_MESSAGE, Request};

use crate::harness::{IMAGE, Spawner, World, programs, slot_of};

const USAGE: Option<i32> = Some(64);
const NO_SLOT: Option<i32> = Some(73);
const PROTOCOL: Option<i32> = Some(76);

/// A spawner, with a cell to lose, after it was sent these bytes.
fn after(bytes: &[u8]) -> Spawner {
    let mut spawner = World::new().start(4);
    spawner.make();
    socket::send(spawner.socket(), bytes, &[], true).unwrap();
    spawner
}

#[test]
fn whatever_is_not_a_request_ends_the_conversation() {
    let make = Request::Make { ticket: 1, image: IMAGE }.encode();
    let cut = &make[..make.len() - 1];
    let padded = [make.as_slice(), &[0]].concat();
    for bytes in [&[0xFF][..], cut, &padded, &[3], &vec![1; MAX_MESSAGE + 1]] {
        assert_eq!(after(bytes).wait().code(), PROTOCOL, "{} bytes", bytes.len());
    }
}

#[test]
fn limits_out_of_range_end_the_conversation() {
    let limits = wire::spawner::Limits { memory_mib: 1, tmp_mib: 512, pids: 16, cpu_weight: 1 };
    let cell = wire::spawner::CellId(1);
    let request =
        Request::Assign { cell, trees: wire::spawner::Trees::of(crate::harness::CODE), limits };
    assert_eq!(after(&request.encode()).wait().code(), PROTOCOL);
}

#[test]
fn a_descriptor_beside_a_request_ends_the_conversation() {
    let mut spawner = World::new().start(4);
    let request = Request::Make { ticket: 1, image: IMAGE }.encode();
    let gift = std::fs::File::open("/").unwrap();
    socket::send(spawner.socket(), &request, &[gift.as_fd()], true).unwrap();
    assert_eq!(spawner.wait().code(), PROTOCOL);
}

#[test]
fn a_control_plane_that_does_not_listen_is_not_listened_to() {
    let mut spawner = World::new().start(2);
    // Each of these is answered; far more than fit into a socket.
    let request = Request::End { cell: wire::spawner::CellId(77) }.encode();
    let mut sent = 0;
    while socket::send(spawner.socket(), &request, &[], false).is_ok() {
        sent += 1;
        std::thread::yield_now();
        assert!(sent < 100_000, "the spawner takes everything");
    }
    for _ in 0..sent {
        spawner.receive();
    }
    let cell = spawner.make();
    spawner.end(&cell);
}

#[test]
fn a_runner_that_could_still_be_changed_is_refused() {
    let (_ours, theirs) = socket::pair().unwrap();
    let mut command = World::new().command(1);
    command.stdin(theirs).stdout(programs::unsealed_runner());
    let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), USAGE);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "hearth-spawner: descriptor 4 is not a sealed memory file\n");
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_a_sentence() {
    for (argument, sentence) in [
        ("--capacity=0", "--capacity 0: a number from 1 to 10000 is needed"),
        ("--allow-unenforced=walls", "memory, pids, cpu and swap can be gone without"),
        ("--verbose", "unknown argument --verbose"),
    ] {
        let (_ours, theirs) = socket::pair().unwrap();
        let mut command = World::new().command(1);
        command.arg(argument).stdin(theirs).stdout(programs::sealed_runner());
        let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), USAGE);
        assert!(String::from_utf8(output.stderr).unwrap().contains(sentence));
    }
}

#[test]
fn a_state_directory_that_cannot_be_made_is_refused() {
    let (_ours, theirs) = socket::pair().unwrap();
    let mut command = World::new().command(1);
    command
        .arg("--state=/proc/nothing/here")
        .stdin(theirs)
        .stdout(programs::sealed_runner())
        .stderr(Stdio::null());
    assert_eq!(command.status().unwrap().code(), NO_SLOT);
}

#[test]
fn two_spawners_have_nothing_in_common_even_with_different_state_directories() {
    let mut one = World::new().start(2);
    let cell = one.ready();
    // Another state directory says that the slot is free: the locks on what would be swept say that
    // it is not.
    let mut two = World::at(slot_of(one.uid_base)).start(2);
    assert_ne!(one.uid_base, two.uid_base);
    let other = two.ready();
    assert_eq!(cell.python("print('still here')"), "still here\n");
    assert_eq!(other.python("print('here too')"), "here too\n");
}
