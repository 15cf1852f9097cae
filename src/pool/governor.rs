//! What must happen in time, for all instances, in one task.
//!
//! A timer per invocation would cost more than the rest of a warm one's bookkeeping, and so would a
//! REPORT line. Instead an invocation leaves its deadline in its instance and its lines in the
//! instance's journal, and one task looks: a hundredth of a second after something happened, at the
//! next deadline, and every tenth of a second while an event is being served. When nothing happens it
//! sleeps until an idle instance expires.
//!
//! It looks after: deadlines (a stuck function is killed at its own), anonymous memory (after each
//! answer and while running), journals (written in order, in batches), idle expiry, what the machine
//! has left, and the gauges.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dispatch::{Facts, InstanceId};
use telemetry::METRICS;
use telemetry::metrics::InstanceState;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::instance::Instance;
use crate::memory;
use crate::shell::Shell;

/// How long lines and samples may wait: long enough to batch, too short to notice.
const BATCH: Duration = Duration::from_millis(10);
/// How often a running function's memory is looked at.
const WATCH: Duration = Duration::from_millis(100);
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
}

/// Governs until the pool is gone.
pub(crate) async fn govern(shell: Arc<Shell>) {
    let governor = &shell.governor;
    let mut watched = None;
    loop {
        let until = look(&shell, &mut watched);
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
    // What was printed until the end is written, too.
    look(&shell, &mut watched);
    shell.settled.send_replace(true);
}

/// One look at everything; when the next is due at the latest, in the pool's time.
fn look(shell: &Arc<Shell>, watched: &mut Option<Duration>) -> Duration {
    let governor = &shell.governor;
    // Before the list is taken: what is listed later nudges again.
    governor.awake.store(false, Ordering::Release);
    let listed = std::mem::take(&mut *lock(&governor.listed));
    let mut measured = Vec::new();
    for instance in &listed {
        instance.listed.store(false, Ordering::Release);
        measured.extend(instance.measure().map(|bytes| (instance.id, bytes)));
        instance.journal.flush(&*shell.logs, || instance.peak());
    }
    let now = shell.now();
    let watch = watched.is_none_or(|last| now >= last + WATCH);
    let mut until = now + OBSERVE;
    let mut late = Vec::new();
    let mut running = Vec::new();
    let mut used = 0;
    for instance in lock(&governor.roster).iter() {
        used += instance.last();
        match instance.deadline() {
            Some(deadline) if deadline <= now => late.push((Arc::clone(instance), deadline)),
            Some(deadline) => {
                until = until.min(deadline).min(now + WATCH);
                if watch {
                    running.push(Arc::clone(instance));
                }
            }
            // Initialising is running, too; its limit is kept by the task that starts it.
            None if !instance.has_initialised() => {
                until = until.min(now + WATCH);
                if watch {
                    running.push(Arc::clone(instance));
                }
            }
            None => {}
        }
    }
    for (instance, deadline) in late {
        instance.expire(deadline);
    }
    for instance in running {
        measured.extend(instance.measure().map(|bytes| (instance.id, bytes)));
    }
    let mut facts = None;
    if watch {
        *watched = Some(now);
        match memory::available() {
            Ok(available) => facts = Some(Facts { used, available }),
            Err(err) => tracing::warn!(%err, "the machine does not say what memory it has left"),
        }
    }
    let expiry = shell.tend(&measured, facts);
    expiry.map_or(until, |expiry| until.min(expiry.max(now + BATCH)))
}

/// Sets the gauges from what dispatching counts.
pub(crate) fn show(stats: dispatch::Stats) {
    let instances = &METRICS.instances;
    instances.of(InstanceState::Starting).set(stats.starting.into());
    instances.of(InstanceState::Idle).set(stats.idle.into());
    instances.of(InstanceState::Busy).set(stats.busy.into());
    instances.of(InstanceState::Ending).set(stats.ending.into());
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
