//! Reading what a runtime posts, up to a limit, and the trailers a streamed answer ends with.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt as _;

/// Largest answer, bytes: AWS's 6 MiB and the 100 it grants on top. A session refuses more as well.
pub(crate) const MAX_RESPONSE: usize = 6 * 1024 * 1024 + 100;

/// What a streaming runtime reports when its handler fails after the first bytes were sent.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
/// The error document, as base64.
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// A body that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It ended well.
    Whole(Bytes),
    /// Its trailers say that the handler failed; the error document.
    Failed(Bytes),
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is longer than allowed.
    #[error("the body is too large")]
    TooLarge,
    /// The peer closed the connection, or what it sent is no body.
    #[error("the body ended early")]
    Truncated,
}

/// Reads a body of at most `limit` bytes. A longer one is noticed as early as its length is
/// announced; then nothing of it has been read.
pub(crate) async fn receive<B>(body: &mut B, limit: usize) -> Result<Received, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint();
    if announced.lower() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut gathered = Gathered::new(announced.exact().unwrap_or(0) as usize);
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Truncated)?;
        match frame.into_data() {
            Ok(data) if gathered.len() + data.len() > limit => return Err(BodyError::TooLarge),
            Ok(data) => gathered.push(data),
            Err(frame) => trailers.extend(frame.into_trailers().ok().into_iter().flatten()),
        }
    }
    Ok(match failure(&trailers) {
        Some(document) => Received::Failed(document),
        None => Received::Whole(gathered.done()),
    })
}

/// Reads and forgets at most `limit` bytes, so that a peer that is still sending gets to read the
/// answer; `false` if there is more.
pub(crate) async fn discard<B>(body: &mut B, limit: usize) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > limit {
            return false;
        }
    }
    true
}

/// The error document in a body's trailers, if they hold one.
fn failure(trailers: &HeaderMap) -> Option<Bytes> {
    let kind = trailers.get(ERROR_TYPE);
    let document = trailers.get(ERROR_BODY);
    if kind.is_none() && document.is_none() {
        return None;
    }
    if let Some(document) = document.and_then(|text| STANDARD.decode(text.as_bytes()).ok()) {
        return Some(document.into());
    }
    // A type alone, or a document that cannot be read: the caller learns at least the type.
    let kind = kind
        .map_or(Cow::Borrowed("Function.Unknown"), |kind| String::from_utf8_lossy(kind.as_bytes()));
    let document = serde_json::json!({ "errorType": kind, "errorMessage": "" });
    Some(document.to_string().into())
}

/// Pieces of a body. Most bodies are one piece, whose memory is handed on without a copy.
enum Gathered {
    None { announced: usize },
    One { piece: Bytes, announced: usize },
    Many(BytesMut),
}

// === impl Gathered ===

impl Gathered {
    fn new(announced: usize) -> Self {
        Self::None { announced }
    }

    fn len(&self) -> usize {
        match self {
            Self::None { .. } => 0,
            Self::One { piece, .. } => piece.len(),
            Self::Many(pieces) => pieces.len(),
        }
    }

    fn push(&mut self, data: Bytes) {
        *self = match std::mem::replace(self, Self::None { announced: 0 }) {
            Self::None { announced } => Self::One { piece: data, announced },
            Self::One { piece, announced } => {
                let mut pieces = BytesMut::with_capacity(announced.max(piece.len() + data.len()));
                pieces.extend_from_slice(&piece);
                pieces.extend_from_slice(&data);
                Self::Many(pieces)
            }
            Self::Many(mut pieces) => {
                pieces.extend_from_slice(&data);
                Self::Many(pieces)
            }
        };
    }

    fn done(self) -> Bytes {
        match self {
            Self::None { .. } => Bytes::new(),
            Self::One { piece, .. } => piece,
            Self::Many(pieces) => pieces.freeze(),
        }
    }
}

#[cfg(test)]
mod tests;
