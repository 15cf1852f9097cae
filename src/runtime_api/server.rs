//! The listener of one sandbox, from its first connection to the end of its session.
//!
//! ```text
//!   serve ──► accepting ──(as many connections as may be)──► waiting for one to end ──► accepting
//!                 │                                                   │
//!                 └────────── session closed, or handle dropped ◄─────┘
//!                                        │
//!                     listener closed, every connection cut, then the session let go
//! ```
//!
//! `httpd`'s server is not used, because a sandbox wants the opposite of what the outer doors want: no
//! time limit on anything (a runtime keeps its connection silent for as long as its handler runs, and
//! a slow or half-open connection only keeps the sandbox's own places), no drain (what is in hand when
//! the session ends has nobody waiting for it), a ceiling on memory per sandbox instead of per
//! listener, and nothing on the path of a request that is not needed. A connection begins with
//! `direct`, which serves what a runtime usually asks for; hyper gets it with the first request that
//! is of another kind.
//!
//! The server holds a [`Session`] until its listener and every connection are closed, never longer
//! and never shorter: when all clones are gone, the network namespace is free of us.

use std::io;
use std::net::TcpListener as StdListener;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pool::session::Session;
use telemetry::METRICS;
use telemetry::metrics::Door;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use crate::direct;
use crate::exchange::Instance;
use crate::socket::{Meter, Socket};

/// After an accept that failed for want of descriptors or memory: waiting lets others finish.
const BREATHER: Duration = Duration::from_millis(100);

/// What sandboxes may take of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one sandbox; further ones wait in the kernel's queue. One that serves several
    /// events at once may have two for each.
    pub connections: usize,
    /// Of these, so many are there in any case: a runtime needs one or two.
    pub certain_connections: usize,
    /// Connections beyond the certain ones, of all sandboxes together. They are descriptors of this
    /// process, and a hostile function must not take those of others.
    pub further_connections: usize,
    /// Bytes of a request's line and headers.
    pub head: usize,
}

/// The Runtime API of all sandboxes; clones share their limits.
#[derive(Debug, Clone)]
pub struct RuntimeApi {
    limits: Limits,
    further: Arc<Semaphore>,
}

/// A listener that is being served; dropping it ends that.
#[derive(Debug)]
#[must_use = "the listener is closed when this is dropped"]
pub struct Serving {
    task: Option<JoinHandle<()>>,
}

/// A connection's place, and its line in the metrics.
struct Place(#[expect(dead_code, reason = "held, not looked at")] Option<OwnedSemaphorePermit>);

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            certain_connections: 4,
            // With a thousand sandboxes, 5,000 descriptors at most.
            further_connections: 1024,
            // An error's cause may be 1 MiB in a header; the rest is what other servers allow.
            head: 1024 * 1024 + 64 * 1024,
        }
    }
}

// === impl RuntimeApi ===

impl RuntimeApi {
    /// Serves nothing yet.
    pub fn new(limits: Limits) -> Self {
        let further = Arc::new(Semaphore::new(limits.further_connections));
        Self { limits, further }
    }

    /// Serves a listening TCP socket, wherever its network namespace is, until the session closes.
    ///
    /// Must be called inside a tokio runtime; returns at once.
    ///
    /// # Errors
    /// If the descriptor is no socket that could be waited for.
    pub fn serve(&self, listener: OwnedFd, session: Session) -> io::Result<Serving> {
        let listener = StdListener::from(listener);
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let task = tokio::spawn(self.clone().run(listener, session));
        Ok(Serving { task: Some(task) })
    }

    /// What the pool calls for every instance of a custom runtime.
    pub fn hook(&self) -> Arc<dyn Fn(OwnedFd, Session) + Send + Sync> {
        let this = self.clone();
        Arc::new(move |listener, session| {
            let function = session.function().name.clone();
            match this.serve(listener, session) {
                Ok(serving) => serving.detach(),
                // The runtime will find nobody listening and end, or be ended at its init limit.
                Err(err) => {
                    tracing::error!(%function, error = %err, "cannot serve the Runtime API");
                }
            }
        })
    }

