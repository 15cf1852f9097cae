//! The connections there are: taken in, watched over, sent away.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use telemetry::metrics::{Door, METRICS};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::Drained;
use crate::answers::{Answers, Hold};
use crate::connection::{Connection, Order, Phase, lock};
use crate::crowd::{self, Marks};
use crate::limits::Limits;
use crate::overdue::{Track, Verdict};

/// How long a drain waits for the next request of a connection that has none in hand: a packet that is
/// lost comes again after one second (RFC 6298). nginx has a setting for the same.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What the parts of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) door: Door,
    pub(super) limits: Limits,
    /// One permit per connection.
    pub(super) places: Arc<Semaphore>,
    /// From how many connections on, and down to how many, room is made.
    marks: Marks,
    /// One permit per byte of a large body.
    room: Arc<Semaphore>,
    /// Room for large answers.
    answers: Answers,
    table: Mutex<Table>,
    /// The first connection has come, or the last has gone, or the listener has become crowded, or
    /// room for answers scarce.
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
pub(super) struct Line {
    number: u64,
    pub(super) connection: Arc<Connection>,
    pub(super) shared: Arc<Shared>,
    /// Frees the connection's place.
    _place: OwnedSemaphorePermit,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(door: Door, limits: Limits) -> Self {
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let (places, room) = (permits(limits.connections), permits(limits.bodies));
        let marks = Marks::of(limits.connections);
        let answers = Answers::new(limits.answers);
        let (table, changed) = (Mutex::default(), Notify::new());
        Self { door, limits, places, marks, room, answers, table, changed }
    }

    /// Open connections.
    pub(super) fn connections(&self) -> usize {
        lock(&self.table).open.len()
    }

    /// Takes a connection in, unless its peer has as many as it may.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<Line> {
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
        if table.open.len() == 1 || table.open.len() == self.marks.high {
            self.changed.notify_waiters();
        }
        METRICS.http_connections.of(self.door).inc();
        Some(Line { number, connection, shared: Arc::clone(self), _place: place })
    }

    /// Room for a large answer; `None` if there is none in time.
    pub(super) async fn hold(
        &self,
        bytes: usize,
        connection: &Arc<Connection>,
    ) -> Option<Arc<Hold>> {
        let hold = self.answers.take(bytes, connection, || self.changed.notify_waiters()).await;
        if hold.is_none() {
            METRICS.http_refused.of(self.door).inc();
        }
        hold
    }

    /// Looks at all connections, over and over, for as long as there are any.
    pub(super) async fn sweep(&self) {
        let tick = self.limits.tick();
        let soonest = tick.min(crowd::TICK);
        loop {
            self.until(|open| open > 0).await;
            tokio::time::sleep(soonest).await;
            // The rest of the tick, unless the listener is or becomes crowded or room for answers
            // scarce; either way it is time.
            let crowded = self.until(|open| self.marks.crowded(open) || self.answers.tight());
            let _ = tokio::time::timeout(tick - soonest, crowded).await;
            self.look(Instant::now());
        }
    }

    /// Looks at all connections once.
    fn look(&self, now: Instant) {
        let mut table = lock(&self.table);
        let open = table.open.len();
        let (crowded, tight) = (self.marks.crowded(open), self.answers.tight());
        let (mut leaving, mut slow) = (0, Vec::new());
        let (mut held, mut given_back) = (0, 0);
        for (connection, track) in table.open.values_mut() {
            let sample = connection.sample();
            held += sample.held;
            let wanted = crowded || (tight && sample.held > 0);
            let verdict = track.judge(sample, now, &self.limits, wanted);
            if let Verdict::Slow(how) = verdict
                && connection.current_order() < Order::Cut
            {
                slow.push((how, sample.held, connection));
                continue;
            }
            if let Verdict::Overdue(order) = verdict {
                self.command(connection, order);
            }
            // Asked now or at an earlier look; or answered, and closing.
            let asked = connection.current_order() >= Order::Drain;
            leaving += usize::from(asked || sample.phase == Phase::Lingering);
            // Who finishes what is in hand gives nothing back for that.
            given_back += if connection.current_order() == Order::Cut { sample.held } else { 0 };
        }
        let places = self.marks.excess(open, leaving);
        let bytes = self.answers.shortage(held, given_back);
        for (how, connection) in crowd::leavers(slow, places, bytes) {
            self.command(connection, how.order);
        }
    }

    fn command(&self, connection: &Connection, order: Order) {
        if order > connection.current_order() {
            METRICS.http_refused.of(self.door).inc();
            connection.command(order);
        }
    }

    /// Lets every connection finish what it is doing, within the deadline.
    ///
    /// One on which nothing is being done gets a last call: what its peer has sent already, or is
    /// just sending, is answered.
    pub(super) async fn drain(&self) -> Drained {
        let deadline = Instant::now() + self.limits.drain;
        for (connection, _) in lock(&self.table).open.values() {
            connection.command(Order::Drain);
        }
        // A drain that is short keeps most of its time for requests.
        let last_call = LAST_CALL.min(self.limits.drain / 2);
        let _ = tokio::time::timeout(last_call, self.until(|open| open == 0)).await;
        for (connection, _) in lock(&self.table).open.values() {
            if matches!(connection.phase(), Phase::Fresh | Phase::Idle) {
                connection.command(Order::Cut);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let in_time = tokio::time::timeout(left, self.until(|open| open == 0)).await;
        let cut = if in_time.is_ok() { 0 } else { self.cut_all() };
        self.until(|open| open == 0).await;
        Drained { cut }
    }

    pub(super) fn cut_all(&self) -> usize {
        let table = lock(&self.table);
        table.open.values().for_each(|(connection, _)| connection.command(Order::Cut));
        table.open.len()
    }

    /// Done when the number of connections is as it should be; asked whenever it becomes or ceases to
    /// be zero, and when the listener becomes crowded or room for answers scarce.
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
pub(super) struct Closing(pub(super) Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.cut_all();
    }
}
