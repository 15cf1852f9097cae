//! Everybody at once.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::cold;
use crate::client;
use crate::functions::REST;
use crate::kernel::Meter;
use crate::lab::Lab;
use crate::metrics::{Metrics, between};
use crate::report::{Figure, Finding, Starts, Target, percentile, sorted};

/// Calls at the same moment.
const CALLS: usize = 200;
/// What each of them takes in the function.
const SLEPT: Duration = Duration::from_secs(1);
/// Bursts, each of a function that has never run.
const ROUNDS: usize = 5;
/// Namespaces made after each burst.
const FLOORS: usize = 40;
/// The bar on two cores, microseconds.
const BAR: f64 = 400_000.0;

/// Row `burst`.
pub fn burst(lab: &Lab) -> Result<Finding> {
    let config =
        format!("ready_cells = {CALLS}\nmax_instances = {}\nspare_memory_mib = 8192\n", CALLS * 5);
    let daemon = lab.another("burst", &config)?;
    let mut meter = Meter::start("floor-namespaces")?;
    let (mut took, mut floor) = (Vec::new(), Vec::new());
    let mut starts = Starts::new();
    // The first one shows the pool what to hold, a few more than are called, and is not counted.
    let rehearsal = daemon.python_with("bench-rehearsal", REST, 128)?;
    daemon.fill(&rehearsal, CALLS + CALLS / 4)?;
    daemon.delete(["bench-rehearsal"])?;
    let mut something_else = None;
    for round in 0..lab.much(ROUNDS, 1) {
        let name = format!("bench-burst-{round}");
        let shot = daemon.python_with(&name, REST, 128)?;
        let held = |metrics: &Metrics| {
            metrics.labelled("hearth_spares_ready", "python").unwrap_or(0.0) as usize
        };
        if daemon.until("the pool is full", |metrics| held(metrics) >= CALLS).is_err() {
            let held = held(&daemon.metrics()?);
            something_else = Some(format!("the pool holds {held} after a minute, not {CALLS}"));
        }
        let before = daemon.metrics()?.starts();
        let volley = client::volley(&shot, CALLS)?;
        ensure!(volley.refused == 0, "{} of {CALLS} refused: {:?}", volley.refused, volley.words);
        took.push(volley.took.saturating_sub(SLEPT));
        cold::add(&mut starts, between(&before, &daemon.metrics()?.starts()));
        daemon.delete([name])?;
        for _ in 0..FLOORS {
            floor.push(meter.measure()?);
        }
    }
    daemon.stop()?;
    let cores = std::thread::available_parallelism()?.get();
    let allowed = percentile(&sorted(floor), 0.5) * (4 * CALLS) as f64 / cores as f64;
    let (took, rounds) = (sorted(took), lab.much(ROUNDS, 1));
    let median = percentile(&took, 0.5);
    let figures = vec![
        Figure::new("all, p50", (median, None), "µs", Some(Target::Within(BAR)), rounds),
        Figure::new(
            "all, against 800 namespaces ÷ cores",
            (median, Some(allowed)),
            "µs",
            Some(Target::AtMost(1.0)),
            rounds,
        ),
        Figure::new("all, worst", (percentile(&took, 1.0), None), "µs", None, rounds),
    ];
    Ok(Finding { figures, starts, something_else })
}
