//! The task that looks at the clock and hands over what is due.
//!
//! ```text
//!   store ── everything, at start ──► Agenda ── due ──► render ──► hand over (many at once)
//!   API   ── what has changed ───────►  ▲                              │
//!                                       └────────── what became of it ─┘
//! ```
//!
//! All decisions are the [`Agenda`]'s. What the API changes it changes in the store, and then says the
//! name here; the store is read again, so that the order in which names arrive does not matter.
//!
//! The clock is the wall's, because schedules are about it. Nothing tells a program that a wall clock
//! was set, so it is looked at every few seconds while anything waits, and not at all while nothing
//! does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Home;
use model::schedule::{Rule, Schedule};
use store::events::Mark;
use store::{ChangeError, Refusal, ScheduleRefusal, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::agenda::{Agenda, Due, Fate, Name, Next};
use crate::event::{self, Run};
use crate::hand_over::{Firing, HandOver, Handed, NotHanded};
use crate::plan::{self, Work};

/// Events that are being handed over at once at most. One commit takes many of them.
const AT_ONCE: usize = 256;

/// How often the clock is looked at while something waits.
const LOOK: Duration = Duration::from_secs(5);

/// What time it is.
pub trait Clock: Send + Sync {
    /// Milliseconds since the epoch, by the wall.
    fn now_ms(&self) -> i64;
}

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

/// What the engine works with.
pub struct Parts {
    /// What runs.
    pub store: Arc<Store>,
    /// Who takes events.
    pub hand_over: Arc<dyn HandOver>,
    /// Whose schedules they are.
    pub home: Home,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How often that is asked while something waits; tests ask more often.
    pub look: Duration,
}

/// The way to the engine, for whoever changes what runs. Without one, the engine stops.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::UnboundedSender<Changed>);

/// What has changed in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// A schedule, `<group>/<name>`.
    Schedule(String),
    /// A group was deleted.
    Group(String),
    /// A rule, or its targets.
    Rule(String),
}

/// The task.
struct Engine {
    parts: Parts,
    changes: mpsc::UnboundedReceiver<Changed>,
    agenda: Agenda<Work>,
    /// How far each has got, by the key of its mark.
    taken: HashMap<String, i64>,
    /// The key of everything there is, enabled or not.
    known: BTreeMap<Name, String>,
    running: JoinSet<Finished>,
}

/// A run that was tried.
struct Finished {
    due: Due<Work>,
    result: Result<Handed, NotHanded>,
}

// === impl WallClock ===

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

// === impl Parts ===

impl Parts {
    /// The usual.
    pub fn new(store: Arc<Store>, hand_over: Arc<dyn HandOver>, home: Home) -> Self {
        Self { store, hand_over, home, clock: Arc::new(WallClock), look: LOOK }
    }
}

// === impl Handle ===

impl Handle {
    /// A handle of nothing, and what is said to it: for whoever has no engine.
    pub fn detached() -> (Self, mpsc::UnboundedReceiver<Changed>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Says that something in the store is not as it was.
    pub fn changed(&self, what: Changed) {
        // An engine that has stopped needs to know nothing.
        let _ = self.0.send(what);
    }
}

/// Starts the engine: it ends when every handle is gone and what was being handed over is.
///
/// # Errors
/// If nobody knows how far schedules had got.
pub async fn start(parts: Parts) -> Result<(Handle, impl Future<Output = ()> + Send), NotHanded> {
    let taken = parts.hand_over.marks().await?;
    let (handle, changes) = Handle::detached();
    let (agenda, known) = (Agenda::new(), BTreeMap::new());
    let engine = Engine { parts, changes, agenda, taken, known, running: JoinSet::new() };
    Ok((handle, engine.run()))
}

// === impl Engine ===

impl Engine {
    async fn run(mut self) {
        self.enter_everything().await;
        loop {
            self.begin_what_is_due();
            let pause = self.pause();
            tokio::select! {
                changed = self.changes.recv() => match changed {
                    Some(changed) => self.enter_again(changed).await,
                    None => break,
                },
                Some(finished) = self.running.join_next() => self.end(finished).await,
                () = pause => {}
            }
        }
        while let Some(finished) = self.running.join_next().await {
            self.end(finished).await;
        }
    }

