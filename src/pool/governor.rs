//! What must happen in time, for all instances, in one task.
//!
//! A timer per invocation would cost more than the rest of a warm one's bookkeeping, and so would a
//! REPORT line. Instead an invocation leaves its deadline in its instance and its lines in the
//! instance's journal, and one task looks: a hundredth of a second after something happened, at the
//! next deadline, every tenth of a second while a function initialises or serves, and every second
//! while there are idle instances that are not frozen. When there are none it sleeps.
//!
//! A look goes from what cannot wait to what can: deadlines (a stuck function is killed at its own),
//! anonymous memory (after each answer, while running, and while idle, because a sandbox runs between
//! its events, too, until it is frozen), then freezing, idle expiry, what the machine has left and the gauges. Lines are only
//! collected here, by taking over what each journal holds; writing them is the scribe's, because how
//! long that takes is up to whoever prints them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dispatch::{Facts, InstanceId};
use telemetry::METRICS;
use telemetry::metrics::InstanceState;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::freezer::Rest;
use crate::instance::Instance;
use crate::memory;
use crate::scribe::{self, Desk, Page};
use crate::shell::Shell;

/// How long lines and samples may wait: long enough to batch, too short to notice.
const BATCH: Duration = Duration::from_millis(10);
/// How often the memory of a function that initialises or serves is looked at.
const WATCH: Duration = Duration::from_millis(100);
/// How often that of an idle instance is looked at. Reading one group's statistics takes 7 µs (Linux
/// 6.18), so a hundred idle instances cost less than a thousandth of a core.
pub(crate) const IDLE_WATCH: Duration = Duration::from_secs(1);
/// Most idle instances that are looked at in one go, those first that were not for the longest time: a
/// thousandth of a second, during which nothing else is looked after. Where there are more, each has
/// its turn later, and is looked at in any case before its next event is delivered.
const IDLE_READS: usize = 128;
/// Most instances that are frozen in one go. Freezing one takes 6 to 31 µs (Linux 6.18).
const FREEZES: usize = 64;
/// How often the machine is looked at while nothing happens.
const OBSERVE: Duration = Duration::from_secs(5);

/// What others tell the governor.
#[derive(Debug, Default)]
pub(crate) struct Governor {
    /// Instances something has happened to since the last look.
    listed: Mutex<Vec<Arc<Instance>>>,
    /// Every instance from its making until its cell is gone.
    roster: Mutex<Vec<Arc<Instance>>>,
    /// Whether a look is due soon anyway.
    awake: AtomicBool,
    nudged: Notify,
}

/// When what is done at intervals was last done, in the pool's time.
#[derive(Debug, Default)]
struct Rounds {
    watch: Option<Duration>,
    idle: Option<Duration>,
}

/// What a walk over all instances found.
#[derive(Debug)]
struct Found {
    /// Those whose deadline has passed, with that deadline.
    late: Vec<(Arc<Instance>, Duration)>,
    /// Those to be measured now.
    due: Vec<Arc<Instance>>,
    /// Those that have been idle for long enough to be frozen.
    still: Vec<Arc<Instance>>,
    /// How many are frozen.
    frozen: u32,
    /// When to look again at the latest.
    until: Duration,
    /// Anonymous memory of all, bytes.
    used: u64,
}

// === impl Governor ===

impl Governor {
    /// Something happened to an instance: it has lines, or an event, or has answered one.
    pub(crate) fn touch(&self, instance: &Arc<Instance>) {
        if instance.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        lock(&self.listed).push(Arc::clone(instance));
        self.wake();
    }

    /// A look is due.
    pub(crate) fn wake(&self) {
        if !self.awake.swap(true, Ordering::AcqRel) {
            self.nudged.notify_one();
        }
    }

    /// An instance exists.
    pub(crate) fn enlist(&self, instance: Arc<Instance>) {
        lock(&self.roster).push(instance);
    }

    /// Its cell is gone.
    pub(crate) fn dismiss(&self, instance: InstanceId) {
        lock(&self.roster).retain(|other| other.id != instance);
    }

    /// Every instance there is.
    pub(crate) fn everyone(&self) -> Vec<Arc<Instance>> {
        lock(&self.roster).clone()
    }

