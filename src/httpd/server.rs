//! A listener served: accept, watch, drain.
//!
//! ```text
//!   accept ──► a task per connection ──► gone
//!      │            ▲ orders
//!      │       sweep, every tick: looks at all, cuts what is overdue
//!      ▼
//!   shutdown ──► listener closed, requests in hand finished, idle connections closed after a last call
//!                  ──► all gone, or the drain's deadline: the rest is cut
//! ```
//!
//! The loop is our own because the usual one lets a connection that never says anything wait for
//! ever, and because limits that are timers cost every request what a sweep costs a connection once
//! a second. At the limit of connections nothing is accepted: further ones wait in the kernel's
//! queue. Before it comes to that, the sweep makes room among connections that are slow (`crowd`).

mod drive;
mod table;

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use socket2::SockRef;
use telemetry::metrics::Door;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tower::Service;

use self::drive::drive;
use self::table::{Closing, Shared};
use crate::limits::Limits;

/// Connections the kernel completes ahead of us; the standard library asks for 128, and what does not
/// fit waits a second for its retransmission.
const BACKLOG: i32 = 4096;
/// Bytes of a response that the kernel takes ahead of what it can send.
///
/// Without a limit it takes megabytes, 3.9 on loopback, and asks for more when a third of them are
/// gone: who reads 100 KiB a second is then not seen to read anything for ten seconds. With this
/// limit progress is seen about every 95 KB on loopback, whose packets are the largest there are,
/// and a reader that does not read costs that much less memory. Throughput is the same.
const UNSENT: u32 = 64 * 1024;
/// After an accept that failed for want of descriptors or memory: waiting lets others finish.
const BREATHER: Duration = Duration::from_millis(100);

/// A listener's state; clone it to observe.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

/// Who is at the other end: an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the deadline and were closed all the same.
    pub cut: usize,
}

/// A listener that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket could not be prepared.
    #[error("cannot listen on the socket")]
    Listen {
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
}

// === impl Server ===

impl Server {
    /// A server that is not listening yet; `door` is the label its numbers are counted under.
    pub fn new(door: Door, limits: Limits) -> Self {
        Self(Arc::new(Shared::new(door, limits)))
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.0.connections()
    }

    /// Serves a listener until `shutdown` is done, then drains.
    ///
    /// The listener may belong to another network namespace: its descriptor is all that counts. The
    /// future must be driven to its end for a drain; dropping it cuts every connection.
    ///
    /// # Errors
    /// Only before the first connection is accepted.
    pub async fn serve<S>(
        &self,
        listener: StdListener,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Drained, ServeError>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let listener = prepare(listener).map_err(|source| ServeError::Listen { source })?;
        let closing = Closing(Arc::clone(&self.0));
        let sweep = {
            let shared = Arc::clone(&self.0);
            tokio::spawn(async move { shared.sweep().await }).abort_handle()
        };
        let _sweep = Sweeping(sweep);
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&listener, &self.0.places) => accepted,
            };
            let (socket, peer, place) = accepted;
            if let Some(line) = self.0.admit(peer, place) {
                tokio::spawn(drive(socket, line, service.clone()));
            }
        }
        drop(listener);
        let drained = self.0.drain().await;
        drop(closing);
        Ok(drained)
    }
}

/// Sets the socket up as this server needs it, whoever bound it.
fn prepare(listener: StdListener) -> io::Result<TcpListener> {
    let socket = SockRef::from(&listener);
    socket.listen(BACKLOG)?;
    // Linux hands it down to every connection that is accepted.
    socket.set_tcp_notsent_lowat(UNSENT)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let Ok(place) = Arc::clone(places).acquire_owned().await else {
        // The semaphore is never closed.
        return std::future::pending().await;
    };
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, place),
            Err(err) if is_of_one_connection(&err) => {}
            Err(err) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%err, "cannot accept connections for the moment");
                }
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

/// Whether an accept failed because of the one connection it would have returned.
fn is_of_one_connection(err: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(err.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Ends the sweep with the serving future.
struct Sweeping(AbortHandle);

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