    /// Until something may be due, or for ever if only a change or an end can make it so.
    fn pause(&self) -> impl Future<Output = ()> + use<> {
        let full = self.running.len() >= AT_ONCE;
        let pause = self.agenda.next_ms().filter(|_| !full).map(|next| {
            let left = next.saturating_sub(self.parts.clock.now_ms()).max(0).unsigned_abs();
            Duration::from_millis(left).min(self.parts.look)
        });
        async move {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        }
    }

    fn begin_what_is_due(&mut self) {
        let room = AT_ONCE - self.running.len();
        for due in self.agenda.due(self.parts.clock.now_ms(), room) {
            self.begin(due);
        }
    }

    fn begin(&mut self, due: Due<Work>) {
        if due.missed {
            let (name, instant_ms) = (&due.name, due.instant_ms);
            tracing::warn!(
                ?name,
                instant_ms,
                "runs were missed; the latest stands for all of them"
            );
        }
        let firing = if due.lapsed { None } else { self.firing(&due) };
        let hand_over = Arc::clone(&self.parts.hand_over);
        self.running.spawn(async move {
            let result = match firing {
                Some(firing) => hand_over.hand_over(firing).await,
                None => Err(NotHanded::NoFunction),
            };
            Finished { due, result }
        });
    }

    /// What is to be handed over; `None` for a target that is no function's ARN, which the API does not
    /// let in.
    fn firing(&self, due: &Due<Work>) -> Option<Firing> {
        let id = model::RequestId::random();
        let run = Run { instant_ms: due.instant_ms, id, attempt: due.attempts + 1 };
        let (function, qualifier) = plan::function(due.what.arn())?;
        let payload = match &due.what {
            Work::Schedule(schedule) => event::of_schedule(&self.parts.home, schedule, run),
            Work::Target(rule, target) => event::of_rule(&self.parts.home, rule, target, run),
        };
        let mark = Mark { key: due.what.key(), instant_ms: due.instant_ms };
        Some(Firing { id, function, qualifier, payload, mark })
    }

    async fn end(&mut self, finished: Result<Finished, tokio::task::JoinError>) {
        let Finished { due, result } = match finished {
            Ok(finished) => finished,
            Err(err) => {
                // Its schedule stays busy until it is changed or the daemon starts again.
                tracing::error!(%err, "handing a scheduled event over did not finish");
                return;
            }
        };
        let fate = match &result {
            Ok(_) => {
                let key = due.what.key();
                // Of what was deleted meanwhile nothing has to be known.
                if self.known.get(&due.name) == Some(&key) {
                    self.taken.insert(key, due.instant_ms);
                }
                Fate::Over
            }
            Err(NotHanded::NoFunction) => Fate::Over,
            Err(NotHanded::Later { .. }) => Fate::Failed,
        };
        let now_ms = self.parts.clock.now_ms();
        let next = self.agenda.finish(&due.name, due.instant_ms, fate, now_ms);
        self.tell(&due, &result, next);
        if next == Next::Ended
            && let Work::Schedule(schedule) = &due.what
        {
            self.complete(schedule).await;
        }
    }

    /// Log lines about what did not go well.
    fn tell(&self, due: &Due<Work>, result: &Result<Handed, NotHanded>, next: Next) {
        let (name, instant_ms) = (&due.name, due.instant_ms);
        match (result, next) {
            (Ok(_), _) => tracing::debug!(?name, instant_ms, "a scheduled event was handed over"),
            _ if due.lapsed => {
                tracing::warn!(?name, instant_ms, "a run was missed and is too old to be made up");
            }
            (Err(err), Next::GivenUp) => {
                tracing::error!(?name, instant_ms, %err, "a scheduled event was given up");
            }
            (Err(err), _) => {
                tracing::warn!(?name, instant_ms, %err, "a scheduled event was not handed over");
            }
        }
    }

    /// Deletes a schedule that will never run again, if that is what it says.
    async fn complete(&mut self, schedule: &Schedule) {
        if !schedule.content.delete_after {
            return;
        }
        let deleted =
            self.parts.store.delete_schedule(schedule.path.clone(), Some(schedule.id)).await;
        match deleted {
            Ok(()) => {
                let name = Name::Schedule(schedule.path.clone());
                self.agenda.remove(&name);
                let key = self.known.remove(&name);
                self.forget(key.into_iter().collect());
            }
            // Somebody was faster.
            Err(ChangeError::Refused(Refusal::Schedule(ScheduleRefusal::NoSchedule))) => {}
            Err(err) => {
                // The next start finds that it has run.
                tracing::error!(%err, path = %schedule.path, "a finished schedule was not deleted");
            }
        }
    }