    /// Walks over all instances, and begins the rounds that are due.
    fn walk(&self, now: Duration, rounds: &mut Rounds) -> Found {
        let due = |last: Option<Duration>, pause| last.is_none_or(|last| now >= last + pause);
        let (watch, idle) = (due(rounds.watch, WATCH), due(rounds.idle, IDLE_WATCH));
        rounds.watch = if watch { Some(now) } else { rounds.watch };
        rounds.idle = if idle { Some(now) } else { rounds.idle };
        let next = |last: Option<Duration>, pause| last.unwrap_or(now) + pause;
        let mut found = Found {
            late: vec![],
            due: vec![],
            still: vec![],
            frozen: 0,
            until: now + OBSERVE,
            used: 0,
        };
        let mut resting = Vec::new();
        for instance in lock(&self.roster).iter() {
            found.used += instance.last();
            match instance.deadline() {
                Some(deadline) if deadline <= now => {
                    found.late.push((Arc::clone(instance), deadline));
                    continue;
                }
                Some(deadline) => found.until = found.until.min(deadline),
                // Initialising is running, too; its limit is kept by the task that starts it.
                None if !instance.has_initialised() => {}
                None if instance.cause().is_some() => continue,
                None => {
                    let rest =
                        if instance.rests() { instance.freezer.look(now) } else { Rest::None };
                    match rest {
                        Rest::Frozen => {
                            found.frozen += 1;
                            continue;
                        }
                        Rest::Due if found.still.len() < FREEZES => {
                            found.still.push(Arc::clone(instance));
                        }
                        Rest::Due => found.until = found.until.min(now + BATCH),
                        Rest::Until(when) => found.until = found.until.min(when),
                        Rest::None => {}
                    }
                    found.until = found.until.min(next(rounds.idle, IDLE_WATCH));
                    if idle {
                        resting.push(Arc::clone(instance));
                    }
                    continue;
                }
            }
            found.until = found.until.min(next(rounds.watch, WATCH));
            if watch {
                found.due.push(Arc::clone(instance));
            }
        }
        if resting.len() > IDLE_READS {
            resting.select_nth_unstable_by_key(IDLE_READS, |instance| instance.looked());
            resting.truncate(IDLE_READS);
        }
        found.due.append(&mut resting);
        found
    }
}

/// Governs until the pool is gone.
pub(crate) async fn govern(shell: Arc<Shell>) {
    let governor = &shell.governor;
    let mut rounds = Rounds::default();
    let (desk, pages) = mpsc::unbounded_channel();
    let scribe = tokio::spawn(scribe::write(Arc::clone(&shell), pages));
    loop {
        let until = look(&shell, &mut rounds, &desk);
        let until = Instant::now() + until.saturating_sub(shell.now());
        tokio::select! {
            () = governor.nudged.notified() => {
                let batch = Instant::now() + BATCH;
                tokio::time::sleep_until(batch.min(until)).await;
            }
            () = tokio::time::sleep_until(until) => {}
            () = shell.stopped.notified() => break,
        }
    }
    // What was printed until the end is written, too; what is still being written comes first.
    drop(desk);
    if let Err(err) = scribe.await {
        tracing::error!(%err, "the task that writes function logs has failed");
    }
    let (desk, pages) = mpsc::unbounded_channel();
    look(&shell, &mut rounds, &desk);
    drop(desk);
    scribe::write(Arc::clone(&shell), pages).await;
    shell.settled.send_replace(true);
}

/// One look at everything; when the next is due at the latest, in the pool's time.
fn look(shell: &Arc<Shell>, rounds: &mut Rounds, desk: &Desk) -> Duration {
    let governor = &shell.governor;
    // Before the list is taken: what is listed later nudges again.
    governor.awake.store(false, Ordering::Release);
    let listed = std::mem::take(&mut *lock(&governor.listed));
    for instance in &listed {
        instance.listed.store(false, Ordering::Release);
    }
    let now = shell.now();
    let watch = rounds.watch.is_none_or(|last| now >= last + WATCH);
    let Found { late, mut due, still, mut frozen, until, used } = governor.walk(now, rounds);
    for (instance, deadline) in late {
        instance.expire(deadline);
    }
    for instance in still {
        if instance.freezer.freeze() {
            frozen += 1;
            // The last look until it runs again.
            due.push(instance);
        }
    }
    let measured: Vec<_> = due
        .iter()
        .chain(&listed)
        .filter_map(|instance| instance.measure(now).map(|bytes| (instance.id, bytes)))
        .collect();
    for instance in listed {
        if let Some(batch) = instance.journal.take() {
            let memory = if batch.has_end() { instance.peak() } else { 0 };
            // The scribe is there as long as we are; if it panicked, that is said at the end.
            let _failed = desk.send(Page { instance, batch, memory });
        }
    }
    let mut facts = None;
    if watch {
        match memory::available() {
            Ok(available) => {
                // What spares hold is given up as soon as it is wanted.
                let held = shell.stock.held();
                facts = Some(Facts { used, available: available.saturating_add(held) });
                shell.stock.observe(available, used);
            }
            Err(err) => tracing::warn!(%err, "the machine does not say what memory it has left"),
        }
    }
    let expiry = shell.tend(&measured, facts);
    show(shell.stats(), frozen);
    expiry.map_or(until, |expiry| until.min(expiry.max(now + BATCH)))
}

/// Sets the gauges from what dispatching counts.
fn show(stats: dispatch::Stats, frozen: u32) {
    let instances = &METRICS.instances;
    instances.of(InstanceState::Starting).set(stats.starting.into());
    // Counted a moment before: one may have been called or ended since.
    instances.of(InstanceState::Idle).set(stats.idle.saturating_sub(frozen).into());
    instances.of(InstanceState::Frozen).set(frozen.min(stats.idle).into());
    instances.of(InstanceState::Busy).set(stats.busy.into());
    METRICS.events_waiting.set(stats.waiting.into());
    instances.of(InstanceState::Ending).set(stats.ending.into());
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
