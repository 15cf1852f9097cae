//! What the wrappers promise, as far as it needs no privilege.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::socket::{ReceiveError, pair, receive, refuse_descriptors, send};

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

#[test]
fn a_datagram_arrives_with_its_descriptors_in_order() {
    let (left, right) = pair().unwrap();
    let (one, two) = (null(), null());
    send(left.as_fd(), b"hello", &[one.as_fd(), two.as_fd()], true).unwrap();
    let mut buffer = [0; 16];
    let got = receive(right.as_fd(), &mut buffer, 2, true).unwrap();
    assert_eq!((&buffer[..got.length], got.descriptors.len()), (&b"hello"[..], 2));
}

#[test]
fn excess_descriptors_are_refused_and_closed() {
    let (left, right) = pair().unwrap();
    for sent in [1, 2, 100, 253] {
        let (reader, writer) = std::io::pipe().unwrap();
        send(left.as_fd(), b"x", &vec![writer.as_fd(); sent], true).unwrap();
        drop(writer);
        let refused = receive(right.as_fd(), &mut [0; 16], 0, true).unwrap_err();
        assert_eq!(refused, ReceiveError::TooManyDescriptors { limit: 0 });
        // End of file is only seen when not one copy of the write end is left anywhere.
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    }
}

#[test]
fn a_datagram_that_was_cut_is_refused() {
    let (left, right) = pair().unwrap();
    send(left.as_fd(), &[7; 32], &[], true).unwrap();
    let refused = receive(right.as_fd(), &mut [0; 31], 0, true).unwrap_err();
    assert_eq!(refused, ReceiveError::TooLong { limit: 31 });
}

#[test]
fn nothing_to_read_and_a_closed_peer_are_told_apart() {
    let (left, right) = pair().unwrap();
    let nothing = receive(right.as_fd(), &mut [0; 8], 0, false).unwrap_err();
    assert_eq!(nothing, ReceiveError::Failed(Errno::EAGAIN));
    drop(left);
    assert_eq!(receive(right.as_fd(), &mut [0; 8], 0, false).unwrap().length, 0);
}

#[test]
fn a_socket_can_refuse_descriptors_where_the_kernel_knows_how() {
    let (left, right) = pair().unwrap();
    if refuse_descriptors(right.as_fd()).unwrap() {
        let some = null();
        assert_eq!(send(left.as_fd(), b"x", &[some.as_fd()], true), Err(Errno::EPERM));
    }
    send(left.as_fd(), b"x", &[], true).unwrap();
}

/// Anonymous memory of this process, bytes.
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[cfg(target_env = "gnu")]
#[test]
fn what_was_freed_between_what_is_in_use_is_given_back() {
    const BLOCK: usize = 2 << 10;
    let blocks: Vec<Vec<u8>> = (0..64 << 10).map(|block| vec![block as u8; BLOCK]).collect();
    // One in a thousand stays, the last among them: the heap does not shrink by itself.
    let stays = |number: &usize| number % 1_000 == 535;
    let kept: Vec<Vec<u8>> =
        blocks.into_iter().enumerate().filter(|(n, _)| stays(n)).map(|(_, block)| block).collect();
    let before = anonymous();
    assert!(super::heap::give_back());
    let after = anonymous();
    assert!(before > after + (64 << 20), "{before} before and {after} after");
    assert_eq!(kept.iter().map(Vec::len).sum::<usize>(), 66 * BLOCK);
}