    async fn enter_everything(&mut self) {
        let snapshot = Arc::clone(&self.parts.store.snapshot());
        let there = snapshot.schedules();
        for schedule in there.schedules(None) {
            self.enter_schedule(schedule).await;
        }
        for rule in there.rules(None) {
            self.enter_rule(rule);
        }
        let owned: BTreeSet<&String> = self.known.values().collect();
        let gone: Vec<String> =
            self.taken.keys().filter(|key| !owned.contains(key)).cloned().collect();
        self.forget(gone);
    }

    async fn enter_again(&mut self, changed: Changed) {
        let snapshot = Arc::clone(&self.parts.store.snapshot());
        let there = snapshot.schedules();
        let schedule = |text: String| Name::Schedule(text);
        let target = |rule: String| Name::Target(rule, String::new());
        match changed {
            // The smallest text after another is that text with a zero byte behind it.
            Changed::Schedule(path) => {
                let before = self.leave(&schedule(path.clone()), &schedule(format!("{path}\0")));
                if let Some(schedule) = there.schedule(&path) {
                    self.enter_schedule(schedule).await;
                }
                self.forget_all_but_known(before);
            }
            // `0` follows `/`.
            Changed::Group(name) => {
                let all = (schedule(format!("{name}/")), schedule(format!("{name}0")));
                let before = self.leave(&all.0, &all.1);
                // It may have been made anew meanwhile.
                for schedule in there.in_group(&name) {
                    self.enter_schedule(schedule).await;
                }
                self.forget_all_but_known(before);
            }
            Changed::Rule(name) => {
                let before = self.leave(&target(name.clone()), &target(format!("{name}\0")));
                if let Some(rule) = there.rule(&name) {
                    self.enter_rule(rule);
                }
                self.forget_all_but_known(before);
            }
        }
    }

    /// Takes everything between two names out; gives back what it was.
    fn leave(&mut self, from: &Name, to: &Name) -> Vec<(Name, String)> {
        let names: Vec<Name> = self.known.range(from..to).map(|(name, _)| name.clone()).collect();
        let leave = |name: Name| {
            self.agenda.remove(&name);
            self.known.remove(&name).map(|key| (name, key))
        };
        names.into_iter().filter_map(leave).collect()
    }

    /// Forgets how far those had got that are gone, or others by now.
    fn forget_all_but_known(&mut self, before: Vec<(Name, String)>) {
        let gone = before.into_iter().filter(|(name, key)| self.known.get(name) != Some(key));
        let keys: Vec<String> = gone.map(|(_, key)| key).collect();
        self.forget(keys);
    }

    fn forget(&mut self, mut keys: Vec<String>) {
        keys.retain(|key| self.taken.remove(key).is_some());
        if !keys.is_empty() {
            let hand_over = Arc::clone(&self.parts.hand_over);
            tokio::spawn(async move { hand_over.forget(keys).await });
        }
    }

    async fn enter_schedule(&mut self, schedule: &Arc<Schedule>) {
        let name = Name::Schedule(schedule.path.clone());
        self.known.insert(name.clone(), Work::Schedule(Arc::clone(schedule)).key());
        let Some(plan) = plan::of_schedule(schedule) else {
            if schedule.content.enabled {
                // Taken when it was made: the host has lost a time zone since.
                tracing::error!(path = %schedule.path, "a schedule cannot be understood any more");
            }
            return;
        };
        let taken = self.taken.get(&plan.what.key()).copied();
        let has_ended = plan.recurrence.next(taken.unwrap_or(i64::MIN)).is_none();
        if taken.is_some() && has_ended {
            // It had run, and this process ended before it could say so.
            self.complete(schedule).await;
            return;
        }
        self.agenda.put(name, plan, taken);
    }

    fn enter_rule(&mut self, rule: &Arc<Rule>) {
        for target in &rule.targets {
            let name = Name::Target(rule.name.clone(), target.id.clone());
            let key = Work::Target(Arc::clone(rule), target.clone()).key();
            let taken = self.taken.get(&key).copied();
            self.known.insert(name.clone(), key);
            if let Some(plan) = plan::of_target(rule, target) {
                self.agenda.put(name, plan, taken);
            }
        }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("home", &self.home).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
