//! Cells without a daemon: the real spawner, asked by the harness of its own tests.
//!
//! *Made* is from the request to the answer: leaves, mounts, identity, every wall, the runner running
//! behind them, the listener. *Ended* likewise: everything killed, reaped and removed. Nothing else is
//! asked of the spawner meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::kernel::Meter;
use crate::lab::Lab;
use crate::processes;
use crate::report::{Figure, Finding, Target, percentiles};
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
pub fn make(lab: &Lab) -> Result<Finding> {
    let (ours, floor) = turns(lab)?.iter().map(|turn| (turn.made, turn.floor)).unzip();
    Ok(percentiles(ours, floor, [Some(Target::AtMost(4.0)), None]).into())
}

/// Row `cell-end`.
pub fn end(lab: &Lab) -> Result<Finding> {
    let (ours, floor) = turns(lab)?.iter().map(|turn| (turn.ended, turn.floor)).unzip();
    Ok(percentiles(ours, floor, [Some(Target::AtMost(1.0)), None]).into())
}

/// Row `seccomp-load`.
pub fn filter(lab: &Lab) -> Result<Finding> {
    let mut meter = Meter::start("load-filter")?;
    for _ in 0..WARM_UP {
        meter.measure()?;
    }
    let samples = (0..lab.much(CELLS, CELLS / 3)).map(|_| meter.measure());
    let samples = samples.collect::<Result<Vec<_>>>()?;
    Ok(percentiles(samples, Vec::new(), [Some(Target::Within(LOAD)), None]).into())
}

/// Row `spawner-rss`.
pub fn resident(_: &Lab) -> Result<Finding> {
    let mut spawner = World::new().start(LIVING as u32);
    let _living: Vec<Cell> = (0..LIVING).map(|_| spawner.make()).collect();
    let inner = spawner.inner_pid();
    let maker = *children_of(inner).first().context("the maker lives")?;
    let processes = [("spawner", inner), ("outer", spawner.pid()), ("maker", maker)];
    let figures = processes.map(|(what, pid)| {
        let figure = (processes::resident_kib(pid)? as f64, None);
        Ok(Figure::new(what, figure, "KiB", Some(Target::Within(RESIDENT)), LIVING))
    });
    Ok(figures.into_iter().collect::<Result<Vec<_>>>()?.into())
}

fn turns(lab: &Lab) -> Result<Vec<Turn>> {
    let mut meter = Meter::start("floor-namespaces")?;
    let mut spawner = World::new().start(2);
    for _ in 0..WARM_UP {
        turn(&mut spawner, &mut meter)?;
    }
    (0..lab.much(CELLS, CELLS / 3)).map(|_| turn(&mut spawner, &mut meter)).collect()
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
