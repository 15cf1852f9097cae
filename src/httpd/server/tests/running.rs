//! A server that runs, the service behind it, and what clients of it have to say.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use telemetry::metrics::Door;
use tokio::sync::Notify;
use tower::service_fn;

use crate::body::collect_body;
use crate::limits::Limits;
use crate::server::{Drained, Peer, Server};

/// Bytes of the answer to `/large`: more than two kernels take ahead of a reader.
pub(super) const LARGE: usize = 16 * 1024 * 1024;

/// Largest body the test's service takes.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;

pub(super) const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// What the service has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) begun: AtomicUsize,
    pub(super) ended: AtomicUsize,
    /// Bytes of large answers in memory.
    pub(super) held: AtomicUsize,
    /// The most there were at once.
    pub(super) peak: AtomicUsize,
    /// Lets requests to `/wait` go on.
    pub(super) release: Notify,
}

pub(super) struct Running {
    pub(super) server: Server,
    pub(super) address: std::net::SocketAddr,
    pub(super) seen: Arc<Seen>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    served: Option<thread::JoinHandle<Drained>>,
}

/// Counts a request as ended even if its future is dropped.
struct Ending(Arc<Seen>);

/// Memory that is counted for as long as there is any reference to it.
struct Answer {
    bytes: Vec<u8>,
    seen: Arc<Seen>,
}

impl Answer {
    fn new(seen: Arc<Seen>) -> Self {
        let held = seen.held.fetch_add(LARGE, SeqCst) + LARGE;
        seen.peak.fetch_max(held, SeqCst);
        Self { bytes: vec![b'x'; LARGE], seen }
    }
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.seen.held.fetch_sub(LARGE, SeqCst);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, SeqCst);
    }
}

async fn respond(request: Request<Body>, seen: Arc<Seen>) -> Response<Body> {
    seen.begun.fetch_add(1, SeqCst);
    let _ending = Ending(Arc::clone(&seen));
    assert!(request.extensions().get::<Peer>().is_some());
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/wait" => seen.release.notified().await,
        "/large" => return Response::new(Body::from(Bytes::from_owner(Answer::new(seen)))),
        _ => {}
    }
    match collect_body(request.into_body(), BODY_LIMIT).await {
        Ok(body) => Response::new(Body::from(format!("{path} {}", body.len()))),
        Err(err) => {
            let mut response = Response::new(Body::from(err.to_string()));
            *response.status_mut() = err.status();
            response
        }
    }
}

/// Limits of a quarter of a second.
pub(super) fn quick() -> Limits {
    let quarter = Duration::from_millis(250);
    Limits {
        first_byte: quarter,
        head_time: quarter,
        idle: quarter,
        grace: quarter,
        drain: quarter,
        ..Limits::default()
    }
}

// === impl Running ===

impl Running {
    pub(super) fn start(limits: Limits) -> Self {
        let server = Server::new(Door::Api, limits);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = thread::spawn({
            let (server, seen) = (server.clone(), Arc::clone(&seen));
            move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap();
                let service = service_fn(move |request| {
                    let seen = Arc::clone(&seen);
                    async move { Ok(respond(request, seen).await) }
                });
                let shutdown = async { stopped.await.unwrap_or(()) };
                runtime.block_on(server.serve(listener, service, shutdown)).unwrap()
            }
        });
        Self { server, address, seen, stop: Some(stop), served: Some(served) }
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes on a connection of their own and returns all that comes until it is closed.
    pub(super) fn say(&self, bytes: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        rest(&mut stream)
    }

    /// Begins a drain.
    pub(super) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the end of the drain.
    pub(super) fn drained(&mut self) -> Drained {
        self.served.take().unwrap().join().unwrap()
    }

    pub(super) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// All that comes until the connection is closed, by whatever means.
pub(super) fn rest(stream: &mut TcpStream) -> String {
    let mut out = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => out.extend_from_slice(&buffer[..bytes]),
            Err(err) if err.kind() == ErrorKind::ConnectionReset => break,
            Err(err) => panic!("the connection was not closed: {err}"),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One response whose body ends in `tail`.
pub(super) fn one(stream: &mut TcpStream, tail: &str) -> String {
    let mut out = Vec::new();
    let mut byte = [0];
    while !out.ends_with(tail.as_bytes()) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&out));
        out.push(byte[0]);
    }
    String::from_utf8(out).unwrap()
}

pub(super) fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}
