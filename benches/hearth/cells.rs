//! Cells without a daemon: the real spawner, asked by the harness of its own tests.
//!
//! *Made* is from the request to the answer: leaves, mounts, identity, every wall, the runner running
//! behind them, the listener. *Ended* likewise: everything killed, reaped and removed. Nothing else is
//! asked of the spawner meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::Bench;
use crate::kernel::Meter;
use crate::report::{Measured, Target, percentile, percentiles};
use crate::spawner::harness::{Cell, Spawner, World, children_of};

/// Cells, one after the other.
const CELLS: usize = 300;
/// Before anything counts.
const WARM_UP: usize = 20;
/// The kernel takes namespaces apart after their last user is gone; what one turn leaves is not the
/// next one's.
const REST: Duration = Duration::from_millis(5);
/// Cells that live when the spawner's memory is looked at.
const LIVING: usize = 100;
/// KiB that each of the spawner's processes may have resident.
const RESIDENT: f64 = 4096.0;
/// Microseconds in which the filter is loaded.
const LOAD: f64 = 40.0;

/// What one cell took, and the floor measured beside it.
struct Turn {
    made: Duration,
    ended: Duration,
    floor: Duration,
}

/// Row `cell-make`.
pub fn make(_: &Bench) -> Result<Vec<Measured>> {
    let (ours, floor) = turns()?.iter().map(|turn| (turn.made, turn.floor)).unzip();
    Ok(percentiles(ours, floor, [Target::AtMost(4.0), Target::Shown]))
}

/// Row `cell-end`.
pub fn end(_: &Bench) -> Result<Vec<Measured>> {
    let (ours, floor) = turns()?.iter().map(|turn| (turn.ended, turn.floor)).unzip();
    Ok(percentiles(ours, floor, [Target::AtMost(1.0), Target::Shown]))
}

/// Row `seccomp-load`.
pub fn filter(_: &Bench) -> Result<Vec<Measured>> {
    let mut meter = Meter::start("load-filter")?;
    for _ in 0..WARM_UP {
        meter.measure()?;
    }
    let mut samples = (0..CELLS).map(|_| meter.measure()).collect::<Result<Vec<_>>>()?;
    samples.sort_unstable();
    let measured = [("p50", 0.5, Target::Within(LOAD)), ("p99", 0.99, Target::Shown)];
    let measured = measured.map(|(what, share, target)| Measured {
        what,
        figure: percentile(&samples, share),
        floor: None,
        unit: "µs",
        target,
        samples: CELLS,
    });
    Ok(measured.into())
}

/// Row `spawner-rss`.
pub fn resident(_: &Bench) -> Result<Vec<Measured>> {
    let mut spawner = World::new().start(LIVING as u32);
    let _living: Vec<Cell> = (0..LIVING).map(|_| spawner.make()).collect();
    let inner = spawner.inner_pid();
    let maker = children_of(inner)[0];
    let processes = [("spawner", inner), ("outer", spawner.pid()), ("maker", maker)];
    processes
        .map(|(what, pid)| {
            let (floor, target) = (None, Target::Within(RESIDENT));
            let figure = resident_kib(pid)?;
            Ok(Measured { what, figure, floor, unit: "KiB", target, samples: LIVING })
        })
        .into_iter()
        .collect()
}

fn turns() -> Result<Vec<Turn>> {
    let mut meter = Meter::start("floor-namespaces")?;
    let mut spawner = World::new().start(2);
    for _ in 0..WARM_UP {
        turn(&mut spawner, &mut meter)?;
    }
    (0..CELLS).map(|_| turn(&mut spawner, &mut meter)).collect()
}

fn turn(spawner: &mut Spawner, meter: &mut Meter) -> Result<Turn> {
    std::thread::sleep(REST);
    let floor = meter.measure()?;
    std::thread::sleep(REST);
    let started = Instant::now();
    let cell = spawner.make();
    let made = started.elapsed();
    std::thread::sleep(REST);
    let started = Instant::now();
    let (kills, _) = spawner.end(&cell);
    let ended = started.elapsed();
    ensure!(kills == 0, "an empty cell was killed for its memory");
    Ok(Turn { made, ended, floor })
}

fn resident_kib(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let line = line.context("a living process has a resident size")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
