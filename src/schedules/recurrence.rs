//! The instants of a schedule: an expression, in a time zone, between two dates.
//!
//! ```text
//!            gap (spring)                       overlap (autumn)
//!   wall  01:30  ─ 02:30 ─  03:30          01:30   02:30 … 02:30   03:30
//!   cron   run     never     run            run     run     not     run
//!   at     run     an hour   run            run     run     not     run
//!                  later
//!   rate   counts seconds and knows nothing of clocks on walls
//! ```
//!
//! That is AWS's rule: a time that does not exist is skipped, one that comes twice runs once (the first
//! time). For `at`, whose only run would be lost, the missing time is the one that clocks which were not
//! put forward would show.
//!
//! Instants are milliseconds since the epoch and strictly increase. There is no clock here.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::expression::Expression;

/// When exactly something runs.
#[derive(Debug, Clone)]
pub struct Recurrence {
    /// What is asked for.
    pub expression: Expression,
    /// Where.
    pub zone: TimeZone,
    /// What a rate counts from, milliseconds since the epoch. It is an instant of the rate itself.
    pub anchor_ms: i64,
    /// The earliest instant there may be. One-time schedules have none (as AWS says).
    pub start_ms: Option<i64>,
    /// The latest.
    pub end_ms: Option<i64>,
}

// === impl Recurrence ===

impl Recurrence {
    /// The first instant after `after_ms`, if there is one.
    pub fn next(&self, after_ms: i64) -> Option<i64> {
        // The only one there is: a date before which it may not run would take it away.
        if let Expression::At(time) = self.expression {
            return self.at(time).filter(|at| *at > after_ms);
        }
        let after_ms = self.start_ms.map_or(after_ms, |start| after_ms.max(start - 1));
        let next = match &self.expression {
            Expression::Rate(seconds) => rate(self.anchor_ms, *seconds, after_ms),
            Expression::Cron(cron) => {
                let after = Timestamp::from_millisecond(after_ms).ok()?;
                let mut from = after.to_zoned(self.zone.clone()).datetime();
                loop {
                    let time = cron.next(from)?;
                    match self.once(time) {
                        Some(at) if at > after_ms => break Some(at),
                        // It does not exist, or it was the first of two that look alike.
                        _ => from = time.checked_add(jiff::Span::new().minutes(1)).ok()?,
                    }
                }
            }
            Expression::At(_) => None,
        };
        next.filter(|next| self.end_ms.is_none_or(|end| *next <= end))
    }

    /// Whether there is at most one instant.
    pub fn is_once(&self) -> bool {
        matches!(self.expression, Expression::At(_))
    }

    /// The instant of a time on the wall, the first if there are two, `None` if there is none.
    fn once(&self, time: DateTime) -> Option<i64> {
        let offset = match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { .. } => return None,
        };
        offset.to_timestamp(time).ok().map(Timestamp::as_millisecond)
    }

    /// The same, which never is none.
    fn at(&self, time: DateTime) -> Option<i64> {
        let instant = self.zone.to_ambiguous_timestamp(time).compatible().ok()?;
        Some(instant.as_millisecond())
    }
}

/// The first of `anchor`, `anchor + seconds`, `anchor + 2 × seconds` … that is after `after_ms`.
fn rate(anchor_ms: i64, seconds: u64, after_ms: i64) -> Option<i64> {
    if after_ms < anchor_ms {
        return Some(anchor_ms);
    }
    let period = i64::try_from(seconds).ok()?.checked_mul(1000)?;
    let periods = (after_ms - anchor_ms) / period + 1;
    periods.checked_mul(period)?.checked_add(anchor_ms)
}

/// The time zone of a name, such as `Europe/Berlin` or `UTC`; of none, UTC.
pub fn zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        None => Some(TimeZone::UTC),
        Some(name) => TimeZone::get(name).ok(),
    }
}

#[cfg(test)]
mod tests;
