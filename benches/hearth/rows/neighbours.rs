//! A well-behaved function beside those that want everything for themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::client::{Connection, Shot};
use crate::daemon::Daemon;
use crate::functions::{BODY, ECHO};
use crate::lab::Lab;
use crate::report::{Figure, Finding, Target, percentile, percentiles, sorted};

/// Quiet and loud, in turns.
const ROUNDS: usize = 4;
/// One quiet turn's calls.
const CALLS: usize = 2_000;
/// One loud turn: as long as the hostile ones are at it.
const LOUD: Duration = Duration::from_secs(3);
/// One beside a single one of them.
const ALONE: Duration = Duration::from_secs(1);
/// Until they are at it.
const BEGUN: Duration = Duration::from_millis(500);
/// Calls before anything counts.
const WARM_UP: usize = 200;

/// What the soak of neighbours runs for a minute, as far as each ends by itself.
const HOSTILE: [(&str, &str); 6] = [
    ("memory", include_str!("../../../tests/it/functions/hostile/memory.py")),
    ("forks", include_str!("../../../tests/it/functions/hostile/forks.py")),
    ("threads", include_str!("../../../tests/it/functions/hostile/threads.py")),
    ("output", include_str!("../../../tests/it/functions/hostile/output.py")),
    ("kernel", include_str!("../../../tests/it/functions/hostile/kernel.py")),
    ("files", include_str!("../../../tests/it/functions/hostile/files.py")),
];

/// Row `neighbour`: beside all of them, and, for whoever wants to know whose doing it is, beside each.
pub fn beside_hostile_ones(lab: &Lab) -> Result<Finding> {
    let daemon = lab.another("neighbour", "")?;
    let shot = daemon.python("bench-neighbour", ECHO)?;
    let (all, alone) = (hostile(&daemon, LOUD)?, hostile(&daemon, ALONE)?);
    let mut connection = Connection::open(daemon.http)?;
    for _ in 0..WARM_UP {
        connection.fire(&shot)?;
    }
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..CALLS {
            quiet.push(call(&mut connection, &shot)?);
        }
        loud.extend(beside(&mut connection, &shot, &all, LOUD)?);
    }
    let mut each = Vec::new();
    for ((name, _), one) in HOSTILE.iter().zip(&alone) {
        let beside = sorted(beside(&mut connection, &shot, std::slice::from_ref(one), ALONE)?);
        each.push((name, percentile(&beside, 0.99), beside.len()));
    }
    daemon.stop()?;
    ensure!(loud.len() > ROUNDS * 10, "only {} calls beside hostile ones", loud.len());
    let longest = loud.iter().max().map_or(0.0, |took| took.as_secs_f64() * 1e3);
    let samples = loud.len();
    let mut figures = percentiles(loud, quiet, [None, Some(Target::AtMost(2.0))]);
    let floor = figures[1].floor;
    figures.push(Figure::new("longest", (longest, None), "ms", None, samples));
    figures.extend(each.into_iter().map(|(name, p99, samples)| {
        Figure::new(format!("p99, {name} alone"), (p99, floor), "µs", None, samples)
    }));
    Ok(figures.into())
}

/// The hostile functions, and the calls that set them on for so long.
fn hostile(daemon: &Daemon, time: Duration) -> Result<Vec<Shot>> {
    let one = |(name, source): &(&str, &str)| {
        let name = format!("bench-{name}-{}", time.as_secs());
        daemon.python(&name, source)?;
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let event = format!("{{\"seconds\":{}}}", (BEGUN + time).as_secs_f64());
        // Good for five minutes, and all of this takes half of one.
        daemon.signed("POST", &path, event.as_bytes())
    };
    HOSTILE.iter().map(one).collect()
}

/// Calls for as long as these are at it.
fn beside(
    connection: &mut Connection,
    shot: &Shot,
    hostile: &[Shot],
    time: Duration,
) -> Result<Vec<Duration>> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for hostile in hostile {
            scope.spawn(|| repeat(hostile, &over));
        }
        thread::sleep(BEGUN);
        let (mut samples, end) = (Vec::new(), Instant::now() + time);
        let mut measured = Ok(());
        while measured.is_ok() && Instant::now() < end {
            measured = call(connection, shot).map(|took| samples.push(took));
        }
        over.store(true, Ordering::Relaxed);
        measured.map(|()| samples)
    })
}

fn call(connection: &mut Connection, shot: &Shot) -> Result<Duration> {
    let (took, body) = connection.fire(shot)?;
    ensure!(body == BODY, "the neighbour answered {}", String::from_utf8_lossy(body));
    Ok(took)
}

/// Calls a hostile function until it is enough. That it fails is the point.
fn repeat(shot: &Shot, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let _failed = Connection::open(shot.address).and_then(|mut it| it.fire(shot).map(drop));
    }
}
