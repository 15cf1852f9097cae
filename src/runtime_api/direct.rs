//! The two requests that an invocation consists of, read and answered by hand.
//!
//! A runtime asks for `/next` and posts `/response` for as long as it lives, mostly on one connection
//! and always in the same few words. A general HTTP server does for each of them what it would do for
//! any request: maps of headers both ways, a body that is a stream, buffers for what may come. Here a
//! connection begins with a reader that knows these two requests in their usual form: HTTP/1.1, a
//! small head, a body whose length is given. The answer's body is read to where it stays, and the
//! event is written with one system call.
//!
//! ```text
//!   head ─┬─► /next ──────► wait, and hear if the peer goes ──► 200 and the event ─┐
//!     ▲   ├─► /response ──► may it? ──► body ──► session ──► 202 ──────────────────┤
//!     │   │                    │ no                                                │
//!     │   └─► another ─────────┴──► hyper, from the first byte of its head         │
//!     └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Nothing is refused here and nothing answered but 200 and 202: the first request that is not of
//! that form, or may not be made now, goes to hyper untouched, and what follows it on the connection
//! as well. So what is odd is judged in one place, `exchange`, and this file decides nothing about it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::Poll;

use bytes::{BufMut as _, Bytes};
use model::RequestId;
use pool::session::{Event, StateError};
use telemetry::METRICS;
use telemetry::metrics::Door;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::body::MAX_RESPONSE;
use crate::exchange::Instance;
use crate::reply;
use crate::request::{Asks, Request, Seen};

/// What is read at once while it is unknown what comes: a head and a small body.
const CHUNK: usize = 8 * 1024;
/// A longer head is none of the usual ones: the official clients' have less than 1 KiB.
const HEAD: usize = 8 * 1024;

/// One connection, from its first byte until something unusual or its end.
struct Conversation<'a> {
    socket: &'a mut TcpStream,
    instance: &'a Instance,
    /// Read and not yet done with.
    ahead: Vec<u8>,
    /// Where answers are put together.
    answer: Vec<u8>,
}

/// How the usual conversation ends.
enum Leave {
    /// With a request of another kind, which begins what was read.
    Unusual,
    /// With the connection.
    Ended,
}

impl From<io::Error> for Leave {
    fn from(_gone: io::Error) -> Self {
        // Whatever is wrong with the connection, there is nobody to tell.
        Self::Ended
    }
}

/// Serves the usual requests of a connection. What was read of another is given back; `None` if the
/// connection is over.
pub(crate) async fn converse(socket: &mut TcpStream, instance: &Instance) -> Option<Vec<u8>> {
    let (ahead, answer) = (Vec::new(), Vec::new());
    let mut conversation = Conversation { socket, instance, ahead, answer };
    match conversation.run().await {
        Leave::Unusual => Some(conversation.ahead),
        Leave::Ended => None,
    }
}

// === impl Conversation ===

impl Conversation<'_> {
    async fn run(&mut self) -> Leave {
        loop {
            let served = match Request::read(&self.ahead) {
                Seen::Usual(Request { head, asks: Asks::Next }) => self.next(head).await,
                Seen::Usual(Request {
                    head,
                    asks: Asks::Response { request, attempt, length },
                }) if length <= MAX_RESPONSE => {
                    self.response(head, &request, attempt.as_ref(), length).await
                }
                Seen::Part if self.ahead.len() < HEAD => self.more().await,
                Seen::Usual(_) | Seen::Part | Seen::Other => Err(Leave::Unusual),
            };
            if let Err(leave) = served {
                return leave;
            }
        }
    }

    /// Reads more of a head.
    async fn more(&mut self) -> Result<(), Leave> {
        self.ahead.reserve(CHUNK);
        match self.socket.read_buf(&mut self.ahead).await? {
            0 => Err(Leave::Ended),
            _ => Ok(()),
        }
    }

    /// `/next`, in a head of this length.
    async fn next(&mut self, head: usize) -> Result<(), Leave> {
        let event = match self.event().await? {
            Ok(event) => event,
            Err(StateError::Closed) => return Err(Leave::Ended),
            Err(_refused) => return Err(Leave::Unusual),
        };
        METRICS.http_requests.of(Door::Runtime).inc();
        self.ahead.drain(..head);
        self.answer.clear();
        reply::write_event_head(&event, &mut self.answer);
        let written = self.write(&event.payload).await;
        if written.is_err() {
            self.instance.session.give_back(event.request_id);
        }
        written
    }

    /// The next event. What the peer says meanwhile is kept, as far as there is room; if it goes, the
    /// connection is over, as it would be for hyper.
    async fn event(&mut self) -> Result<Result<Event, StateError>, Leave> {
        let mut event = pin!(self.instance.fetch());
        let (socket, ahead) = (&*self.socket, &mut self.ahead);
        poll_fn(|cx| {
            if let Poll::Ready(event) = event.as_mut().poll(cx) {
                return Poll::Ready(Ok(event));
            }
            while ahead.len() < HEAD && socket.poll_read_ready(cx)?.is_ready() {
                ahead.reserve(CHUNK);
                match socket.try_read_buf(ahead) {
                    Ok(0) => return Poll::Ready(Err(Leave::Ended)),
                    Ok(_) => {}
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                    Err(err) => return Poll::Ready(Err(err.into())),
                }
            }
            Poll::Pending
        })
        .await
    }

    /// `/response` to an event, with a body of `length` bytes behind a head of `head`.
    async fn response(
        &mut self,
        head: usize,
        request: &RequestId,
        attempt: Option<&RequestId>,
        length: usize,
    ) -> Result<(), Leave> {
        let (request, attempt) = (request.as_str(), attempt.map(RequestId::as_str));
        let Some(answering) = self.instance.begin_response(request, attempt) else {
            return Err(Leave::Unusual);
        };
        let there = (self.ahead.len() - head).min(length);
        // Reserved here, the memory becomes real as it is filled.
        let mut body = Vec::with_capacity(length);
        body.extend_from_slice(&self.ahead[head..head + there]);
        while body.len() < length {
            let rest = length - body.len();
            if self.socket.read_buf(&mut (&mut body).limit(rest)).await? == 0 {
                // It may still listen: what came is judged as a request that was cut.
                self.ahead.truncate(head);
                self.ahead.append(&mut body);
                return Err(Leave::Unusual);
            }
        }
        METRICS.http_requests.of(Door::Runtime).inc();
        self.ahead.drain(..head + there);
        // Nobody else may answer the event meanwhile, so this fails only if the session is over.
        let taken = self.instance.end_response(answering, request, attempt, body.into());
        taken.map_err(|_over| Leave::Ended)?;
        self.answer.clear();
        reply::write_accepted(&mut self.answer);
        self.write(&Bytes::new()).await
    }

    /// Writes the answer that was put together, and a body behind it.
    async fn write(&mut self, body: &Bytes) -> Result<(), Leave> {
        let mut parts = [IoSlice::new(&self.answer), IoSlice::new(body)];
        let mut rest = &mut parts[..];
        while !rest.is_empty() {
            let count = self.socket.write_vectored(rest).await?;
            if count == 0 {
                return Err(Leave::Ended);
            }
            IoSlice::advance_slices(&mut rest, count);
        }
        Ok(())
    }
}
