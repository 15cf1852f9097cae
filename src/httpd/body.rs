//! Bodies: a request's, read within limits; a response's, watched to its end.
//!
//! A small request arrives as one piece of memory and is passed on as it is. A larger one is copied
//! once into memory reserved for its announced length, but announced memory is not touched before
//! the bytes are there, and what is there is counted against the listener's room for bodies.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::answers::{Hold, Piece};
use crate::connection::{Connection, Order, Phase};

/// Up to this many bytes per connection are not counted against the listener's room.
const FREE: usize = 64 * 1024;

/// A body that was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Larger than the operation takes, by its own statement or in fact.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// It came too slowly.
    #[error("the body comes too slowly")]
    TooSlow,
    /// The listener holds as many bytes of bodies as it may.
    #[error("too many large requests at once")]
    NoRoom,
    /// The peer went away or broke the protocol.
    #[error("the body ended early")]
    Broken {
        /// What the connection says.
        #[source]
        source: axum::Error,
    },
}

/// A request's body, watched.
pub(crate) struct Receiving {
    incoming: Incoming,
    connection: Arc<Connection>,
    /// Bytes so far.
    received: usize,
    /// Bytes for which room was taken.
    accounted: usize,
    ended: bool,
}

/// A response's body, watched.
pub(crate) struct Responding {
    body: Body,
    connection: Arc<Connection>,
    /// The first piece, if it was taken ahead.
    first: Option<Result<Frame<Bytes>, axum::Error>>,
    /// Room that every piece has a part in.
    hold: Option<Arc<Hold>>,
}

/// Reads a body of at most `limit` bytes.
///
/// A body that announces more is refused before any of it is read.
///
/// # Errors
/// See [`BodyError`]; [`BodyError::status`] is what to answer.
pub async fn collect_body(mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let too_large = || BodyError::TooLarge { limit };
    let announced = usize::try_from(body.size_hint().lower()).map_err(|_| too_large())?;
    if announced > limit {
        return Err(too_large());
    }
    let Some(mut first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(too_large());
    }
    // Most requests are one frame; its memory is handed on without a copy.
    if first.len() == announced || body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(&mut body).await? else { return Ok(first) };
    let mut all = BytesMut::with_capacity(announced.max(first.len() + second.len()));
    all.extend_from_slice(&std::mem::take(&mut first));
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if all.len() + bytes.len() > limit {
            return Err(too_large());
        }
        all.extend_from_slice(&bytes);
        drop(bytes);
        piece = next(&mut body).await?;
    }
    Ok(all.freeze())
}

/// The next data, trailers passed over.
async fn next(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(source)) => return Err(BodyError::from_axum(source)),
        }
    }
}

// === impl BodyError ===

impl BodyError {
    /// What to answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// Our own error, which passed through a body of axum's, is taken out again.
    fn from_axum(source: axum::Error) -> Self {
        let mut inner: Option<&(dyn StdError + 'static)> = Some(&source);
        while let Some(err) = inner {
            match err.downcast_ref::<Self>() {
                Some(Self::TooSlow) => return Self::TooSlow,
                Some(Self::NoRoom) => return Self::NoRoom,
                _ => inner = err.source(),
            }
        }
        Self::Broken { source }
    }
}

// === impl Receiving ===

impl Receiving {
    pub(crate) fn new(incoming: Incoming, connection: Arc<Connection>) -> Self {
        connection.enter(Phase::Receiving);
        Self { incoming, connection, received: 0, accounted: FREE, ended: false }
    }

    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.connection.enter(Phase::Serving);
        }
    }
}

impl HttpBody for Receiving {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let frame = match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if this.connection.current_order() == Order::TooSlow => {
                // Whatever the handler makes of it, this connection takes no further request.
                this.connection.command(Order::Drain);
                return Poll::Ready(Some(Err(BodyError::TooSlow.into())));
            }
            Poll::Pending => return Poll::Pending,
        };
        match frame {
            None => {
                this.end();
                Poll::Ready(None)
            }
            Some(Err(err)) => Poll::Ready(Some(Err(err.into()))),
            Some(Ok(frame)) => {
                this.received += frame.data_ref().map_or(0, Bytes::len);
                if this.received > this.accounted {
                    let more = (this.received - this.accounted).max(FREE);
                    if !this.connection.take_room(more) {
                        return Poll::Ready(Some(Err(BodyError::NoRoom.into())));
                    }
                    this.accounted += more;
                }
                if this.incoming.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.leave_unread();
            self.end();
        }
    }
}

// === impl Responding ===

impl Responding {
    pub(crate) fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection, first: None, hold: None }
    }

    /// A large answer's body: its first piece, if that was taken, and the room it has.
    pub(crate) fn holding(
        mut self,
        first: Option<Result<Frame<Bytes>, axum::Error>>,
        hold: Arc<Hold>,
    ) -> Self {
        self.first = first;
        self.hold = Some(hold);
        self
    }
}

impl HttpBody for Responding {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let this = &mut *self;
        let frame = match this.first.take() {
            Some(first) => Some(first),
            None => ready!(Pin::new(&mut this.body).poll_frame(cx)),
        };
        let piece = |bytes| Piece::new(bytes, this.hold.clone());
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let Some(Ok(first)) = &self.first {
            let first = first.data_ref().map_or(0, Bytes::len) as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(first));
            }
            hint.set_lower(hint.lower().saturating_add(first));
        }
        hint
    }
}

impl Drop for Responding {
    fn drop(&mut self) {
        self.connection.rest();
    }
}

#[cfg(test)]
mod tests;
