//! What the client of the spawner promises.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use telemetry::METRICS;
use wire::spawner::{CellId, Limits, MAX_MESSAGE, Reply, Request, Subject, Trees};

use super::{ConnectError, Ended, Spawner, SpawnerError};
use crate::socket::Datagrams;

const LIMITS: Limits = Limits { memory_mib: 128, tmp_mib: 512, pids: 64, cpu_weight: 100 };

fn sockets() -> (Datagrams, OwnedFd) {
    let (a, b) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .expect("a pair");
    (Datagrams::new(a).expect("a socket"), b)
}

/// A connected client, and the socket of the spawner that is played.
async fn connected() -> (Arc<Spawner>, Datagrams) {
    let (theirs, ours) = sockets();
    let hello = Reply::Hello { version: wire::VERSION, uid_base: 0, capacity: 7 };
    theirs.send(&hello.encode(), &[]).await.expect("sent");
    let (spawner, capacity) = Spawner::connect(ours).await.expect("connected");
    assert_eq!(capacity, 7);
    (spawner, theirs)
}

async fn request(socket: &Datagrams) -> Request {
    let mut buffer = [0; MAX_MESSAGE];
    let got = socket.receive(&mut buffer).await.expect("a request");
    Request::decode(&buffer[..got.length]).expect("a request")
}

/// Answers a `Make` with a cell that has `count` descriptors.
async fn made(socket: &Datagrams, ticket: u64, cell: CellId, count: usize) {
    let files: Vec<OwnedFd> = (0..count).map(|_| sockets().1).collect();
    let fds: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
    let reply = Reply::Made { ticket, cell, uid: 1, freezer: count >= 5, kills: count >= 6 };
    socket.send(&reply.encode(), &fds).await.expect("sent");
}

#[tokio::test]
async fn a_cell_is_made_assigned_and_ended() {
    let (spawner, socket) = connected().await;
    let play = async {
        let Request::Make { ticket, image } = request(&socket).await else { panic!("no make") };
        assert_eq!(image, [3; 32]);
        made(&socket, ticket, CellId(5), 4).await;
        let Request::Assign { cell, limits, .. } = request(&socket).await else {
            panic!("no assign")
        };
        assert_eq!(limits, LIMITS);
        socket.send(&Reply::Assigned { cell }.encode(), &[]).await.expect("sent");
        let Request::End { cell } = request(&socket).await else { panic!("no end") };
        let last = Reply::Ended { cell, memory_kills: 2, peak_bytes: 9 };
        socket.send(&last.encode(), &[]).await.expect("sent");
    };
    let use_it = async {
        let cell = spawner.make([3; 32]).await.expect("made");
        assert_eq!(cell.id, CellId(5));
        spawner.assign(cell.id, Trees::of([4; 32]), LIMITS).await.expect("assigned");
        spawner.end(cell.id).await.expect("asked");
        assert_eq!(cell.ended.await, Ok(Ended { memory_kills: 2, peak_bytes: 9 }));
    };
    tokio::join!(play, use_it);
}

#[tokio::test]
async fn a_failure_reaches_the_one_who_asked() {
    let (spawner, socket) = connected().await;
    let play = async {
        let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
        let subject = Subject::Ticket(ticket);
        let reply = Reply::Failed { subject, detail: "clone3: EAGAIN".to_owned() };
        socket.send(&reply.encode(), &[]).await.expect("sent");
    };
    let (failed, ()) = tokio::join!(spawner.make([3; 32]), play);
    let detail = "clone3: EAGAIN".to_owned();
    assert_eq!(failed.expect_err("failed"), SpawnerError::NoRoom { detail });
}

#[tokio::test]
async fn a_cell_that_comes_without_all_its_descriptors_is_ended_and_the_conversation_goes_on() {
    let (spawner, socket) = connected().await;
    let raw = socket.duplicate();
    let play = async {
        let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
        // More than there is room for, as all are to a process that may open no more.
        cut(&raw, &Reply::Made { ticket, cell: CellId(6), uid: 1, freezer: true, kills: true });
        assert_eq!(request(&socket).await, Request::End { cell: CellId(6) });
        let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
        made(&socket, ticket, CellId(7), 5).await;
    };
    let use_it = async {
        let refused = spawner.make([3; 32]).await.expect_err("it came in part");
        assert!(matches!(refused, SpawnerError::NoRoom { .. }), "{refused:?}");
        spawner.make([3; 32]).await.expect("made")
    };
    let ((), cell) = tokio::join!(play, use_it);
    assert_eq!(cell.id, CellId(7));
    cut(&raw, &Reply::Assigned { cell: CellId(7) });
    spawner.closed().await;
}

/// Says something with more descriptors than anybody takes.
fn cut(socket: &OwnedFd, reply: &Reply) {
    // Room for them is reckoned generously.
    const TOO_MANY: usize = wire::spawner::MADE_DESCRIPTORS * 2;
    let files: Vec<OwnedFd> = (0..TOO_MANY).map(|_| sockets().1).collect();
    let fds: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOO_MANY))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let bytes = reply.encode();
    let bytes = [IoSlice::new(&bytes)];
    rustix::net::sendmsg(socket, &bytes, &mut control, SendFlags::empty()).expect("sent");
}

