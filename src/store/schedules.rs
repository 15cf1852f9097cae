//! What runs by the clock, as it is kept: groups, schedules, rules.
//!
//! What was handed over for which instant is not noted here but beside the accepted events, in the same
//! transaction as each of them. Here stands from when on something runs ([`Timing`]): a schedule that
//! is made, enabled, or given another time does not make up for what was before.

mod changes;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::schedule::{Rule, RuleTarget, Schedule, ScheduleContent, ScheduleGroup, Timing};

use crate::ordered::{Keyed, Ordered};
use crate::refusal::Refusal;

/// Most targets of a rule (an AWS limit).
const MAX_TARGETS: usize = 5;
/// Most tags of a group or a rule (an AWS limit).
const MAX_TAGS: usize = 50;
/// The group that is always there.
const DEFAULT_GROUP: &str = "default";

/// Everything that runs by the clock, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Schedules {
    groups: Ordered<ScheduleGroup>,
    schedules: Ordered<Schedule>,
    rules: Ordered<Rule>,
}

/// A schedule to create, or what to make of one.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// `<group>/<name>`.
    pub path: String,
    /// What it says.
    pub content: ScheduleContent,
    /// See [`Schedule::client_token`].
    pub client_token: Option<String>,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
    /// Whether its first instant is now: so it is with the rates of EventBridge Scheduler.
    pub runs_at_once: bool,
}

/// A rule to create or to replace.
#[derive(Debug, Clone)]
pub struct NewRule {
    /// Its name.
    pub name: String,
    /// See [`Rule::expression`].
    pub expression: String,
    /// See [`Rule::description`].
    pub description: Option<String>,
    /// See [`Rule::role`].
    pub role: Option<String>,
    /// See [`Rule::enabled`].
    pub enabled: bool,
    /// Its tags; of a rule that is there, they do not matter.
    pub tags: BTreeMap<String, String>,
    /// Now, milliseconds since the epoch.
    pub at_ms: u64,
}

/// A change of a rule's targets.
#[derive(Debug, Clone)]
pub enum TargetChange {
    /// Adds these, or puts them in the place of those of the same id.
    Put(Vec<RuleTarget>),
    /// Takes away those of these ids.
    Remove(Vec<String>),
}

/// What stands against a change of something that runs by the clock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleRefusal {
    /// There is no such group.
    #[error("there is no such schedule group")]
    NoGroup,
    /// There is such a group.
    #[error("the schedule group exists")]
    GroupExists,
    /// `default` cannot be deleted.
    #[error("the default group stays")]
    DefaultGroup,
    /// There is no such schedule.
    #[error("there is no such schedule")]
    NoSchedule,
    /// There is such a schedule.
    #[error("the schedule exists")]
    ScheduleExists,
    /// There is no such rule.
    #[error("there is no such rule")]
    NoRule,
    /// It cannot be deleted before they are.
    #[error("the rule has targets")]
    HasTargets,
    /// More than five.
    #[error("too many targets")]
    TooManyTargets,
    /// More than fifty.
    #[error("too many tags")]
    TooManyTags,
}

impl From<ScheduleRefusal> for Refusal {
    fn from(refusal: ScheduleRefusal) -> Self {
        Self::Schedule(refusal)
    }
}

impl Keyed for ScheduleGroup {
    type Key = str;

    fn key(&self) -> &str {
        &self.name
    }
}

impl Keyed for Schedule {
    type Key = str;

    fn key(&self) -> &str {
        &self.path
    }
}

impl Keyed for Rule {
    type Key = str;

    fn key(&self) -> &str {
        &self.name
    }
}

// === impl Schedules ===

impl Schedules {
    /// All of these.
    pub(crate) fn of(
        groups: Vec<Arc<ScheduleGroup>>,
        schedules: Vec<Arc<Schedule>>,
        rules: Vec<Arc<Rule>>,
    ) -> Self {
        let (groups, schedules) = (Ordered::of(groups), Ordered::of(schedules));
        Self { groups, schedules, rules: Ordered::of(rules) }
    }

    /// A group by its name.
    pub fn group(&self, name: &str) -> Option<&Arc<ScheduleGroup>> {
        self.groups.get(name)
    }

    /// Groups in the order of their names, from the one after `after`.
    pub fn groups<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<ScheduleGroup>> + use<'a> {
        self.groups.after(after)
    }

    /// A schedule by group and name, `<group>/<name>`.
    pub fn schedule(&self, path: &str) -> Option<&Arc<Schedule>> {
        self.schedules.get(path)
    }

    /// Schedules in the order of their paths, from the one after `after`.
    pub fn schedules<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Schedule>> + use<'a> {
        self.schedules.after(after)
    }

    /// Those of one group.
    pub fn in_group<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a Arc<Schedule>> {
        let from = format!("{group}/");
        self.schedules
            .after(Some(from.as_str()))
            .take_while(move |schedule| schedule.path.starts_with(&from))
    }

    /// A rule by its name.
    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.get(name)
    }

    /// Rules in the order of their names, from the one after `after`.
    pub fn rules<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Rule>> + use<'a> {
        self.rules.after(after)
    }
}

// === impl NewSchedule ===

impl NewSchedule {
    /// From when on it runs, if it is new or was `before`.
    fn timing(&self, before: Option<&Schedule>) -> Timing {
        let now = whole_second(self.at_ms);
        let content = &self.content;
        let begun = content.start_ms.unwrap_or(now);
        let started =
            Timing { anchor_ms: begun, since_ms: if self.runs_at_once { now - 1 } else { now } };
        let Some(before) = before else { return started };
        let (was, is) = (&before.content, content);
        if was.expression != is.expression || was.zone != is.zone || was.start_ms != is.start_ms {
            return started;
        }
        let resumed = (!was.enabled && is.enabled) || was.end_ms != is.end_ms;
        if resumed { Timing { since_ms: now, ..before.timing } } else { before.timing }
    }
}

/// AWS counts in whole seconds, and shows no more of an instant.
fn whole_second(at_ms: u64) -> i64 {
    (at_ms / 1000 * 1000).cast_signed()
}

#[cfg(test)]
mod tests;
