//! A well-behaved function beside those that want everything for themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::client::{Connection, Shot};
use crate::daemon::Bench;
use crate::report::{Measured, Target, percentile};
use crate::rows::BODY;

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

/// Each goes on for about five seconds, unless it is ended before.
const HOSTILE: [(&str, &str); 3] = [
    // More threads that never rest than the machine has cores.
    (
        "bench-spin",
        "import os, threading, time\n\
         def handler(event, context):\n\
         \x20   end = time.monotonic() + 5\n\
         \x20   for _ in range(4):\n\
         \x20       if os.fork() == 0:\n\
         \x20           def spin():\n\
         \x20               while time.monotonic() < end: pass\n\
         \x20           threads = [threading.Thread(target=spin) for _ in range(16)]\n\
         \x20           [t.start() for t in threads]; [t.join() for t in threads]\n\
         \x20           os._exit(0)\n\
         \x20   while time.monotonic() < end: pass\n\
         \x20   return {'statusCode': 200, 'body': ''}\n",
    ),
    // As many processes as it gets, and each is replaced when it ends.
    (
        "bench-fork",
        "import os, time\n\
         def handler(event, context):\n\
         \x20   end = time.monotonic() + 5\n\
         \x20   while time.monotonic() < end:\n\
         \x20       try:\n\
         \x20           if os.fork() == 0:\n\
         \x20               time.sleep(0.05); os._exit(0)\n\
         \x20           os.waitpid(-1, os.WNOHANG)\n\
         \x20       except OSError: pass\n\
         \x20   return {'statusCode': 200, 'body': ''}\n",
    ),
    // More memory than it may have, again and again in new sandboxes.
    (
        "bench-hoard",
        "def handler(event, context):\n\
         \x20   hoard = []\n\
         \x20   while True: hoard.append(bytearray(1 << 24))\n",
    ),
];

/// Row `neighbour`.
pub fn beside_hostile_ones(bench: &Bench) -> Result<Vec<Measured>> {
    let url = bench.python_function("bench-neighbour")?;
    let shot = Shot::post(bench.http, &url, &[], BODY);
    let hostile = HOSTILE
        .iter()
        .map(|(name, source)| {
            let url = bench.python_function_of(name, source)?;
            Ok(Shot::post(bench.http, &url, &[], BODY))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut connection = Connection::open(bench.http)?;
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
    quiet.sort_unstable();
    loud.sort_unstable();
    let samples = loud.len();
    ensure!(samples > ROUNDS * 10, "only {samples} calls beside hostile ones came through");
    let rows = [("p50", 0.5, Target::Shown), ("p99", 0.99, Target::AtMost(2.0))];
    let rows = rows.map(|(what, share, target)| Measured {
        what,
        figure: percentile(&loud, share),
        floor: Some(percentile(&quiet, share)),
        unit: "µs",
        target,
        samples,
    });
    Ok(rows.into())
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
    ensure!(body == BODY, "the neighbour answered {}", String::from_utf8_lossy(&body));
    Ok(took)
}

/// Calls a hostile function until it is enough. That it fails is the point.
fn repeat(shot: &Shot, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let _failed = Connection::open(shot.address).and_then(|mut it| it.fire(shot).map(drop));
    }
}
