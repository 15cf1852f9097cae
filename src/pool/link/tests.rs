//! What a link promises, whatever its other end does.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::Interest;
use wire::link::{HEADER, Header, Invoke, Kind, MAX_RESPONSE, MAX_SEQUENCE};

use super::{Incoming, Link, LinkError, Quiet};
use crate::socket::link_pair;

fn pair() -> (Link, UnixStream) {
    let (ours, theirs) = link_pair().expect("a pair");
    (Link::new(ours).expect("a link"), theirs.into())
}

/// A frame; an answer is to event 1.
fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
    frame_to(kind.has_event().into(), kind, body)
}

fn frame_to(sequence: u32, kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Header { kind, length: body.len(), sequence }.encode().to_vec();
    out.extend(body);
    out
}

fn event(payload: &Bytes) -> Invoke<'_> {
    Invoke {
        deadline_ms: 7,
        request_id: "8c2c2a4e-7a3b-4b0e-9d5c-0f1e2d3c4b5a",
        invoked_arn: "arn",
        trace_id: "",
        client_context: "",
        cognito_identity: "",
        payload,
    }
}

/// Writes an event and reads it at the other end: its sequence number.
fn deliver(link: &Link, peer: &mut UnixStream) -> u32 {
    let payload = Bytes::from_static(b"{}");
    assert!(link.write(&event(&payload), &payload).expect("written").is_none());
    let mut head = [0; HEADER];
    peer.read_exact(&mut head).expect("read");
    let header = Header::parse(head).expect("a header");
    assert_eq!(header.kind, Kind::Invoke);
    let mut body = vec![0; header.length];
    peer.read_exact(&mut body).expect("read");
    assert!(body.ends_with(b"{}"));
    header.sequence
}

/// Waits until the reactor has seen what happened.
async fn seen(link: &Link) -> Quiet {
    for _ in 0..1000 {
        match link.quiet() {
            Quiet::Yes => tokio::time::sleep(Duration::from_millis(1)).await,
            other => return other,
        }
    }
    Quiet::Yes
}

#[tokio::test]
async fn an_event_and_its_answer_cross() {
    let (link, mut peer) = pair();
    let sequence = deliver(&link, &mut peer);
    peer.write_all(&frame_to(sequence, Kind::Response, b"[1]")).expect("written");
    let mut incoming = Incoming::default();
    let got = link.answer(&mut incoming).await.expect("a frame");
    assert_eq!(got, (Kind::Response, Bytes::from_static(b"[1]")));
    assert!(!incoming.has_more());
}

#[tokio::test]
async fn an_answer_is_taken_under_the_number_of_its_event_alone() {
    for kind in [Kind::Response, Kind::Failed, Kind::Oversize] {
        for off in [0, 1, 2, 0x100, 0x01_00_00, MAX_SEQUENCE - 1] {
            let (link, mut peer) = pair();
            let sequence = deliver(&link, &mut peer);
            // As far ahead; the last is one behind.
            let other = (sequence - 1 + off) % MAX_SEQUENCE + 1;
            peer.write_all(&frame_to(other, kind, b"")).expect("written");
            let got = link.answer(&mut Incoming::default()).await;
            if off == 0 {
                assert_eq!(got, Ok((kind, Bytes::new())));
            } else {
                assert_eq!(got, Err(LinkError::OtherEvent), "{sequence} answered as {other}");
            }
        }
    }
    let (link, mut peer) = pair();
    deliver(&link, &mut peer);
    peer.write_all(&frame(Kind::Ready, b"")).expect("written");
    let refused = Err(LinkError::Unexpected { kind: Kind::Ready });
    assert_eq!(link.answer(&mut Incoming::default()).await, refused);
}

#[tokio::test]
async fn no_two_events_in_a_row_have_the_same_number_and_none_has_zero() {
    let (link, mut peer) = pair();
    link.sequence.store(MAX_SEQUENCE - 2, Ordering::Relaxed);
    let numbers: Vec<_> = (0..4).map(|_| deliver(&link, &mut peer)).collect();
    assert_eq!(numbers, [MAX_SEQUENCE - 1, MAX_SEQUENCE, 1, 2]);
    // Wherever it begins.
    link.sequence.store(0, Ordering::Relaxed);
    assert_eq!(deliver(&link, &mut peer), 1);
}

#[tokio::test]
async fn after_an_answer_the_kernel_need_not_be_asked_whether_there_is_more() {
    let (link, mut peer) = pair();
    for length in [0, 1, 1000, 60_000] {
        let sequence = deliver(&link, &mut peer);
        peer.write_all(&frame_to(sequence, Kind::Response, &vec![b'1'; length])).expect("written");
        link.answer(&mut Incoming::default()).await.expect("an answer");
        let asked = link.socket.try_io(Interest::READABLE, |_| Ok(()));
        assert_eq!(asked.expect_err("not asked").kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn an_event_larger_than_the_socket_is_written_in_pieces() {
    let (link, mut peer) = pair();
    let payload = Bytes::from((0..3_000_000_u32).map(|n| n as u8).collect::<Vec<u8>>());
    let length = event(&payload).encode_head(1).len() + payload.len();
    let expected = payload.clone();
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; length];
        peer.read_exact(&mut got).expect("read");
        assert!(got.ends_with(&expected));
    });
    let mut rest = link.write(&event(&payload), &payload).expect("begun").expect("too large");
    link.write_rest(&mut rest).await.expect("written");
    reader.join().expect("all of it arrived");
}

