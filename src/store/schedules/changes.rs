//! Changes of what runs by the clock: decided on the snapshot, written, then seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::schedule::{Rule, Schedule, ScheduleGroup, ScheduleId, Timing};

use super::{
    DEFAULT_GROUP, MAX_TAGS, MAX_TARGETS, NewRule, NewSchedule, ScheduleRefusal, Schedules,
    TargetChange, whole_second,
};
use crate::refusal::ChangeError;
use crate::sqlite::schedules as rows;
use crate::store::Store;
use crate::writer::Batch;

// === impl Store ===

impl Store {
    /// Creates a group; gives back what is there if this is the same request again.
    ///
    /// # Errors
    /// [`ScheduleRefusal::GroupExists`], [`ScheduleRefusal::TooManyTags`].
    pub async fn create_schedule_group(
        &self,
        new: ScheduleGroup,
    ) -> Result<Arc<ScheduleGroup>, ChangeError> {
        self.change_schedules(move |batch| {
            if let Some(there) = schedules(batch).group(&new.name) {
                let again = new.client_token.is_some() && new.client_token == there.client_token;
                return Ok(again.then(|| Arc::clone(there)).ok_or(ScheduleRefusal::GroupExists));
            }
            if new.tags.len() > MAX_TAGS {
                return Ok(Err(ScheduleRefusal::TooManyTags));
            }
            put_group(batch, new).map(Ok)
        })
        .await
    }

