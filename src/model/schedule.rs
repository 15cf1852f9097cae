//! Schedules: what AWS has two services for, EventBridge Scheduler's schedules and EventBridge's rules.
//!
//! Both say when (an expression, which the crate `schedules` reads), whether, and what is to be called
//! with what. Texts here have passed the door's checks; what an expression means is not decided here.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::random_bytes;

/// Names one schedule or rule for ever: another of the same name has another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleId(u128);

/// What schedules are sorted into; tags belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleGroup {
    /// Its name: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: u64,
    /// When its tags were changed.
    pub modified_ms: u64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What the request that made it was marked with, so that its repetition is one.
    pub client_token: Option<String>,
}

/// A schedule of EventBridge Scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Names it for ever.
    pub id: ScheduleId,
    /// `<group>/<name>`, as in its ARN.
    pub path: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: u64,
    /// When it was changed.
    pub modified_ms: u64,
    /// What it says.
    pub content: ScheduleContent,
    /// From when on it runs.
    pub timing: Timing,
    /// What the request that made it was marked with, so that its repetition is one.
    pub client_token: Option<String>,
}

/// What whoever makes or changes a schedule says, all of it each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleContent {
    /// `rate(…)`, `cron(…)` or `at(…)`.
    pub expression: String,
    /// The time zone the expression is meant in, as the caller wrote it; UTC without one.
    pub zone: Option<String>,
    /// It does not run before, milliseconds since the epoch.
    pub start_ms: Option<i64>,
    /// It does not run after, milliseconds since the epoch.
    pub end_ms: Option<i64>,
    /// For people.
    pub description: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
    /// How many minutes late it may run, so that not all run at once; `None` runs on time.
    pub window_minutes: Option<u16>,
    /// Whether it is deleted when it will never run again.
    pub delete_after: bool,
    /// What it calls.
    pub target: ScheduleTarget,
}

/// What a schedule calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleTarget {
    /// The function's ARN, perhaps qualified.
    pub arn: String,
    /// The role it is called with, which AWS insists on.
    pub role: String,
    /// The event; without it, AWS's own.
    pub input: Option<String>,
    /// How long handing over is tried.
    pub retry: RetryPolicy,
}

/// How long handing an event over is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Seconds after which an event is no longer worth handing over; also those for which a run that
    /// was missed is made up.
    pub max_age_s: u32,
    /// Tries after the first.
    pub max_attempts: u32,
}

/// A rule of EventBridge on the default bus, with a schedule for its only trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Names it for ever.
    pub id: ScheduleId,
    /// 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// `rate(…)` or `cron(…)`, in UTC.
    pub expression: String,
    /// For people.
    pub description: Option<String>,
    /// A role that AWS would call its targets with.
    pub role: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// From when on it runs.
    pub timing: Timing,
    /// What it calls, at most five.
    pub targets: Vec<RuleTarget>,
}

/// One of the things a rule calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleTarget {
    /// Its name within the rule.
    pub id: String,
    /// The function's ARN, perhaps qualified.
    pub arn: String,
    /// A role that AWS would call it with.
    pub role: Option<String>,
    /// What it is called with.
    pub input: RuleInput,
    /// See [`RetryPolicy::max_age_s`], if the caller said.
    pub max_age_s: Option<u32>,
    /// See [`RetryPolicy::max_attempts`], if the caller said.
    pub max_attempts: Option<u32>,
    /// No instant up to this one ever runs: it is when the target was added.
    pub since_ms: i64,
}

/// What a rule calls a target with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleInput {
    /// AWS's event.
    Event,
    /// Always this JSON.
    Constant(String),
    /// A part of the event, by a JSON path.
    Part(String),
    /// A text with parts of the event in it.
    Template {
        /// JSON paths by the names that the text has for them.
        paths: BTreeMap<String, String>,
        /// The text.
        template: String,
    },
}

/// From when on something runs. Changes of description or target leave it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// What a rate is counted from, milliseconds since the epoch.
    pub anchor_ms: i64,
    /// No instant up to this one ever runs: it is when the schedule was made, enabled, or given
    /// another time.
    pub since_ms: i64,
}

// === impl ScheduleId ===

impl ScheduleId {
    /// A new one.
    pub fn random() -> Self {
        Self(u128::from_le_bytes(random_bytes()))
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    /// Its bits.
    pub fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Schedule ===

impl Schedule {
    /// The group it is in.
    pub fn group(&self) -> &str {
        self.path.split_once('/').map_or("", |(group, _)| group)
    }

    /// Its name within the group.
    pub fn name(&self) -> &str {
        self.path.split_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }
}

// === impl RuleTarget ===

impl RuleTarget {
    /// How long handing over is tried.
    pub fn retry(&self) -> RetryPolicy {
        let usual = RetryPolicy::default();
        RetryPolicy {
            max_age_s: self.max_age_s.unwrap_or(usual.max_age_s),
            max_attempts: self.max_attempts.unwrap_or(usual.max_attempts),
        }
    }
}

// === impl RetryPolicy ===

impl Default for RetryPolicy {
    /// AWS's: a day, and 185 tries.
    fn default() -> Self {
        Self { max_age_s: 86_400, max_attempts: 185 }
    }
}
