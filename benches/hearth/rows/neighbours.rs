//! A well-behaved function beside those that want everything for themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::client::{Connection, Shot};
use crate::functions::{BODY, ECHO};
use crate::lab::Lab;
use crate::report::{Finding, Target, percentiles};

/// Quiet and loud, in turns.
const ROUNDS: usize = 4;
/// One turn's calls, quiet.
const CALLS: usize = 500;
/// One loud turn, at most: as long as the hostile ones go on.
const LOUD: Duration = Duration::from_secs(5);
/// Until the hostile ones are at it.
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

/// Row `neighbour`.
pub fn beside_hostile_ones(lab: &Lab) -> Result<Finding> {
    let daemon = lab.another("neighbour", "")?;
    let shot = daemon.python("bench-neighbour", ECHO)?;
    let hostile = HOSTILE
        .iter()
        .map(|(name, source)| {
            let name = format!("bench-{name}");
            daemon.python(&name, source)?;
            let path = format!("/2015-03-31/functions/{name}/invocations");
            let event = format!("{{\"seconds\":{}}}", LOUD.as_secs());
            // Good for five minutes, and this takes half of one.
            daemon.signed("POST", &path, event.as_bytes())
        })
        .collect::<Result<Vec<_>>>()?;
    let mut connection = Connection::open(daemon.http)?;
    for _ in 0..WARM_UP {
        connection.fire(&shot)?;
    }
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..CALLS {
            quiet.push(call(&mut connection, &shot)?);
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for hostile in &hostile {
                scope.spawn(|| repeat(hostile, &over));
            }
            thread::sleep(BEGUN);
            let measured = loud_turn(&mut connection, &shot, &mut loud);
            over.store(true, Ordering::Relaxed);
            measured
        })?;
    }
    let samples = loud.len();
    ensure!(samples > ROUNDS * 10, "only {samples} calls beside hostile ones came through");
    daemon.stop()?;
    Ok(percentiles(loud, quiet, [None, Some(Target::AtMost(2.0))]).into())
}

fn loud_turn(connection: &mut Connection, shot: &Shot, samples: &mut Vec<Duration>) -> Result<()> {
    let end = Instant::now() + LOUD;
    for _ in 0..CALLS {
        if Instant::now() < end {
            samples.push(call(connection, shot)?);
        }
    }
    Ok(())
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
