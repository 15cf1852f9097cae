//! What is promised about room for large answers, on a clock that stands still.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{AHEAD, Answers, FREE, Piece, WAIT, Weight};
use crate::body::Responding;
use crate::connection::Connection;

fn connection() -> Arc<Connection> {
    Arc::new(Connection::new(([127, 0, 0, 1], 1).into(), Arc::new(Semaphore::new(0))))
}

/// What a future says that is asked once.
fn now<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A body of an announced length that comes in pieces of 64 KiB, as a file does.
struct File(u64);

impl HttpBody for File {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.min(64 * 1024);
        self.0 -= piece;
        let bytes = Bytes::from(vec![b'f'; usize::try_from(piece).unwrap()]);
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn room_is_given_back_when_the_last_piece_is_gone() {
    let (answers, connection) = (Answers::new(800), connection());
    let hold = answers.take(700, &connection, || {}).await.unwrap();
    let mut pieces: Vec<Piece> =
        (0..2).map(|_| Piece::new(Bytes::from_static(b"abc"), Some(Arc::clone(&hold)))).collect();
    drop(hold);
    assert_eq!(connection.sample().held, 700);
    pieces.pop();
    // Written in part, it is still one piece of memory.
    pieces[0].advance(2);
    assert_eq!((pieces[0].remaining(), connection.sample().held), (1, 700));
    assert_eq!(answers.room.available_permits(), 0);
    pieces.pop();
    assert_eq!((answers.room.available_permits(), connection.sample().held), (700, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_has_the_room_that_is_given_back_in_time_and_the_watch_is_told() {
    let (answers, connection, told) = (Answers::new(800), connection(), AtomicUsize::new(0));
    let tell = || {
        told.fetch_add(1, Relaxed);
    };
    let half = answers.take(350, &connection, tell).await.unwrap();
    assert_eq!((answers.tight(), told.load(Relaxed)), (false, 0));
    let rest = answers.take(350, &connection, tell).await.unwrap();
    assert_eq!((answers.tight(), told.load(Relaxed)), (true, 1));

    let mut waiting = pin!(answers.take(100, &connection, tell));
    assert!(now(waiting.as_mut()).is_pending());
    assert_eq!(told.load(Relaxed), 2);
    assert_eq!(answers.shortage(700, 0), 700 + 100 - 525);
    assert_eq!(answers.shortage(700, 350), 0);
    drop(half);
    assert!(waiting.await.is_some());
    assert_eq!(answers.waiting.load(Relaxed), 0);
    drop(rest);
    assert!(!answers.tight());
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_is_told_so_and_who_finds_no_room_in_line_at_once() {
    let (answers, connection) = (Answers::new(800), connection());
    let _all = answers.take(700, &connection, || {}).await.unwrap();
    let start = Instant::now();
    let mut waiting = pin!(answers.take(60, &connection, || {}));
    assert!(now(waiting.as_mut()).is_pending());
    // The line is a hundred long.
    assert!(matches!(now(answers.take(50, &connection, || {})), Poll::Ready(None)));
    assert!(now(answers.take(40, &connection, || {})).is_pending());
    assert!(waiting.await.is_none());
    assert_eq!(start.elapsed(), WAIT);
    assert_eq!((answers.waiting.load(Relaxed), connection.sample().held), (0, 700));
}

#[tokio::test(start_paused = true)]
async fn an_answer_larger_than_everything_is_let_in_alone() {
    let (answers, connection) = (Answers::new(800), connection());
    let all = answers.take(1_000_000, &connection, || {}).await.unwrap();
    assert_eq!(connection.sample().held, 700);
    let mut waiting = pin!(answers.take(1_000_000, &connection, || {}));
    assert!(now(waiting.as_mut()).is_pending());
    drop(all);
    assert!(waiting.await.is_some());
    // No room at all is room for one.
    assert!(Answers::new(0).take(5, &connection, || {}).await.is_some());
}

#[tokio::test]
async fn small_answers_weigh_nothing_large_ones_what_they_are_and_files_what_is_read_ahead() {
    let free = usize::try_from(FREE).unwrap();
    let weigh = async |mut body: Body| Weight::of(&mut body).await.bytes;
    assert_eq!(weigh(Body::empty()).await, 0);
    assert_eq!(weigh(Body::from(vec![0; free])).await, 0);
    assert_eq!(weigh(Body::from(vec![0; free + 1])).await, free + 1);
    assert_eq!(weigh(Body::from(vec![0; 6_000_000])).await, 6_000_000);
    assert_eq!(weigh(Body::new(File(200_000))).await, 200_000);
    assert_eq!(weigh(Body::new(File(250_000_000))).await, AHEAD);
}

#[tokio::test]
async fn what_was_taken_to_weigh_an_answer_is_not_lost() {
    let (answers, connection) = (Answers::new(8_000_000), connection());
    for body in [Body::from(vec![b'f'; 300_000]), Body::new(File(300_000))] {
        let mut body = body;
        let weight = Weight::of(&mut body).await;
        let hold = answers.take(weight.bytes, &connection, || {}).await.unwrap();
        let body = Responding::new(body, Arc::clone(&connection)).holding(weight.first, hold);
        assert_eq!(body.size_hint().exact(), Some(300_000));
        assert!(!body.is_end_stream());
        let mut all = body.collect().await.unwrap().aggregate();
        assert_eq!(all.copy_to_bytes(all.remaining()), vec![b'f'; 300_000]);
        drop(all);
        assert_eq!(connection.sample().held, 0);
    }
}
