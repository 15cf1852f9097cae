//! What becomes of an event: AWS's rules, without a clock, a disk or a function.
//!
//! A function that fails is asked again after one minute and after two. What did not get as far as
//! the function, because there was no room for it or we could not deliver it, is tried again after a
//! second, and after twice as long every time up to five minutes, for as long as the event is young
//! enough. Either way, an event that would be too old by its next attempt is over.

use store::events::QueuedEvent;

use crate::functions::{Attempt, Plan};

/// How long a function that failed is left alone, milliseconds: after the first time and after the
/// second (AWS's documentation of asynchronous invocation).
const AFTER_FAILURE_MS: [u64; 2] = [60_000, 120_000];

/// The first pause after something stood in the way, milliseconds (as above).
const FIRST_PAUSE_MS: u64 = 1_000;

/// The longest pause, milliseconds (as above); nothing is ever due later than so from now.
pub const LONGEST_PAUSE_MS: u64 = 300_000;

/// `MaximumEventAgeInSeconds` where nothing is configured: six hours (an AWS default).
pub const MAX_AGE_S: u32 = 21_600;

/// `MaximumRetryAttempts` where nothing is configured (an AWS default).
pub const RETRIES: u32 = 2;

/// How an event ended; the words are AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The function answered it.
    Success,
    /// The function failed as often as it may.
    RetriesExhausted,
    /// It became too old.
    EventAgeExceeded,
    /// The function may not run at all.
    ZeroReservedConcurrency,
}

/// What becomes of an event after an attempt that was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is over.
    Over(Condition),
    /// It is tried again.
    Again {
        /// Not before, milliseconds since the epoch.
        due_ms: u64,
        /// How often the function has answered it.
        attempts: u32,
        /// How often in a row it did not get as far.
        setbacks: u32,
    },
}

// === impl Condition ===

impl Condition {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::ZeroReservedConcurrency => "ZeroReservedConcurrency",
        }
    }
}

/// Whether an event is over before it is tried (again).
pub fn before(event: &QueuedEvent, plan: &Plan, now_ms: u64) -> Option<Condition> {
    if plan.closed {
        return Some(Condition::ZeroReservedConcurrency);
    }
    (now_ms >= deadline(event, plan)).then_some(Condition::EventAgeExceeded)
}

/// What becomes of an event after an attempt; `None` if what it was meant for is gone.
pub fn after(event: &QueuedEvent, plan: &Plan, attempt: &Attempt, now_ms: u64) -> Option<Next> {
    let next = match attempt {
        Attempt::Gone => return None,
        Attempt::Answered(answer) if answer.error.is_none() => Next::Over(Condition::Success),
        Attempt::Answered(_) if event.attempts >= plan.retries => {
            Next::Over(Condition::RetriesExhausted)
        }
        Attempt::Answered(_) => {
            let last = AFTER_FAILURE_MS.len() - 1;
            let pause = AFTER_FAILURE_MS[(event.attempts as usize).min(last)];
            let due_ms = now_ms.saturating_add(pause);
            // Whoever is to be told is told now, while it is known what the function answered.
            match due_ms >= deadline(event, plan) {
                true => Next::Over(Condition::EventAgeExceeded),
                false => Next::Again { due_ms, attempts: event.attempts + 1, setbacks: 0 },
            }
        }
        Attempt::Throttled | Attempt::System if now_ms >= deadline(event, plan) => {
            Next::Over(Condition::EventAgeExceeded)
        }
        Attempt::Throttled | Attempt::System => Next::Again {
            // It is found to be too old when it is, and not at the end of a pause.
            due_ms: now_ms.saturating_add(pause_ms(event.setbacks)).min(deadline(event, plan)),
            attempts: event.attempts,
            setbacks: event.setbacks.saturating_add(1),
        },
    };
    Some(next)
}

/// How long to wait after something has stood in the way so many times before.
pub fn pause_ms(setbacks: u32) -> u64 {
    let doubled = 1_u64.checked_shl(setbacks).unwrap_or(u64::MAX);
    doubled.saturating_mul(FIRST_PAUSE_MS).min(LONGEST_PAUSE_MS)
}

/// When an event is too old.
fn deadline(event: &QueuedEvent, plan: &Plan) -> u64 {
    event.accepted_ms.saturating_add(plan.max_age_ms)
}

#[cfg(test)]
mod tests;
