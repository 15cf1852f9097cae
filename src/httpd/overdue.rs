//! Which connections have had their time: decided from what a sweep sees, on a clock passed in.
//!
//! A sweep comes by every tick and remembers, per connection, when it first saw the present phase and
//! the present obstruction. A limit therefore strikes up to one tick late and never early.
//!
//! There are two measures. The limits hold always, and who exceeds them goes. On a crowded listener
//! a stricter one tells who is slow; whether they go is decided among them (`crowd`).

use std::time::{Duration, Instant};

use crate::connection::{Order, Phase, Sample};
use crate::crowd::Slow;
use crate::limits::Limits;

/// A closing connection may throw away unwanted bytes for this long (nginx's `lingering_timeout`).
const LINGER: Duration = Duration::from_secs(5);
/// While a listener is crowded: a round trip around the world, which the answer needs to arrive.
const LINGER_WHEN_CROWDED: Duration = Duration::from_millis(300);
/// While a listener is crowded, a connection that is asked for nothing keeps its place this long.
const IDLE_WHEN_CROWDED: Duration = Duration::from_secs(1);
/// And this long if a head has begun: it is a packet or two, and a lost one comes again after one
/// second (RFC 6298).
const HEAD_WHEN_CROWDED: Duration = Duration::from_secs(2);
/// What a crowded listener expects of a body. 16 KiB a second is 128 kbit/s, half of the
/// slowest link that the ITU counts as broadband; the second is for a first packet lost.
const BODY_WHEN_CROWDED: Demand = Demand { grace: Duration::from_secs(1), rate: 16 * 1024 };
/// And of who reads an answer: as much, but progress is seen in pieces of up to 95 KB (see `UNSENT`
/// in `server`). Two seconds are enough not to be mistaken about anyone who reads 48 KB a second.
const READER_WHEN_CROWDED: Demand = Demand { grace: READER_GRACE, rate: 16 * 1024 };
/// How long such a reader need not read at all; who waits for its room waits longer than this.
pub(crate) const READER_GRACE: Duration = Duration::from_secs(2);

/// What the watch remembers of one connection.
#[derive(Debug)]
pub(crate) struct Track {
    /// The phase that was seen last.
    turn: u64,
    /// When it was first seen; for an idle connection, when its response was seen to be taken.
    since: Instant,
    /// Bytes that had been read by then.
    received: u64,
    /// Since when, and from how many bytes sent, the peer has not kept up taking the response.
    blocked: Option<(Instant, u64)>,
}

/// What there is to say about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// It has exceeded a limit.
    Overdue(Order),
    /// It has not, but others have more use for its place.
    Slow(Slow),
}

/// How fast bytes have to pass.
#[derive(Debug, Clone, Copy)]
struct Demand {
    /// How long they need not pass at all.
    grace: Duration,
    /// Bytes per second after that, on average.
    rate: u64,
}

/// Bytes that passed since an instant, looked at some time later.
#[derive(Debug, Clone, Copy)]
struct Passage {
    since: Instant,
    age: Duration,
    bytes: u64,
}

// === impl Track ===

impl Track {
    /// Begins with a connection that was just accepted.
    pub(crate) fn new(sample: Sample, now: Instant) -> Self {
        Self { turn: sample.turn, since: now, received: sample.received, blocked: None }
    }

    /// Looks at a connection; `crowded` says that others may soon have to wait for its place, or for
    /// the room that its answer holds.
    pub(crate) fn judge(
        &mut self,
        sample: Sample,
        now: Instant,
        limits: &Limits,
        crowded: bool,
    ) -> Verdict {
        if self.turn != sample.turn {
            self.turn = sample.turn;
            self.since = now;
            self.received = sample.received;
        }
        let demand = Demand { grace: limits.grace, rate: limits.rate };
        if sample.blocked {
            let (since, from) = *self.blocked.get_or_insert((now, sample.sent));
            let taken = Passage::new(since, now, sample.sent - from);
            if taken.age > demand.due(taken.bytes) {
                return Verdict::Overdue(Order::Cut);
            }
            if crowded && taken.age > READER_WHEN_CROWDED.due(taken.bytes) {
                return taken.slow(Order::Cut);
            }
            // The response has been made and is still being taken: not idle before it has been.
            if sample.phase == Phase::Idle {
                self.since = now;
            }
        } else {
            self.blocked = None;
        }

        let come = Passage::new(self.since, now, sample.received - self.received);
        let within = |limit: Duration, when_crowded: Duration| {
            if come.age > limit {
                Verdict::Overdue(Order::Cut)
            } else if crowded && come.age > when_crowded {
                come.slow(Order::Cut)
            } else {
                Verdict::Fine
            }
        };
        match sample.phase {
            Phase::Fresh => within(limits.first_byte, IDLE_WHEN_CROWDED),
            Phase::Idle => within(limits.idle, IDLE_WHEN_CROWDED),
            Phase::Head => within(limits.head_time, HEAD_WHEN_CROWDED),
            Phase::Lingering if crowded && come.age > LINGER_WHEN_CROWDED => {
                Verdict::Overdue(Order::Cut)
            }
            Phase::Lingering if come.age > LINGER => Verdict::Overdue(Order::Cut),
            Phase::Receiving => {
                let due = demand.due(come.bytes);
                // The handler is told first and has as long again to answer 408.
                if come.age > due + limits.grace {
                    Verdict::Overdue(Order::Cut)
                } else if crowded && sample.unheard {
                    // On a crowded listener it has until the next look.
                    come.slow(Order::Cut)
                } else if come.age > due {
                    Verdict::Overdue(Order::TooSlow)
                } else if crowded && come.age > BODY_WHEN_CROWDED.due(come.bytes) {
                    come.slow(Order::TooSlow)
                } else {
                    Verdict::Fine
                }
            }
            Phase::Lingering | Phase::Serving => Verdict::Fine,
        }
    }
}

// === impl Demand ===

impl Demand {
    /// How long this many bytes may take.
    fn due(self, bytes: u64) -> Duration {
        self.grace + Duration::from_millis(bytes.saturating_mul(1_000) / self.rate.max(1))
    }
}

// === impl Passage ===

impl Passage {
    fn new(since: Instant, now: Instant, bytes: u64) -> Self {
        Self { since, age: now - since, bytes }
    }

    fn slow(self, order: Order) -> Verdict {
        let millis = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX).max(1);
        let pace = self.bytes.saturating_mul(1_000) / millis;
        Verdict::Slow(Slow { order, pace, since: self.since })
    }
}

#[cfg(test)]
mod tests;
