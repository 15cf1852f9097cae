//! The socket beneath hyper, with a bound on what it reads ahead.
//!
//! hyper keeps a connection's read buffer at the largest size it ever needed, and reads as much as
//! the peer sends. Both would let one function pin megabytes per idle connection, so reads are
//! handed on in portions. And a request's head may be 1 MiB large here (an error's cause travels in
//! a header), but not on 32 connections at once: beyond [`SMALL_HEAD`] a connection needs the
//! sandbox's one permit, and is closed if another connection has it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is read at once: it bounds the buffer that stays with an idle connection.
const PORTION: u64 = 64 * 1024;
/// A head that needs no permit. The official clients' have less than 1 KiB.
const SMALL_HEAD: usize = 64 * 1024;

/// Bytes of the current head so far, or [`Meter::EXEMPT`] while a request is being handled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<AtomicUsize>);

/// A socket that counts.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: Take<TcpStream>,
    meter: Meter,
    large_heads: Arc<Semaphore>,
    /// Held while a large head is being read.
    permit: Option<OwnedSemaphorePermit>,
}

// === impl Meter ===

impl Meter {
    const EXEMPT: usize = usize::MAX;

    /// A head is complete: what is read now is a body, whose reader has its own limit.
    pub(crate) fn pause(&self) {
        self.0.store(Self::EXEMPT, Relaxed);
    }

    /// The request is done: what is read now is the next head.
    pub(crate) fn resume(&self) {
        self.0.store(0, Relaxed);
    }

    /// The size of the head with `count` bytes more; `None` while nothing is counted.
    fn add(&self, count: usize) -> Option<usize> {
        let before = self.0.load(Relaxed);
        if before == Self::EXEMPT {
            return None;
        }
        let size = before.saturating_add(count);
        self.0.store(size, Relaxed);
        Some(size)
    }
}

// === impl Socket ===

impl Socket {
    pub(crate) fn new(socket: TcpStream, meter: Meter, large_heads: Arc<Semaphore>) -> Self {
        Self { socket: socket.take(PORTION), meter, large_heads, permit: None }
    }

    fn inner(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.socket.get_mut())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        this.socket.set_limit(PORTION);
        ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        match this.meter.add(buf.filled().len() - before) {
            Some(size) if size > SMALL_HEAD => {
                if this.permit.is_none() {
                    let permit = Arc::clone(&this.large_heads).try_acquire_owned();
                    let refused = |_| io::Error::other("too many large heads at once");
                    this.permit = Some(permit.map_err(refused)?);
                }
            }
            _ => this.permit = None,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}