    /// Gives a group other tags: all of those that `change` makes of the ones it has.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoGroup`], [`ScheduleRefusal::TooManyTags`].
    pub async fn tag_schedule_group(
        &self,
        name: String,
        at_ms: u64,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> Result<(), ChangeError> {
        self.change_schedules(move |batch| {
            let Some(group) = schedules(batch).group(&name) else {
                return Ok(Err(ScheduleRefusal::NoGroup));
            };
            let mut group = ScheduleGroup { modified_ms: at_ms, ..(**group).clone() };
            change(&mut group.tags);
            if group.tags.len() > MAX_TAGS {
                return Ok(Err(ScheduleRefusal::TooManyTags));
            }
            put_group(batch, group).map(|_| Ok(()))
        })
        .await
    }

    /// Deletes a group with every schedule in it.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoGroup`], [`ScheduleRefusal::DefaultGroup`].
    pub async fn delete_schedule_group(&self, name: String) -> Result<(), ChangeError> {
        self.change_schedules(move |batch| {
            if name == DEFAULT_GROUP {
                return Ok(Err(ScheduleRefusal::DefaultGroup));
            }
            if schedules(batch).group(&name).is_none() {
                return Ok(Err(ScheduleRefusal::NoGroup));
            }
            let inside: Vec<_> = schedules(batch).in_group(&name).cloned().collect();
            batch.beside(|connection, snapshot| {
                for schedule in inside {
                    rows::delete_schedule(connection, &schedule)?;
                    snapshot.schedules_mut().schedules.remove(schedule.path.as_str());
                }
                rows::delete_group(connection, &name)?;
                snapshot.schedules_mut().groups.remove(name.as_str());
                Ok(Ok(()))
            })
        })
        .await
    }

    /// Creates a schedule; gives back what is there if this is the same request again.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoGroup`], [`ScheduleRefusal::ScheduleExists`].
    pub async fn create_schedule(&self, new: NewSchedule) -> Result<Arc<Schedule>, ChangeError> {
        self.change_schedules(move |batch| {
            let group = new.path.split_once('/').map_or("", |(group, _)| group);
            if schedules(batch).group(group).is_none() {
                return Ok(Err(ScheduleRefusal::NoGroup));
            }
            if let Some(there) = schedules(batch).schedule(&new.path) {
                let again = new.client_token.is_some() && new.client_token == there.client_token;
                return Ok(again.then(|| Arc::clone(there)).ok_or(ScheduleRefusal::ScheduleExists));
            }
            let timing = new.timing(None);
            let schedule = Schedule {
                id: ScheduleId::random(),
                path: new.path,
                created_ms: new.at_ms,
                modified_ms: new.at_ms,
                content: new.content,
                timing,
                client_token: new.client_token,
            };
            put_schedule(batch, schedule).map(Ok)
        })
        .await
    }

    /// Puts other content into a schedule: all of it.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoSchedule`].
    pub async fn update_schedule(&self, new: NewSchedule) -> Result<Arc<Schedule>, ChangeError> {
        self.change_schedules(move |batch| {
            let Some(there) = schedules(batch).schedule(&new.path) else {
                return Ok(Err(ScheduleRefusal::NoSchedule));
            };
            let timing = new.timing(Some(there));
            let schedule = Schedule {
                content: new.content,
                modified_ms: new.at_ms,
                timing,
                ..(**there).clone()
            };
            put_schedule(batch, schedule).map(Ok)
        })
        .await
    }

    /// Deletes a schedule; with an id, only if it is the one of that id.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoSchedule`].
    pub async fn delete_schedule(
        &self,
        path: String,
        only: Option<ScheduleId>,
    ) -> Result<(), ChangeError> {
        self.change_schedules(move |batch| {
            let there = schedules(batch).schedule(&path);
            let there = there.filter(|there| only.is_none_or(|only| only == there.id));
            let Some(there) = there.cloned() else { return Ok(Err(ScheduleRefusal::NoSchedule)) };
            batch.beside(|connection, snapshot| {
                rows::delete_schedule(connection, &there)?;
                snapshot.schedules_mut().schedules.remove(path.as_str());
                Ok(Ok(()))
            })
        })
        .await
    }

    /// Creates a rule, or replaces what is there but for its targets and tags.
    ///
    /// # Errors
    /// [`ScheduleRefusal::TooManyTags`].
    pub async fn put_rule(&self, new: NewRule) -> Result<Arc<Rule>, ChangeError> {
        self.change_schedules(move |batch| {
            let now = whole_second(new.at_ms);
            let started = Timing { anchor_ms: now, since_ms: now };
            let there = schedules(batch).rule(&new.name);
            if there.is_none() && new.tags.len() > MAX_TAGS {
                return Ok(Err(ScheduleRefusal::TooManyTags));
            }
            let timing = match there {
                Some(there) if there.expression == new.expression => {
                    let resumed = !there.enabled && new.enabled;
                    if resumed { Timing { since_ms: now, ..there.timing } } else { there.timing }
                }
                _ => started,
            };
            let rule = Rule {
                id: there.map_or_else(ScheduleId::random, |there| there.id),
                tags: there.map_or(new.tags, |there| there.tags.clone()),
                targets: there.map_or_else(Vec::new, |there| there.targets.clone()),
                name: new.name,
                expression: new.expression,
                description: new.description,
                role: new.role,
                enabled: new.enabled,
                timing,
            };
            put_rule(batch, rule).map(Ok)
        })
        .await
    }

    /// Enables or disables a rule.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoRule`].
    pub async fn enable_rule(
        &self,
        name: String,
        enabled: bool,
        at_ms: u64,
    ) -> Result<(), ChangeError> {
        self.change_rule(name, move |rule| {
            if enabled && !rule.enabled {
                rule.timing.since_ms = whole_second(at_ms);
            }
            rule.enabled = enabled;
            Ok(())
        })
        .await
    }

    /// Changes the targets of a rule.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoRule`], [`ScheduleRefusal::TooManyTargets`].
    pub async fn change_targets(
        &self,
        name: String,
        change: TargetChange,
    ) -> Result<(), ChangeError> {
        self.change_rule(name, move |rule| {
            match change {
                TargetChange::Remove(ids) => rule.targets.retain(|there| !ids.contains(&there.id)),
                TargetChange::Put(targets) => {
                    for mut target in targets {
                        match rule.targets.iter_mut().find(|there| there.id == target.id) {
                            Some(there) => {
                                target.since_ms = there.since_ms;
                                *there = target;
                            }
                            None => rule.targets.push(target),
                        }
                    }
                }
            }
            let fits = rule.targets.len() <= MAX_TARGETS;
            if fits { Ok(()) } else { Err(ScheduleRefusal::TooManyTargets) }
        })
        .await
    }

    /// Gives a rule other tags: all of those that `change` makes of the ones it has.
    ///
    /// # Errors
    /// [`ScheduleRefusal::NoRule`], [`ScheduleRefusal::TooManyTags`].
    pub async fn tag_rule(
        &self,
        name: String,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> Result<(), ChangeError> {
        self.change_rule(name, move |rule| {
            change(&mut rule.tags);
            let fits = rule.tags.len() <= MAX_TAGS;
            if fits { Ok(()) } else { Err(ScheduleRefusal::TooManyTags) }
        })
        .await
    }

    /// Deletes a rule that has no targets; whether there was one.
    ///
    /// # Errors
    /// [`ScheduleRefusal::HasTargets`].
    pub async fn delete_rule(&self, name: String) -> Result<bool, ChangeError> {
        self.change_schedules(move |batch| {
            let Some(there) = schedules(batch).rule(&name).cloned() else { return Ok(Ok(false)) };
            if !there.targets.is_empty() {
                return Ok(Err(ScheduleRefusal::HasTargets));
            }
            batch.beside(|connection, snapshot| {
                rows::delete_rule(connection, &there)?;
                snapshot.schedules_mut().rules.remove(name.as_str());
                Ok(Ok(true))
            })
        })
        .await
    }

    /// A change that one rule alone decides.
    async fn change_rule(
        &self,
        name: String,
        change: impl FnOnce(&mut Rule) -> Result<(), ScheduleRefusal> + Send + 'static,
    ) -> Result<(), ChangeError> {
        self.change_schedules(move |batch| {
            let Some(there) = schedules(batch).rule(&name) else {
                return Ok(Err(ScheduleRefusal::NoRule));
            };
            let mut rule = (**there).clone();
            match change(&mut rule) {
                Ok(()) => put_rule(batch, rule).map(|_| Ok(())),
                Err(refusal) => Ok(Err(refusal)),
            }
        })
        .await
    }

    async fn change_schedules<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Batch<'_>) -> Result<Result<T, ScheduleRefusal>, rusqlite::Error>
        + Send
        + 'static,
    ) -> Result<T, ChangeError> {
        let decide =
            move |batch: &mut Batch<'_>| Ok(decide(batch)?.map_err(|refusal| refusal.into()));
        self.writer().change(decide).await
    }
}

fn schedules<'a>(batch: &'a Batch<'_>) -> &'a Schedules {
    batch.snapshot().schedules()
}

fn put_group(
    batch: &mut Batch<'_>,
    group: ScheduleGroup,
) -> Result<Arc<ScheduleGroup>, rusqlite::Error> {
    let group = Arc::new(group);
    batch.beside(|connection, snapshot| {
        rows::save_group(connection, &group)?;
        snapshot.schedules_mut().groups.insert(Arc::clone(&group));
        Ok(group)
    })
}

fn put_schedule(
    batch: &mut Batch<'_>,
    schedule: Schedule,
) -> Result<Arc<Schedule>, rusqlite::Error> {
    let schedule = Arc::new(schedule);
    batch.beside(|connection, snapshot| {
        rows::save_schedule(connection, &schedule)?;
        snapshot.schedules_mut().schedules.insert(Arc::clone(&schedule));
        Ok(schedule)
    })
}

fn put_rule(batch: &mut Batch<'_>, rule: Rule) -> Result<Arc<Rule>, rusqlite::Error> {
    let rule = Arc::new(rule);
    batch.beside(|connection, snapshot| {
        rows::save_rule(connection, &rule)?;
        snapshot.schedules_mut().rules.insert(Arc::clone(&rule));
        Ok(rule)
    })
}
