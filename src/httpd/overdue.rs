//! Which connections have had their time: decided from what a sweep sees, on a clock passed in.
//!
//! A sweep comes by every tick and remembers, per connection, when it first saw the present phase and
//! the present obstruction. A limit therefore strikes up to one tick late and never early.

use std::time::{Duration, Instant};

use crate::connection::{Order, Phase, Sample};
use crate::limits::Limits;

/// A closing connection may throw away unwanted bytes for this long (nginx's `lingering_timeout`).
const LINGER: Duration = Duration::from_secs(5);
/// While a listener is full, a connection that is asked for nothing keeps its place this long.
const IDLE_WHEN_FULL: Duration = Duration::from_secs(1);

/// What the watch remembers of one connection.
#[derive(Debug)]
pub(crate) struct Track {
    /// The phase that was seen last.
    turn: u64,
    /// When it was first seen.
    since: Instant,
    /// Bytes that had been read by then.
    received: u64,
    /// Since when, and from how many bytes sent, the peer has not kept up taking the response.
    blocked: Option<(Instant, u64)>,
}

// === impl Track ===

impl Track {
    /// Begins with a connection that was just accepted.
    pub(crate) fn new(sample: Sample, now: Instant) -> Self {
        Self { turn: sample.turn, since: now, received: sample.received, blocked: None }
    }

    /// Looks at a connection; `full` says that others wait for its place.
    pub(crate) fn judge(
        &mut self,
        sample: Sample,
        now: Instant,
        limits: &Limits,
        full: bool,
    ) -> Order {
        if self.turn != sample.turn {
            self.turn = sample.turn;
            self.since = now;
            self.received = sample.received;
        }
        let stalled = if sample.blocked {
            let (since, from) = *self.blocked.get_or_insert((now, sample.sent));
            now - since > due(sample.sent - from, limits)
        } else {
            self.blocked = None;
            false
        };
        if stalled {
            return Order::Cut;
        }

        let age = now - self.since;
        let idle_limit = |limit: Duration| if full { limit.min(IDLE_WHEN_FULL) } else { limit };
        match sample.phase {
            Phase::Fresh if age > idle_limit(limits.first_byte) => Order::Cut,
            Phase::Idle if age > idle_limit(limits.idle) => Order::Cut,
            Phase::Head if age > limits.head_time => Order::Cut,
            Phase::Lingering if age > LINGER => Order::Cut,
            Phase::Receiving => {
                let due = due(sample.received - self.received, limits);
                // The handler is told first and has as long again to answer 408.
                if age > due + limits.grace {
                    Order::Cut
                } else if age > due {
                    Order::TooSlow
                } else {
                    Order::GoOn
                }
            }
            _ => Order::GoOn,
        }
    }
}

/// How long this many bytes may take.
fn due(bytes: u64, limits: &Limits) -> Duration {
    limits.grace + Duration::from_millis(bytes.saturating_mul(1_000) / limits.rate.max(1))
}

#[cfg(test)]
mod tests;
