//! Promises about what is read of a body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderValue;
use http_body::Frame;
use http_body_util::Full;

use super::*;

/// A body whose frames are all there, without an announced length.
struct Frames(std::vec::IntoIter<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

fn chunked(pieces: &[&'static str], trailers: &[(&'static str, &'static str)]) -> Frames {
    let mut frames: Vec<_> =
        pieces.iter().map(|piece| Frame::data(Bytes::from_static(piece.as_bytes()))).collect();
    let mut map = HeaderMap::new();
    for (name, value) in trailers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    frames.push(Frame::trailers(map));
    Frames(frames.into_iter())
}

#[tokio::test]
async fn pieces_become_one_body() {
    let body = receive(&mut chunked(&["a", "", "bc", "def"], &[]), 6).await;
    assert_eq!(body, Ok(Received::Whole("abcdef".into())));
    let body = receive(&mut chunked(&[], &[]), 6).await;
    assert_eq!(body, Ok(Received::Whole("".into())));
}

#[tokio::test]
async fn the_limit_is_allowed_and_one_byte_more_is_not() {
    assert_eq!(
        receive(&mut Full::new(Bytes::from("123456")), 6).await,
        Ok(Received::Whole("123456".into()))
    );
    assert_eq!(receive(&mut Full::new(Bytes::from("1234567")), 6).await, Err(BodyError::TooLarge));
    assert_eq!(receive(&mut chunked(&["123", "4567"], &[]), 6).await, Err(BodyError::TooLarge));
}

#[tokio::test]
async fn trailers_turn_an_answer_into_a_failure() {
    let trailers = [
        ("lambda-runtime-function-error-type", "Unhandled"),
        ("lambda-runtime-function-error-body", "eyJlcnJvclR5cGUiOiJFIn0="),
    ];
    let body = receive(&mut chunked(&["half an answer"], &trailers), 100).await;
    assert_eq!(body, Ok(Received::Failed(r#"{"errorType":"E"}"#.into())));
}

#[tokio::test]
async fn a_failure_without_a_readable_document_keeps_its_type() {
    for document in [None, Some("not base64!")] {
        let mut trailers = vec![("lambda-runtime-function-error-type", "Unhandled")];
        trailers.extend(document.map(|text| ("lambda-runtime-function-error-body", text)));
        let body = receive(&mut chunked(&["half"], &trailers), 100).await;
        let document = r#"{"errorMessage":"","errorType":"Unhandled"}"#;
        assert_eq!(body, Ok(Received::Failed(document.into())));
    }
}

#[tokio::test]
async fn other_trailers_mean_nothing() {
    let body = receive(&mut chunked(&["x"], &[("checksum", "1")]), 100).await;
    assert_eq!(body, Ok(Received::Whole("x".into())));
}

#[tokio::test]
async fn discarding_ends_at_its_limit() {
    assert!(discard(&mut chunked(&["123", "456"], &[]), 6).await);
    assert!(!discard(&mut chunked(&["123", "456", "7"], &[]), 6).await);
}
