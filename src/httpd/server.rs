//! A listener served: accept, watch, drain.
//!
//! ```text
//!   accept ──► a task per connection ──► gone
//!      │            ▲ orders
//!      │       sweep, every tick: looks at all, cuts what is overdue
//!      ▼
//!   shutdown ──► listener closed, idle connections closed, requests in hand finished
//!                  ──► all gone, or the drain's deadline: the rest is cut
//! ```
//!
//! The loop is our own because the usual one lets a connection that never says anything wait for
//! ever, and because limits that are timers cost every request what a sweep costs a connection once
//! a second. At the limit of connections nothing is accepted: further ones wait in the kernel's
//! queue, and the sweep makes room among those that are asked for nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::RequestId;
use socket2::SockRef;
use telemetry::metrics::{Door, METRICS};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tower::{Service, ServiceExt as _};

use crate::body::{Receiving, Responding};
use crate::connection::{Connection, Order, Phase, lock};
use crate::framing;
use crate::limits::Limits;
use crate::overdue::Track;
use crate::respond::AwsError;
use crate::stream::Watched;

/// Connections the kernel completes ahead of us; the standard library asks for 128, and what does not
/// fit waits a second for its retransmission.
const BACKLOG: i32 = 4096;
/// After an accept that failed for want of descriptors or memory: waiting lets others finish.
const BREATHER: Duration = Duration::from_millis(100);
/// What hyper reads ahead at most, beside the head: its own default.
const READ_AHEAD: usize = 400 * 1024;

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

#[derive(Debug)]
struct Shared {
    door: Door,
    limits: Limits,
    /// One permit per connection.
    places: Arc<Semaphore>,
    /// One permit per byte of a large body.
    room: Arc<Semaphore>,
    table: Mutex<Table>,
    /// The first connection has come, or the last has gone.
    changed: Notify,
}

/// The connections there are.
#[derive(Debug, Default)]
struct Table {
    /// Number of the next.
    next: u64,
    open: HashMap<u64, (Arc<Connection>, Track)>,
    /// How many of each peer; kept only where there is a limit.
    peers: HashMap<IpAddr, usize>,
}

/// A connection's line in the table, removed with it.
struct Line {
    number: u64,
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    _place: OwnedSemaphorePermit,
}

// === impl Server ===

