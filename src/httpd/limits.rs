//! What one listener bears.

use std::time::Duration;

/// Limits of a listener; the default suits the management and the trigger listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Of one peer address; further ones are closed at once. `None` where all peers share one
    /// address: loopback, a reverse proxy, a sandbox.
    pub connections_per_peer: Option<usize>,
    /// Bytes of request line and headers; above it the answer is 431. A function's error report can
    /// carry 1 MiB of them, so the Runtime API needs more.
    pub head: usize,
    /// From accepting a connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a head to its last.
    pub head_time: Duration,
    /// Between a response and the next request.
    pub idle: Duration,
    /// How long a body may come, or a response may be taken, as slowly as it likes.
    pub grace: Duration,
    /// Bytes per second expected on top of the grace.
    pub rate: u64,
    /// Bytes of large bodies (above 64 KiB each) held at once; further ones are answered 503.
    pub bodies: usize,
    /// How long a drain waits for requests that are being served.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A descriptor and some 10 KiB each.
            connections: 4096,
            connections_per_peer: None,
            // AWS's own listeners take about as much; nginx takes 32 KiB, Apache 8 KiB per line.
            head: 16 * 1024,
            // A client that connects has something to say; browsers that connect ahead come again.
            first_byte: Duration::from_secs(10),
            // Apache's mod_reqtimeout: 20 seconds for the head, then 500 bytes a second of body.
            head_time: Duration::from_secs(20),
            grace: Duration::from_secs(20),
            rate: 500,
            // nginx's, and longer than the 60 seconds after which load balancers let go, so that it
            // is the client who closes an idle connection.
            idle: Duration::from_secs(75),
            // Eighty synchronous events of the largest size.
            bodies: 512 * 1024 * 1024,
            drain: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// How often connections are looked at: an eighth of the shortest time limit, which is how late
    /// a limit may strike, between 50 times a second and every ten seconds.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = [self.first_byte, self.head_time, self.idle, self.grace].into_iter().min();
        (shortest.unwrap_or_default() / 8).clamp(Duration::from_millis(20), Duration::from_secs(10))
    }
}
