//! Who has to go when a listener is nearly full: those who would be missed least.
//!
//! While there is room, a client may be as slow as the limits allow, and they allow what an honest
//! client on a bad link needs. That much patience for everybody is what an attacker lives on: some
//! thousand connections that send a few bytes a second hold every place there is. So from seven
//! eighths of its connections on a listener is *crowded*. It then looks closely, and asks connections
//! to go until it is down to three quarters: only those that are slow by a stricter measure
//! (`overdue`), the slowest first. The quarter is what newcomers need in the meantime.
//!
//! ```text
//!   0 ─────────────────────────────── low 3/4 ───── high 7/8 ───── all
//!        slow ones are borne with        ◄── room is made ── crowded
//! ```
//!
//! Whoever keeps up with the stricter measure is never asked to go, however crowded it is: holding
//! 4,096 places that way takes 64 MiB a second, and it is no longer a question of slowness.
//!
//! Room for large answers (`answers`) is made in the same way and between the same marks, counted in
//! bytes, among those connections that hold some of it.

use std::time::{Duration, Instant};

use crate::connection::Order;

/// How often a crowded listener looks at its connections: an eighth of the shortest time it gives.
/// A look at 4,096 of them takes about 0.6 ms.
pub(crate) const TICK: Duration = Duration::from_millis(125);

/// Between which numbers of connections room is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// From here on the listener is crowded.
    pub(crate) high: usize,
    /// Down to here slow connections are asked to go.
    low: usize,
}

/// How slow a connection is that may be asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slow {
    /// What to ask of it.
    pub(crate) order: Order,
    /// Bytes per second since `since`; nothing where nothing is expected of it.
    pub(crate) pace: u64,
    /// When what it is at began.
    pub(crate) since: Instant,
}

// === impl Marks ===

impl Marks {
    /// The marks of a listener that bears so many connections.
    pub(crate) fn of(connections: usize) -> Self {
        let high = connections - connections / 8;
        // Where eighths are less than one connection, room is made for one.
        let low = (connections - connections / 4).min(high.saturating_sub(1));
        Self { high, low }
    }

    pub(crate) fn crowded(self, open: usize) -> bool {
        open >= self.high
    }

    /// How many have to go, beside the `leaving` that have been asked already.
    pub(crate) fn excess(self, open: usize, leaving: usize) -> usize {
        self.shortage(open, 0, leaving)
    }

    /// The same where some are `waiting` to come in, who are a crowd however few they are.
    pub(crate) fn shortage(self, held: usize, waiting: usize, leaving: usize) -> usize {
        let crowded = waiting > 0 || self.crowded(held);
        // Nobody can give back more than is held.
        let over = held.saturating_add(waiting).saturating_sub(self.low).min(held);
        if crowded { over.saturating_sub(leaving) } else { 0 }
    }
}

/// Who has to go, the slowest first and among equals those that have been at it for the longest: so
/// many connections, and whoever else holds room for answers until so many `bytes` are given back.
///
/// Each comes with the bytes it holds.
pub(crate) fn leavers<T>(
    mut slow: Vec<(Slow, usize, T)>,
    mut connections: usize,
    mut bytes: usize,
) -> Vec<(Slow, T)> {
    slow.sort_unstable_by_key(|(how, ..)| (how.pace, how.since));
    let mut leavers = Vec::new();
    for (how, held, who) in slow {
        if connections > 0 || (bytes > 0 && held > 0) {
            connections = connections.saturating_sub(1);
            bytes = bytes.saturating_sub(held);
            leavers.push((how, who));
        }
    }
    leavers
}

#[cfg(test)]
mod tests;
