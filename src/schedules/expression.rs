//! `rate(…)`, `cron(…)`, `at(…)`: what stands in a schedule, read but not yet placed in time.
//!
//! AWS has two readers. That of rules is the stricter: it wants `rate(1 minute)` and `rate(2 minutes)`
//! and knows no `at`. That of EventBridge Scheduler takes `rate(1 hours)`, as its own documentation
//! writes it. Neither takes blanks around anything.

use jiff::civil::DateTime;

use crate::cron::Cron;

/// When something runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Again and again after so many seconds.
    Rate(u64),
    /// At minutes by the clock.
    Cron(Cron),
    /// Once.
    At(DateTime),
}

/// Whose expressions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// EventBridge's rules.
    Rule,
    /// EventBridge Scheduler.
    Scheduler,
}

/// Largest number in a rate: more than the days there are in the years of a cron expression. It
/// keeps sums of times far from their limits.
const MOST: u64 = 99_999_999;

// === impl Expression ===

impl Expression {
    /// Reads an expression; `None` if it is none. AWS does not say what is wrong with it either.
    pub fn parse(text: &str, dialect: Dialect) -> Option<Self> {
        let (kind, rest) = text.split_once('(')?;
        let inside = rest.strip_suffix(')')?;
        match (kind, dialect) {
            ("rate", dialect) => rate(inside, dialect).map(Self::Rate),
            ("cron", _) => Cron::parse(inside).map(Self::Cron),
            ("at", Dialect::Scheduler) => at(inside).map(Self::At),
            _ => None,
        }
    }
}

/// `5 minutes`, in seconds.
fn rate(text: &str, dialect: Dialect) -> Option<u64> {
    let (number, unit) = text.split_once(' ')?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok()).flatten()?;
    if !(1..=MOST).contains(&number) {
        return None;
    }
    let (unit, is_plural) = match unit.strip_suffix('s') {
        None => (unit, false),
        Some(unit) => (unit, true),
    };
    if dialect == Dialect::Rule && is_plural != (number > 1) {
        return None;
    }
    let seconds = match unit {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    Some(number * seconds)
}

/// `2027-03-28T02:30:00`; jiff would read more than that.
fn at(text: &str) -> Option<DateTime> {
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = text.len() == form.len()
        && text.bytes().zip(form).all(|(byte, must)| match must {
            b'd' => byte.is_ascii_digit(),
            must => byte == *must,
        });
    // A leap second is none on any clock here; jiff would take it for the second before.
    (fits && !text.ends_with(":60")).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