#[tokio::test]
async fn a_cell_nobody_waits_for_any_more_is_ended() {
    let (spawner, socket) = connected().await;
    let waiting = tokio::time::timeout(Duration::from_millis(5), spawner.make([3; 32]));
    assert!(waiting.await.is_err(), "nobody answers yet");
    let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
    made(&socket, ticket, CellId(8), 5).await;
    assert_eq!(request(&socket).await, Request::End { cell: CellId(8) });
}

#[tokio::test]
async fn when_the_spawner_closes_everybody_learns_it() {
    let (spawner, socket) = connected().await;
    let play = async {
        let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
        made(&socket, ticket, CellId(5), 4).await;
        request(&socket).await;
        request(&socket).await;
        drop(socket);
    };
    let use_it = async {
        let cell = spawner.make([3; 32]).await.expect("made");
        let assigned = spawner.assign(cell.id, Trees::of([4; 32]), LIMITS);
        let (assigned, second) = tokio::join!(assigned, spawner.make([3; 32]));
        assert_eq!(assigned, Err(SpawnerError::Closed));
        assert_eq!(second.expect_err("closed"), SpawnerError::Closed);
        assert!(cell.ended.await.is_err());
        spawner.closed().await;
        assert_eq!(spawner.make([3; 32]).await.expect_err("closed"), SpawnerError::Closed);
        assert_eq!(spawner.end(cell.id).await, Err(SpawnerError::Closed));
    };
    tokio::join!(play, use_it);
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_connection() {
    let hello = Reply::Hello { version: wire::VERSION, uid_base: 0, capacity: 7 }.encode();
    for nonsense in [vec![0xff; 10], hello] {
        let (spawner, socket) = connected().await;
        socket.send(&nonsense, &[]).await.expect("sent");
        spawner.closed().await;
        assert!(spawner.is_closed());
    }
    let (spawner, socket) = connected().await;
    let play = async {
        let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
        made(&socket, ticket, CellId(5), 3).await;
    };
    let (failed, ()) = tokio::join!(spawner.make([3; 32]), play);
    assert_eq!(failed.expect_err("three descriptors are not a cell"), SpawnerError::Closed);
}

#[tokio::test]
async fn replies_nobody_waits_for_change_nothing() {
    let (spawner, socket) = connected().await;
    for reply in [
        Reply::Assigned { cell: CellId(99) },
        Reply::Ended { cell: CellId(99), memory_kills: 0, peak_bytes: 0 },
        Reply::Failed { subject: Subject::Ticket(99), detail: String::new() },
        Reply::Failed { subject: Subject::Cell(CellId(99)), detail: String::new() },
    ] {
        socket.send(&reply.encode(), &[]).await.expect("sent");
    }
    let play = async {
        let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
        made(&socket, ticket, CellId(1), 4).await;
    };
    let (cell, ()) = tokio::join!(spawner.make([3; 32]), play);
    assert_eq!(cell.expect("made").id, CellId(1));
}

#[tokio::test]
async fn a_spawner_of_another_build_is_refused() {
    let (theirs, ours) = sockets();
    let hello = Reply::Hello { version: wire::VERSION + 1, uid_base: 0, capacity: 7 };
    theirs.send(&hello.encode(), &[]).await.expect("sent");
    let refused = Spawner::connect(ours).await.expect_err("another build");
    assert!(matches!(refused, ConnectError::Version { .. }), "{refused}");
}

#[tokio::test]
async fn a_cell_that_does_not_end_is_counted_until_it_has() {
    let (spawner, socket) = connected().await;
    let quarantined = Reply::Quarantined { cell: CellId(9), uid: 1, detail: "busy".to_owned() };
    socket.send(&quarantined.encode(), &[]).await.expect("sent");
    let counts = |count: u64| METRICS.cells_quarantined.get() == count;
    until(|| counts(1) && spawner.strays() == 1).await;
    // One that somebody here has is counted by whom it belongs to.
    let play = async {
        let Request::Make { ticket, .. } = request(&socket).await else { panic!("no make") };
        made(&socket, ticket, CellId(10), 4).await;
    };
    let (cell, ()) = tokio::join!(spawner.make([3; 32]), play);
    let cell = cell.expect("made");
    let quarantined = Reply::Quarantined { cell: cell.id, uid: 2, detail: "busy".to_owned() };
    socket.send(&quarantined.encode(), &[]).await.expect("sent");
    until(|| counts(2)).await;
    assert_eq!(spawner.strays(), 1);
    for cell in [CellId(9), cell.id] {
        let ended = Reply::Ended { cell, memory_kills: 0, peak_bytes: 0 };
        socket.send(&ended.encode(), &[]).await.expect("sent");
    }
    assert_eq!(cell.ended.await, Ok(Ended::default()), "its last word comes all the same");
    until(|| counts(0) && spawner.strays() == 0).await;
    spawner.room().await;
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it never is so");
}