#[tokio::test]
async fn a_reader_that_is_dropped_and_called_again_loses_nothing() {
    let (link, mut peer) = pair();
    let bytes = frame(Kind::Response, &vec![b'x'; 100_000]);
    let mut incoming = Incoming::default();
    for piece in bytes.chunks(9_000) {
        let wait = tokio::time::timeout(Duration::from_millis(1), link.read(&mut incoming));
        assert!(wait.await.is_err(), "not all of it is there");
        peer.write_all(piece).expect("written");
    }
    let (kind, body) = link.read(&mut incoming).await.expect("a frame");
    assert_eq!((kind, body.len()), (Kind::Response, 100_000));
}

#[tokio::test]
async fn silence_words_out_of_turn_and_absence_are_told_apart() {
    let (link, mut peer) = pair();
    for _ in 0..3 {
        assert_eq!(link.quiet(), Quiet::Yes);
        peer.write_all(&frame(Kind::Response, b"1")).expect("written");
        link.read(&mut Incoming::default()).await.expect("a frame");
    }
    assert_eq!(link.quiet(), Quiet::Yes);
    peer.write_all(b"x").expect("written");
    assert_eq!(seen(&link).await, Quiet::No);
    let (link, peer) = pair();
    drop(peer);
    assert_eq!(seen(&link).await, Quiet::Gone);
    // What came together with an answer, and after it.
    let (link, mut peer) = pair();
    peer.write_all(&[frame(Kind::Response, b"1"), vec![9]].concat()).expect("written");
    let mut incoming = Incoming::default();
    link.read(&mut incoming).await.expect("a frame");
    assert!(incoming.has_more());
    drop(peer);
    assert_eq!(seen(&link).await, Quiet::Gone);
}

#[tokio::test]
async fn nothing_is_allocated_for_what_a_header_only_claims() {
    let (link, mut peer) = pair();
    let mut head = (MAX_RESPONSE as u32 + 1).to_le_bytes().to_vec();
    head.extend([Kind::Response as u8, 1, 0, 0]);
    peer.write_all(&head).expect("written");
    let refused = link.read(&mut Incoming::default()).await;
    assert!(matches!(refused, Err(LinkError::Malformed { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_link_that_is_shut_wakes_whoever_reads() {
    let (link, _peer) = pair();
    let mut incoming = Incoming::default();
    let read = async { link.read(&mut incoming).await };
    let shut = async { link.shut() };
    let (read, ()) = tokio::join!(read, shut);
    assert_eq!(read, Err(LinkError::Closed));
    let payload = Bytes::from_static(b"{}");
    assert_eq!(link.write(&event(&payload), &payload).expect_err("shut"), LinkError::Closed);
}

#[test]
fn what_follows_a_frame_is_seen() {
    let mut incoming = Incoming::default();
    let mut bytes = frame(Kind::Hello, &[1, 0]);
    bytes.extend(frame(Kind::Ready, b""));
    bytes.push(9);
    incoming.feed(&bytes).expect("well formed");
    assert_eq!(incoming.take().expect("a frame").expect("whole").0.kind, Kind::Hello);
    assert!(incoming.has_more());
    assert_eq!(incoming.take().expect("a frame").expect("whole").0.kind, Kind::Ready);
    assert!(incoming.has_more());
    assert_eq!(incoming.take(), Ok(None));
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_pieces(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5),
        cuts in prop::collection::vec(1..20_usize, 1..40),
    ) {
        let stream: Vec<u8> =
            bodies.iter().flat_map(|body| frame(Kind::Response, body)).collect();
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        let mut incoming = Incoming::default();
        let mut got = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            theirs.write_all(piece).expect("written");
            while incoming.fill(std::os::fd::AsFd::as_fd(&ours)).is_ok() {
                while let Some((_, body)) = incoming.take().expect("well formed") {
                    got.push(body.to_vec());
                }
            }
        }
        prop_assert_eq!(got, bodies);
        let _nothing_left = ours.read(&mut [0; 1]).expect_err("empty");
    }

    #[test]
    fn no_bytes_make_a_reader_panic_or_hold_more_than_a_frame(bytes in any::<Vec<u8>>()) {
        let mut incoming = Incoming::default();
        if incoming.feed(&bytes).is_ok() {
            for _ in 0..bytes.len() {
                if !matches!(incoming.take(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}
