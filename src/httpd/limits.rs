//! What one listener bears.

use std::time::Duration;

/// Limits of a listener; the default suits the management and the trigger listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Of one peer address; further ones are closed at once. `None` where all peers share one
    /// address: loopback, a reverse proxy, a sandbox.
    ///
    /// Where clients connect by themselves, a sixteenth of `connections` is a good number (256 of
    /// 4,096): sixteen addresses are then needed to fill the listener, and 256 is more than one
    /// honest client opens (AWS's SDKs keep 10 to 50, a browser 6 per host) and enough for an
    /// office behind one address; a carrier's NAT may need more. It counts single addresses: whoever
    /// has an IPv6 network has as many as they like, and is left to the watch over slow connections.
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
    /// Bytes per second expected on average once the grace is over.
    ///
    /// The two are a ceiling: no body takes longer than `grace` and its length at this rate, however
    /// it is spread over the time. A listener that is nearly full asks for more than this.
    pub rate: u64,
    /// Bytes of large bodies (above 64 KiB each) held at once; further ones are answered 503.
    pub bodies: usize,
    /// Bytes of large answers (above 64 KiB each) held at once: seven eighths for those being read,
    /// an eighth for those that wait for room. Further ones become 503.
    ///
    /// A single answer that is larger than its part is let in alone. Room that is scarce is taken
    /// from readers slower than 16 KiB a second, the slowest first; see the crate's `answers`.
    pub answers: usize,
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
            // Apache's mod_reqtimeout: 20 seconds for the head and as many for a body to get going.
            head_time: Duration::from_secs(20),
            grace: Duration::from_secs(20),
            // The slowest link that is still sold has 64 kbit/s (one ISDN channel; a mobile contract
            // that has used up its volume), of which a quarter is left to headers and repetitions.
            // The largest event, 6 MiB, may therefore take 18 minutes; Apache's 500 bytes a second
            // would make it three and a half hours.
            rate: 6_000,
            // nginx's, and longer than the 60 seconds after which load balancers let go, so that it
            // is the client who closes an idle connection.
            idle: Duration::from_secs(75),
            // Eighty synchronous events of the largest size.
            bodies: 512 * 1024 * 1024,
            // Of answers 74 are being read then, and ten may wait.
            answers: 512 * 1024 * 1024,
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
