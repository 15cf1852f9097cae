//! The socket beneath hyper, with a bound on what it reads ahead.
//!
//! hyper keeps a connection's read buffer at the largest size it ever needed, and reads as much as
//! the peer sends. Both would let one function pin megabytes per idle connection, so reads are
//! handed on in portions. And a request's head may be 1 MiB large here (an error's cause travels in
//! a header), but not on 32 connections at once: beyond [`SMALL_HEAD`] a connection needs the
//! sandbox's one permit, and is closed if another connection has it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is read at once: it bounds the buffer that stays with an idle connection.
const PORTION: u64 = 64 * 1024;
/// A head that needs no permit. The official clients' have less than 1 KiB.
const SMALL_HEAD: usize = 64 * 1024;

/// The head that is being read: written by the socket, ended by the service on the same connection.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Head>);

#[derive(Debug)]
struct Head {
    /// Its bytes so far, or [`Meter::EXEMPT`] while a request is being handled.
    size: AtomicUsize,
    /// Of the sandbox: one permit.
    large_heads: Arc<Semaphore>,
    /// Held while the head is a large one.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

/// A socket that counts.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: Take<TcpStream>,
    /// What was read before hyper was asked to; it comes first.
    ahead: Vec<u8>,
    meter: Meter,
}

// === impl Meter ===

impl Meter {
    const EXEMPT: usize = usize::MAX;

    /// For one connection of a sandbox.
    pub(crate) fn new(large_heads: Arc<Semaphore>) -> Self {
        let (size, permit) = (AtomicUsize::new(0), Mutex::default());
        Self(Arc::new(Head { size, large_heads, permit }))
    }

    /// A head is complete: what is read now is a body, whose reader has its own limit.
    pub(crate) fn pause(&self) {
        if self.0.size.swap(Self::EXEMPT, Relaxed) > SMALL_HEAD {
            *self.permit() = None;
        }
    }

    /// The request is done: what is read now is the next head.
    pub(crate) fn resume(&self) {
        self.0.size.store(0, Relaxed);
    }

    /// Counts bytes that were read.
    fn add(&self, count: usize) -> io::Result<()> {
        let before = self.0.size.load(Relaxed);
        if before == Self::EXEMPT {
            return Ok(());
        }
        let size = before.saturating_add(count);
        self.0.size.store(size, Relaxed);
        if size > SMALL_HEAD && before <= SMALL_HEAD {
            let permit = Arc::clone(&self.0.large_heads).try_acquire_owned();
            let refused = |_| io::Error::other("too many large heads at once");
            *self.permit() = Some(permit.map_err(refused)?);
        }
        Ok(())
    }

    fn permit(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.0.permit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Socket ===

impl Socket {
    /// A socket of which `ahead` has been read already.
    pub(crate) fn new(socket: TcpStream, ahead: Vec<u8>, meter: Meter) -> Self {
        Self { socket: socket.take(PORTION), ahead, meter }
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
        if !this.ahead.is_empty() {
            let count = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead[..count]);
            // Given back with the last of it: a connection may last long.
            this.ahead = this.ahead.split_off(count);
            return Poll::Ready(this.meter.add(count));
        }
        let before = buf.filled().len();
        this.socket.set_limit(PORTION);
        ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        Poll::Ready(this.meter.add(buf.filled().len() - before))
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
