//! Many sandboxes at once: what each takes, and how many there can be.
//!
//! What an instance takes is what the processes in its sandbox do, and its part of what our own processes
//! have grown by. Sandboxes that stand ready without a function's code are not counted: there are more
//! of them after a burst than before.

use anyhow::{Context, Result, ensure};

use super::cold;
use crate::daemon::Daemon;
use crate::functions::REST;
use crate::lab::Lab;
use crate::metrics::between;
use crate::processes;
use crate::report::{Figure, Finding, Target};

/// Over how many instances memory is taken.
const COUNTED: usize = 200;
/// Instances that are to stay up on a budget.
const KEPT: usize = 1_000;
/// That budget, MiB.
const BUDGET: u64 = 4_096;
/// Sandboxes that are to live at once.
const ALIVE: usize = 3_000;
/// Descriptors that one of our processes may have then.
const DESCRIPTORS: f64 = 20_000.0;
/// Instances that are asked for at the same moment on a budget: what is not measured yet is estimated, so
/// that many more would be refused.
const AT_ONCE: usize = 50;
/// Where so many are refused, there is no room.
const FEW: usize = 5;
/// The same where there is no budget.
const MANY_AT_ONCE: usize = 200;
/// KiB in a MiB.
const MIB: f64 = 1024.0;

/// Row `density`.
pub fn density(lab: &Lab) -> Result<Finding> {
    let available = processes::available_mib()?;
    let reserve = available.checked_sub(BUDGET).context("this machine has not 4 GiB to give")?;
    let config = format!(
        "max_instances = {}\naccount_concurrency = {}\nmemory_reserve_mib = {reserve}\n",
        KEPT + 200,
        KEPT + 200
    );
    let daemon = lab.another("density", &config)?;
    // What only the first instance brings, such as a file that is read for the first time, is not
    // every instance's.
    populate(&daemon, "bench-first", 1, 1)?;
    cold::refilled(&daemon, None)?;
    let starts = daemon.metrics()?.starts();
    let (before, free) = (taken(&daemon)?, processes::available_mib()?);
    let (idle, words) = populate(&daemon, "bench-dense", COUNTED, AT_ONCE)?;
    ensure!(idle >= COUNTED, "of {COUNTED} instances there are {idle}: {words:?}");
    cold::refilled(&daemon, None)?;
    let (after, left) = (taken(&daemon)?, processes::available_mib()?);
    let starts = between(&starts, &daemon.metrics()?.starts());
    let each = after.saturating_sub(before) as f64 / MIB / idle as f64;
    let of_machine = free.saturating_sub(left) as f64 / idle as f64;
    let (more, words) = populate(&daemon, "bench-kept", KEPT - idle - 1, AT_ONCE)?;
    let kept = idle + 1 + more;
    if let Some(words) = words {
        eprintln!("density: at {kept} instances the daemon said: {words}");
    }
    daemon.stop()?;
    let figures = vec![
        Figure::new("each", (each, None), "MiB", Some(Target::Within(2.5)), idle),
        Figure::new("each, of what the machine has left", (of_machine, None), "MiB", None, idle),
        Figure::new(
            "on 4 GiB",
            (kept as f64, None),
            "instances",
            Some(Target::NotBelow(KEPT as f64)),
            1,
        ),
    ];
    Ok(Finding { figures, starts, something_else: None })
}

/// Row `alive`.
pub fn alive(lab: &Lab) -> Result<Finding> {
    let config =
        format!("max_instances = {}\naccount_concurrency = {}\n", ALIVE + 200, ALIVE + 200);
    let daemon = lab.another("alive", &config)?;
    let starts = daemon.metrics()?.starts();
    let before = taken(&daemon)?;
    let (alive, words) = populate(&daemon, "bench-alive", ALIVE, MANY_AT_ONCE)?;
    let starts = between(&starts, &daemon.metrics()?.starts());
    if let Some(words) = words {
        eprintln!("alive: at {alive} instances the daemon said: {words}");
    }
    let (processes, taken) = (daemon.processes()?, taken(&daemon)?);
    let all = processes::sum(&processes).pss_kib as f64;
    let ours: Vec<_> = processes.iter().filter(|process| !process.inside).collect();
    let mut open = 0;
    for process in &ours {
        open = open.max(processes::descriptors(process.pid)?);
    }
    let control_plane = processes::resident_kib(daemon.pid())? as f64;
    let ours = processes::sum(ours);
    daemon.stop()?;
    let n = alive.max(1) as f64;
    let target = Some(Target::NotBelow(ALIVE as f64));
    let each = taken.saturating_sub(before) as f64 / MIB / n;
    let figures = vec![
        Figure::new("at once", (alive as f64, None), "instances", target, 1),
        Figure::new(
            "descriptors",
            (open as f64, None),
            "open",
            Some(Target::Within(DESCRIPTORS)),
            1,
        ),
        Figure::new("descriptors, for each", (open as f64 / n, None), "open", None, alive),
        Figure::new("each", (each, None), "MiB", None, alive),
        Figure::new("all of it", (all / MIB, None), "MiB", None, 1),
        Figure::new("our own processes", (ours.pss_kib as f64 / MIB, None), "MiB", None, 1),
        Figure::new("control plane, resident", (control_plane / MIB, None), "MiB", None, 1),
    ];
    Ok(Finding { figures, starts, something_else: None })
}

/// Makes functions until so many instances more wait than before, or the daemon refuses even a few more;
/// says how many it came to, and what the daemon said.
fn populate(
    daemon: &Daemon,
    kind: &str,
    wanted: usize,
    mut at_once: usize,
) -> Result<(usize, Option<String>)> {
    let before = daemon.metrics()?.idle();
    let (mut reached, mut words) = (0, None);
    // Fewer come of a wave where calls are answered before the last of them has been started.
    for wave in 0..3 * wanted.div_ceil(at_once) {
        let missing = wanted.saturating_sub(reached);
        if missing == 0 {
            return Ok((reached, None));
        }
        let shot = daemon.python_with(&format!("{kind}-{wave}"), REST, 128)?;
        let refused = daemon.fill(&shot, missing.min(at_once))?;
        let then = std::mem::replace(&mut reached, daemon.metrics()?.idle().saturating_sub(before));
        if refused.is_none() && reached > then {
            continue;
        }
        words = refused.or_else(|| Some(format!("{then} were there, then {reached}")));
        // What starts is estimated until it is measured.
        if at_once <= FEW {
            break;
        }
        at_once = (at_once / 2).max(FEW);
    }
    Ok((reached, words))
}

/// Proportional memory of our own processes and of sandboxes that are somebody's, KiB.
fn taken(daemon: &Daemon) -> Result<u64> {
    let processes = daemon.processes()?;
    let counted = processes.iter().filter(|process| !process.inside || process.serves);
    Ok(processes::sum(counted).pss_kib)
}
