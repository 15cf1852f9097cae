//! What crosses a socket, and what does not.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::{Datagrams, link_pair, log_pipe};

fn seqpacket() -> (OwnedFd, OwnedFd) {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .expect("a socket pair")
}

#[tokio::test]
async fn descriptors_arrive_beside_their_message_and_close_on_exec() {
    let (a, b) = seqpacket();
    let (a, b) = (Datagrams::new(a).expect("a"), Datagrams::new(b).expect("b"));
    let (reader, writer) = log_pipe().expect("a pipe");
    a.send(b"take this", &[writer.as_fd()]).await.expect("sent");
    drop(writer);
    let mut buffer = [0; 64];
    let got = b.receive(&mut buffer).await.expect("received");
    assert_eq!(&buffer[..got.length], b"take this");
    let [writer] = &got.descriptors[..] else { panic!("{:?}", got.descriptors) };
    let flags = rustix::io::fcntl_getfd(writer).expect("flags");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    rustix::io::write(writer, b"hello").expect("written");
    let mut text = [0; 5];
    std::fs::File::from(reader).read_exact(&mut text).expect("read");
    assert_eq!(&text, b"hello");
}

#[tokio::test]
async fn a_closed_peer_is_an_empty_datagram() {
    let (a, b) = seqpacket();
    let a = Datagrams::new(a).expect("a");
    drop(b);
    assert_eq!(a.receive(&mut [0; 8]).await.expect("received").length, 0);
}

#[tokio::test]
async fn a_datagram_longer_than_the_buffer_is_refused() {
    let (a, b) = seqpacket();
    let (a, b) = (Datagrams::new(a).expect("a"), Datagrams::new(b).expect("b"));
    a.send(&[7; 64], &[]).await.expect("sent");
    assert!(b.receive(&mut [0; 63]).await.is_err());
}

#[tokio::test]
async fn a_full_socket_delays_a_datagram_and_loses_none() {
    let (a, b) = seqpacket();
    let (a, b) = (Datagrams::new(a).expect("a"), Datagrams::new(b).expect("b"));
    let sender = tokio::spawn(async move {
        for number in 0..5_000_u32 {
            a.send(&number.to_le_bytes(), &[]).await.expect("sent");
        }
    });
    let mut buffer = [0; 8];
    for number in 0..5_000_u32 {
        let got = b.receive(&mut buffer).await.expect("received");
        assert_eq!(buffer[..got.length], number.to_le_bytes());
    }
    sender.await.expect("the sender ends");
}

#[test]
fn a_function_cannot_pass_descriptors_up_its_link() {
    let (ours, theirs) = link_pair().expect("a pair");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [theirs.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let bytes = [std::io::IoSlice::new(b"x")];
    match rustix::net::sendmsg(&theirs, &bytes, &mut control, SendFlags::NOSIGNAL) {
        Err(errno) => assert_eq!(errno, rustix::io::Errno::PERM),
        // A kernel without the option: the descriptor is dropped by the read.
        Ok(_) => {
            let mut buffer = [0; 8];
            let flags = rustix::net::RecvFlags::empty();
            rustix::net::recv(&ours, &mut buffer[..], flags).expect("received");
        }
    }
}

#[test]
fn what_a_function_prints_to_may_be_written_by_others_and_read_by_none() {
    let (reader, writer) = log_pipe().expect("a pipe");
    for end in [&reader, &writer] {
        let mode = rustix::fs::fstat(end).expect("a pipe").st_mode;
        assert_eq!(mode & 0o7777, 0o622);
    }
}
