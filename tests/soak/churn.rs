//! Thousands of sandboxes, made and ended: nothing grows with their number.
//!
//! Once with cells alone, through the spawner, where thousands take a minute; once with Python
//! functions through a whole daemon. The control plants a leak of one descriptor in every tenth
//! sandbox and must find it: a soak that cannot see a leak shows nothing.

use std::os::fd::OwnedFd;
use std::time::Duration;

use serde_json::{Value, json};

use crate::counters::Watched;
use crate::harness::{Daemon, Function, Home, Options as Start, eventually};
use crate::options::Options;
use crate::series::Series;
use crate::settle::settled;
use crate::spawner::harness::{LIMITS, Spawner, World, children_of};

/// Samples over a run, at least; none is further than this many sandboxes behind the one before.
const SAMPLES: u32 = 10;
const SAMPLE_EVERY: u32 = 500;
/// Cells that stand at any time, as a daemon's pool does.
const STANDING: usize = 4;
/// Spares and cells that a daemon keeps.
const SPARES: u32 = 16;
const CELLS: u32 = 8;
/// Calls before the shelves are full again: fewer than spares, or there would be more of those.
const IN_A_ROW: u32 = 10;
/// Longest time for a daemon to be at rest after a call: it makes one spare after the other, each in a
/// quarter of a second if it is Node's and built for tests.
const AT_REST: Duration = Duration::from_secs(40);

/// Soak `churn`.
pub fn cells_leave_nothing(options: &Options) {
    let series = churn(options.sandboxes, |_| None);
    verdict(&series, options.sandboxes);
}

/// Soak `control`.
pub fn a_planted_leak_is_seen(_: &Options) {
    const ENOUGH: u32 = 500;
    let series = churn(ENOUGH, |number| {
        let null = || std::fs::File::open("/dev/null").expect("it is always there");
        (number % 10 == 0).then(|| null().into())
    });
    let rising: Vec<String> = series.rising().into_iter().map(|line| line.name).collect();
    let planted = rising.iter().any(|name| name == "this test: descriptors");
    assert!(planted, "only these were found: {rising:?}\n{}", series.table());
}

/// Makes, fills and ends so many cells; what `leak` returns for a cell is kept to the end.
fn churn(sandboxes: u32, leak: impl Fn(u32) -> Option<OwnedFd>) -> Series {
    let world = World::new();
    let mut spawner = world.start(16);
    let watched = watched(&spawner);
    let (mut series, mut leaked) = (Series::default(), Vec::new());
    let mut standing: Vec<_> = (0..STANDING).map(|_| spawner.make()).collect();
    let every = (sandboxes / SAMPLES).clamp(1, SAMPLE_EVERY);
    for number in 1..=sandboxes {
        let cell = standing.remove(0);
        spawner.assign(&cell, LIMITS).expect("assigned");
        if number % every == 0 {
            // It stays until it is ended: a cell whose program ends, ends by itself.
            cell.stay(
                "import json, time\n\
                 open('/tmp/x', 'w').write(json.dumps([1]))\n\
                 print('away', flush=True)\n\
                 time.sleep(600)",
            );
        }
        spawner.end(&cell);
        drop(cell);
        standing.push(spawner.make());
        leaked.extend(leak(number));
        if number % every == 0 {
            let counts = settled(&watched, series.first());
            series.push(number, counts);
        }
    }
    series
}

fn watched(spawner: &Spawner) -> Vec<Watched> {
    let inner = spawner.inner_pid();
    let maker = children_of(inner)[0];
    vec![
        Watched { name: "this test", pid: std::process::id() },
        Watched { name: "outer", pid: spawner.pid() },
        Watched { name: "spawner", pid: inner },
        Watched { name: "maker", pid: maker },
    ]
}

/// Soak `functions`: every sandbox answers once, rightly, and is then made to end by its function.
pub fn functions_leave_nothing(options: &Options) {
    const SOURCE: &str = "
        import os
        def handler(event, context):
            if event == 'end':
                os._exit(1)
            return event
        ";
    // More spares than these calls ask for at once: their number follows demand, and would rise with it.
    let config = Some(format!("ready_spares = {SPARES}\n"));
    let daemon = Daemon::start_in(&Home::new(), &Start { config, ..Start::default() });
    let function = Function::python(SOURCE).deploy(&daemon);
    let family = children_of(daemon.spawner);
    let mut watched = vec![
        Watched { name: "control plane", pid: daemon.pid },
        Watched { name: "outer", pid: daemon.spawner },
    ];
    watched.extend(family.first().map(|pid| Watched { name: "spawner", pid: *pid }));
    let mut series = Series::default();
    let every = (options.functions / SAMPLES).max(1);
    for number in 1..=options.functions {
        assert_eq!(function.answer(&json!(number)), json!(number));
        assert!(function.invoke(&json!("end")).error.is_some(), "it ended itself");
        let sampled = number % every == 0;
        if sampled || number % IN_A_ROW == 0 {
            eventually("the shelves are full again", AT_REST, || {
                let metrics = daemon.api("GET", "/metrics", &Value::Null);
                let text = String::from_utf8_lossy(&metrics.body).into_owned();
                let spares = |runtime: &str, count: u32| {
                    text.contains(&format!(
                        "hearth_spares_ready{{runtime=\"{runtime}\"}} {count}\n"
                    ))
                };
                // Where there is no Node, none.
                let full =
                    spares("python", SPARES) && (spares("nodejs", SPARES) || spares("nodejs", 0));
                let cells = text.contains(&format!("hearth_cells_ready {CELLS}\n"));
                (full && cells && text.contains("state=\"ending\"} 0\n")).then_some(())
            });
        }
        if sampled {
            let counts = settled(&watched, series.first());
            series.push(number, counts);
        }
    }
    verdict(&series, options.functions);
}

fn verdict(series: &Series, sandboxes: u32) {
    println!("\n{sandboxes} sandboxes\n\n{}", series.table());
    series.must_not_rise();
}
