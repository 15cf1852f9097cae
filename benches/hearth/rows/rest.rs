//! What a daemon does while nobody wants anything of it, and how long it takes until one can.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{cold, filler};
use crate::daemon::Daemon;
use crate::functions::{ECHO, REST};
use crate::lab::Lab;
use crate::processes;
use crate::report::{Figure, Finding, Target};

/// Instances that wait.
const IDLE: usize = 100;
/// What follows a start is over by then.
const SETTLED: Duration = Duration::from_secs(5);
/// How long nothing happens.
const WATCHED: Duration = Duration::from_secs(60);
/// Functions that are stored.
const STORED: usize = 1_000;
/// Milliseconds until a daemon with these serves.
const STARTED: f64 = 300.0;

/// Row `idle`.
pub fn idle(lab: &Lab) -> Result<Finding> {
    let daemon = lab.another("idle", "")?;
    let shot = daemon.python_with("bench-idle", REST, 128)?;
    daemon.fill(&shot, IDLE)?;
    cold::refilled(&daemon, None)?;
    thread::sleep(SETTLED);
    let count = daemon.metrics()?.idle();
    let before = used(&daemon)?;
    let begun = Instant::now();
    thread::sleep(lab.much(WATCHED, WATCHED / 6));
    let (after, time) = (used(&daemon)?, begun.elapsed().as_secs_f64());
    daemon.stop()?;
    let share =
        |index: usize| after[index].saturating_sub(before[index]).as_secs_f64() / time * 100.0;
    Ok(vec![
        Figure::new(
            "our own processes",
            (share(0), None),
            "% of a core",
            Some(Target::Within(0.2)),
            count,
        ),
        Figure::new("the control plane", (share(1), None), "% of a core", None, count),
        Figure::new("the sandboxes", (share(2), None), "% of a core", None, count),
    ]
    .into())
}

/// Processor time of our own processes, of the control plane among them, and of the sandboxes.
fn used(daemon: &Daemon) -> Result<[Duration; 3]> {
    let processes = daemon.processes()?;
    let (inside, ours): (Vec<_>, Vec<_>) = processes.iter().partition(|process| process.inside);
    let sum = |of: Vec<&processes::Process>| of.iter().map(|it| processes::cpu(it.pid)).sum();
    Ok([sum(ours), processes::cpu(daemon.pid()), sum(inside)])
}

/// Row `start`.
pub fn start(lab: &Lab) -> Result<Finding> {
    let daemon = lab.another("start", "")?;
    daemon.python("bench-start", ECHO)?;
    let folder = daemon.folder.clone();
    daemon.stop()?;
    filler::fill(&folder.join("data"), "bench-start", STORED - 1, 0)?;
    let mut took = Vec::new();
    for _ in 0..lab.much(9, 3) {
        let daemon = Daemon::start(&folder, "")?;
        took.push(daemon.started_in.as_secs_f64() * 1e3);
        daemon.stop()?;
    }
    took.sort_by(f64::total_cmp);
    let n = took.len();
    Ok(vec![
        Figure::new("p50", (took[n / 2], None), "ms", Some(Target::Within(STARTED)), n),
        Figure::new("worst", (took[n - 1], None), "ms", None, n),
    ]
    .into())
}
