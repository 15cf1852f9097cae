//! What is promised about collecting bodies; slow and half-sent ones are tested over a socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{BodyError, collect_body};

/// A body in the given pieces that announces a length, or does not.
struct Pieces {
    frames: Vec<Frame<Bytes>>,
    announced: Option<u64>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = (!self.frames.is_empty()).then(|| self.frames.remove(0));
        Poll::Ready(frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn pieces(texts: &[&'static str], announced: Option<u64>) -> Body {
    let frames = texts.iter().map(|text| Frame::data(Bytes::from_static(text.as_bytes())));
    Body::new(Pieces { frames: frames.collect(), announced })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn pieces_are_put_together_and_nothing_is_nothing() {
    for (texts, announced, whole) in [
        (&[][..], None, ""),
        (&["abc"], Some(3), "abc"),
        (&["abc"], None, "abc"),
        (&["a", "bc"], Some(3), "abc"),
        (&["a", "", "b", "c"], None, "abc"),
    ] {
        let body = run(collect_body(pieces(texts, announced), 3)).unwrap();
        assert_eq!(body, whole);
    }
}

#[test]
fn a_body_above_the_limit_is_refused_announced_or_not() {
    for body in [
        pieces(&["abcd"], Some(4)),
        pieces(&["abcd"], None),
        pieces(&["ab", "cd"], None),
        // It announces more and is refused before it is asked for anything.
        pieces(&[], Some(u64::MAX)),
    ] {
        let err = run(collect_body(body, 3)).unwrap_err();
        assert!(matches!(err, BodyError::TooLarge { limit: 3 }), "{err}");
        assert_eq!(err.status(), 413);
    }
}

#[test]
fn one_piece_is_handed_on_without_a_copy() {
    let piece = Bytes::from(vec![1; 1000]);
    let body = run(collect_body(Body::from(piece.clone()), 1000)).unwrap();
    assert_eq!(body.as_ptr(), piece.as_ptr());
}

#[test]
fn trailers_are_passed_over() {
    let frames = vec![
        Frame::data(Bytes::from_static(b"a")),
        Frame::data(Bytes::from_static(b"b")),
        Frame::trailers(HeaderMap::new()),
    ];
    let body = Body::new(Pieces { frames, announced: None });
    assert_eq!(run(collect_body(body, 2)).unwrap(), "ab");
}