impl Server {
    /// A server that is not listening yet; `door` is the label its numbers are counted under.
    pub fn new(door: Door, limits: Limits) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        let room = Arc::new(Semaphore::new(limits.bodies.min(Semaphore::MAX_PERMITS)));
        let table = Mutex::default();
        Self(Arc::new(Shared { door, limits, places, room, table, changed: Notify::new() }))
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        lock(&self.0.table).open.len()
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
        let sweep = tokio::spawn(sweep(Arc::clone(&self.0))).abort_handle();
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
    SockRef::from(&listener).listen(BACKLOG)?;
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
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, place),
            Err(err) if is_of_one_connection(&err) => {}
            Err(err) => {
                tracing::warn!(%err, "cannot accept connections for the moment");
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

/// Serves one connection to its end.
async fn drive<S>(socket: TcpStream, line: Line, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    // Answers are written whole: waiting for more to send with them only delays them.
    if let Err(err) = socket.set_nodelay(true) {
        tracing::debug!(%err, "a connection closed before it was served");
        return;
    }
    let (connection, shared) = (Arc::clone(&line.connection), Arc::clone(&line.shared));
    let io = TokioIo::new(Watched::new(socket, Arc::clone(&connection), shared.limits.head));
    let handler = service_fn(move |request| {
        let (connection, service) = (Arc::clone(&line.connection), service.clone());
        let door = line.shared.door;
        async move { Ok::<_, Infallible>(answer(request, connection, service, door).await) }
    });
    let serving = http1::Builder::new()
        .max_header_size(shared.limits.head)
        .max_buf_size(READ_AHEAD.max(shared.limits.head + 1))
        .serve_connection(io, handler);
    let mut serving = pin!(serving);
    let mut told = false;
    std::future::poll_fn(|cx| {
        match connection.order(cx) {
            Order::Cut => return Poll::Ready(()),
            Order::Drain if !told => {
                told = true;
                serving.as_mut().graceful_shutdown();
            }
            _ => {}
        }
        serving.as_mut().poll(cx).map(|result| {
            if let Err(err) = result {
                tracing::debug!(%err, peer = %connection.peer, "a connection ended with an error");
            }
        })
    })
    .await;
}

/// Serves one request.
async fn answer<S>(
    request: Request<Incoming>,
    connection: Arc<Connection>,
    service: S,
    door: Door,
) -> Response<Responding>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    METRICS.http_requests.of(door).inc();
    let (mut parts, incoming) = request.into_parts();
    let framing = framing::check(&parts, &connection.head());
    if let Err(err) = framing {
        METRICS.http_refused.of(door).inc();
        connection.leave_unread();
        connection.enter(Phase::Serving);
        let error = AwsError::new(StatusCode::BAD_REQUEST, "BadRequestException", err.to_string());
        let mut response = error.into_response(&RequestId::random());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response.map(|body| Responding::new(body, connection));
    }
    parts.extensions.insert(Peer(connection.peer));
    let body = if incoming.is_end_stream() {
        connection.enter(Phase::Serving);
        Body::empty()
    } else {
        Body::new(Receiving::new(incoming, Arc::clone(&connection)))
    };
    let mut response = match service.oneshot(Request::from_parts(parts, body)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if connection.expects_leftovers() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status().is_server_error() {
        METRICS.http_failures.of(door).inc();
    }
    response.map(|body| Responding::new(body, connection))
}

/// Looks at all connections, over and over, for as long as there are any.
async fn sweep(shared: Arc<Shared>) {
    let tick = shared.limits.tick();
    loop {
        shared.until(|open| open > 0).await;
        tokio::time::sleep(tick).await;
        let full = shared.places.available_permits() == 0;
        let now = Instant::now();
        for (connection, track) in lock(&shared.table).open.values_mut() {
            let order = track.judge(connection.sample(), now, &shared.limits, full);
            if order > connection.current_order() && order != Order::GoOn {
                METRICS.http_refused.of(shared.door).inc();
                connection.command(order);
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Takes a connection in, unless its peer has as many as it may.
    fn admit(self: &Arc<Self>, peer: SocketAddr, place: OwnedSemaphorePermit) -> Option<Line> {
        let connection = Arc::new(Connection::new(peer, Arc::clone(&self.room)));
        let mut table = lock(&self.table);
        if let Some(limit) = self.limits.connections_per_peer {
            let count = table.peers.entry(peer.ip()).or_default();
            if *count >= limit {
                METRICS.http_refused.of(self.door).inc();
                return None;
            }
            *count += 1;
        }
        let number = table.next;
        table.next += 1;
        let track = Track::new(connection.sample(), Instant::now());
        table.open.insert(number, (Arc::clone(&connection), track));
        if table.open.len() == 1 {
            self.changed.notify_waiters();
        }
        METRICS.http_connections.of(self.door).inc();
        Some(Line { number, connection, shared: Arc::clone(self), _place: place })
    }

    /// Lets every connection finish what it is doing, within the deadline.
    async fn drain(&self) -> Drained {
        for (connection, _) in lock(&self.table).open.values() {
            // What has not begun a request has nothing to finish.
            let phase = connection.phase();
            let idle = matches!(phase, Phase::Fresh | Phase::Idle);
            connection.command(if idle { Order::Cut } else { Order::Drain });
        }
        let in_time = tokio::time::timeout(self.limits.drain, self.until(|open| open == 0)).await;
        let cut = if in_time.is_ok() { 0 } else { self.cut_all() };
        self.until(|open| open == 0).await;
        Drained { cut }
    }

    fn cut_all(&self) -> usize {
        let table = lock(&self.table);
        table.open.values().for_each(|(connection, _)| connection.command(Order::Cut));
        table.open.len()
    }

    /// Done when the number of connections is as it should be; asked whenever it becomes or ceases to
    /// be zero.
    async fn until(&self, is_so: impl Fn(usize) -> bool) {
        loop {
            // Enabled before the look, so that no change is missed between the two.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so(lock(&self.table).open.len()) {
                return;
            }
            changed.await;
        }
    }
}

// === impl Line ===

impl Drop for Line {
    fn drop(&mut self) {
        let mut table = lock(&self.shared.table);
        table.open.remove(&self.number);
        let ip = self.connection.peer.ip();
        if let Some(count) = table.peers.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                table.peers.remove(&ip);
            }
        }
        METRICS.http_connections.of(self.shared.door).dec();
        if table.open.is_empty() {
            self.shared.changed.notify_waiters();
        }
    }
}

/// Cuts every connection when the serving future goes, whichever way.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.cut_all();
    }
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
