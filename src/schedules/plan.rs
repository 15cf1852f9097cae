//! From what is kept to what the agenda knows: schedules and targets of rules as [`Plan`]s.

use std::sync::Arc;

use model::schedule::{Rule, RuleTarget, Schedule};
use model::{FunctionName, Qualifier};

use crate::agenda::Plan;
use crate::expression::{Dialect, Expression};
use crate::recurrence::{self, Recurrence};

/// What runs.
#[derive(Debug, Clone)]
pub enum Work {
    /// A schedule.
    Schedule(Arc<Schedule>),
    /// A rule, for one of its targets.
    Target(Arc<Rule>, RuleTarget),
}

/// A schedule's plan; `None` if it is disabled, or not understood.
pub fn of_schedule(schedule: &Arc<Schedule>) -> Option<Plan<Work>> {
    let content = &schedule.content;
    if !content.enabled {
        return None;
    }
    let recurrence = Recurrence {
        expression: Expression::parse(&content.expression, Dialect::Scheduler)?,
        zone: recurrence::zone(content.zone.as_deref())?,
        anchor_ms: schedule.timing.anchor_ms,
        start_ms: content.start_ms,
        end_ms: content.end_ms,
    };
    Some(Plan {
        what: Work::Schedule(Arc::clone(schedule)),
        recurrence,
        since_ms: schedule.timing.since_ms,
        id: schedule.id.bits(),
        window_ms: content.window_minutes.map_or(0, |minutes| i64::from(minutes) * 60_000),
        retry: content.target.retry,
    })
}

/// The plan of one of a rule's targets; `None` if the rule is disabled, or not understood.
pub fn of_target(rule: &Arc<Rule>, target: &RuleTarget) -> Option<Plan<Work>> {
    if !rule.enabled {
        return None;
    }
    let recurrence = Recurrence {
        expression: Expression::parse(&rule.expression, Dialect::Rule)?,
        zone: recurrence::zone(None)?,
        anchor_ms: rule.timing.anchor_ms,
        start_ms: None,
        end_ms: None,
    };
    Some(Plan {
        what: Work::Target(Arc::clone(rule), target.clone()),
        recurrence,
        since_ms: rule.timing.since_ms.max(target.since_ms),
        id: rule.id.bits(),
        window_ms: 0,
        retry: target.retry(),
    })
}

/// The function that a target's ARN names: `arn:aws:lambda:<region>:<account>:function:<name>`, perhaps
/// with a qualifier.
pub fn function(arn: &str) -> Option<(FunctionName, Option<Qualifier>)> {
    let rest = arn.splitn(7, ':').nth(6)?;
    let (name, qualifier) = match rest.split_once(':') {
        None => (rest, None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    };
    let qualifier = qualifier.map(Qualifier::parse).transpose().ok()?;
    Some((FunctionName::parse(name).ok()?, qualifier))
}

// === impl Work ===

impl Work {
    /// What is called.
    pub fn arn(&self) -> &str {
        match self {
            Self::Schedule(schedule) => &schedule.content.target.arn,
            Self::Target(_, target) => &target.arn,
        }
    }

    /// Names it for ever, among what is noted.
    pub fn key(&self) -> String {
        match self {
            Self::Schedule(schedule) => format!("schedule/{}", schedule.id),
            Self::Target(rule, target) => format!("rule/{}/{}", rule.id, target.id),
        }
    }
}
