//! The socket, with a watch on it.
//!
//! Counts what passes, and closes politely: where a response was sent before all of the request had
//! come (413, 403, 431), the write side is closed first and the rest of the request is read and
//! thrown away. Closing at once would make the kernel send a reset, which can overtake the response
//! on its way to the client, who then never learns what was wrong.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::connection::{Connection, Phase};

/// Most bytes thrown away for politeness; what is larger than this was not sent in good faith, or is
/// in no hurry for an answer.
const LEFTOVERS: usize = 128 * 1024 * 1024;

/// A socket and the connection it belongs to.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: TcpStream,
    connection: Arc<Connection>,
    head_limit: usize,
    /// The peer has closed its side.
    ended: bool,
    /// Bytes thrown away so far while closing.
    discarded: usize,
}

// === impl Watched ===

impl Watched {
    pub(crate) fn new(socket: TcpStream, connection: Arc<Connection>, head_limit: usize) -> Self {
        Self { socket, connection, head_limit, ended: false, discarded: 0 }
    }

    fn count(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(bytes)) => self.connection.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.connection.block(),
        }
        result
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let bytes = &buf.filled()[before..];
        if bytes.is_empty() {
            self.ended = true;
        } else {
            self.connection.read(bytes, self.head_limit);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.count(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.count(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.connection.phase() != Phase::Lingering {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            if this.ended || !this.connection.expects_leftovers() {
                return Poll::Ready(Ok(()));
            }
            this.connection.enter(Phase::Lingering);
        }
        let mut scratch = [0; 16 * 1024];
        while this.discarded < LEFTOVERS {
            let mut buf = ReadBuf::new(&mut scratch);
            // An error here is the peer's way of closing.
            match ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => this.discarded += buf.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