    async fn run(self, listener: TcpListener, session: Session) {
        let instance = Arc::new(Instance::new(session));
        let mut connections = JoinSet::new();
        self.accept_until_closed(listener, &instance, &mut connections).await;
        // Ends them and waits until each has let its socket go.
        connections.shutdown().await;
    }

    async fn accept_until_closed(
        &self,
        listener: TcpListener,
        instance: &Arc<Instance>,
        connections: &mut JoinSet<()>,
    ) {
        let mut closed = pin!(instance.session.closed());
        // One for each event that is waited for, and one for its answer.
        let concurrency = instance.session.function().concurrency as usize;
        let most = self.limits.connections.max(2 * concurrency + 2);
        let mut pause = Instant::now();
        loop {
            let open = connections.len();
            let further = (open >= self.limits.certain_connections).then_some(&self.further);
            let accepted = tokio::select! {
                biased;
                () = &mut closed => return,
                Some(_ended) = connections.join_next() => continue,
                accepted = accept(&listener, further, pause),
                    if open < most => accepted,
            };
            match accepted {
                Ok((socket, place)) => {
                    pause = Instant::now() + instance.ration();
                    let head = self.limits.head;
                    connections.spawn(converse(socket, place, Arc::clone(instance), head));
                }
                Err(err) => {
                    tracing::warn!(
                        function = %instance.session.function().name,
                        error = %err,
                        "cannot accept a connection of a custom runtime"
                    );
                    pause = Instant::now() + BREATHER;
                }
            }
        }
    }
}

// === impl Serving ===

impl Serving {
    /// Waits until the session has closed and with it the listener and every connection.
    pub async fn ended(mut self) {
        if let Some(task) = &mut self.task
            && let Err(err) = task.await
        {
            tracing::error!(error = %err, "the server of a Runtime API has panicked");
        }
    }

    /// Leaves it to the session to end it.
    pub fn detach(mut self) {
        self.task = None;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

// === impl Place ===

impl Place {
    fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        METRICS.http_connections.of(Door::Runtime).inc();
        Self(permit)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        METRICS.http_connections.of(Door::Runtime).dec();
    }
}

/// The next connection, not before `pause` and not without a place from `further`, if that is given.
async fn accept(
    listener: &TcpListener,
    further: Option<&Arc<Semaphore>>,
    pause: Instant,
) -> io::Result<(TcpStream, Place)> {
    if pause > Instant::now() {
        tokio::time::sleep_until(pause.into()).await;
    }
    let permit = match further {
        // The semaphore is never closed; if it were, there would be no place.
        Some(further) => match Arc::clone(further).acquire_owned().await {
            Ok(permit) => Some(permit),
            Err(_closed) => return std::future::pending().await,
        },
        None => None,
    };
    let (socket, _peer) = listener.accept().await?;
    Ok((socket, Place::new(permit)))
}

/// One connection, from its first request to its last.
async fn converse(mut socket: TcpStream, _place: Place, instance: Arc<Instance>, head: usize) {
    if let Err(err) = socket.set_nodelay(true) {
        tracing::debug!(error = %err, "a connection closed before it was served");
        return;
    }
    let Some(ahead) = direct::converse(&mut socket, &instance).await else { return };
    let meter = Meter::new(Arc::clone(&instance.large_heads));
    let socket = TokioIo::new(Socket::new(socket, ahead, meter.clone()));
    let service = service_fn(|request| {
        let (instance, meter) = (&instance, &meter);
        async move {
            meter.pause();
            let reply = instance.serve(request).await;
            meter.resume();
            reply
        }
    });
    let serving = http1::Builder::new()
        // What AWS sends; shell scripts look for headers by their exact spelling.
        .title_case_headers(true)
        .max_header_size(head)
        .max_buf_size(head + 1)
        .serve_connection(socket, service);
    if let Err(err) = serving.await {
        tracing::debug!(
            function = %instance.session.function().name,
            error = %err,
            "a connection of a custom runtime ended with an error"
        );
    }
}

#[cfg(test)]
mod tests;
