//! A minute beside those that want everything for themselves: memory, processes, processors, the log,
//! the kernel's tables, the disk; and those that will not end.
//!
//! A well-behaved function is called all the while. Every answer is right, all are one instance's,
//! our processes do not grow, and when the others are deleted, nothing of them is left.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::counters::{Count, Watched, sample};
use crate::harness::leftovers::Process;
use crate::harness::{Daemon, Deployed, Function, Home, Options as Start, eventually};
use crate::options::Options;
use crate::spawner::harness::children_of;

/// Name, source, and seconds each is given.
const HOSTILE: [(&str, &str, u32); 8] = [
    ("memory", include_str!("../it/functions/hostile/memory.py"), 10),
    ("forks", include_str!("../it/functions/hostile/forks.py"), 10),
    ("threads", include_str!("../it/functions/hostile/threads.py"), 10),
    ("output", include_str!("../it/functions/hostile/output.py"), 10),
    ("kernel", include_str!("../it/functions/hostile/kernel.py"), 10),
    ("files", include_str!("../it/functions/hostile/files.py"), 10),
    ("stubborn", include_str!("../it/functions/hostile/stubborn.py"), 2),
    ("answers", include_str!("../it/functions/hostile/answers.py"), 10),
];
/// How long one call of theirs goes on, in seconds, where it ends by itself.
const TURN: u32 = 4;
/// Between two looks at our processes.
const LOOK: Duration = Duration::from_secs(2);
/// Longest wait for one answer of the neighbour: ten times what it takes on two cores.
const PATIENCE: Duration = Duration::from_secs(5);
/// What our processes may have grown by between the second third of the time and the last, KiB: the
/// control plane's caches and buffers are full by then, and the spawner has none.
const GROWTH: [(&str, f64); 3] =
    [("control plane", 16.0 * 1024.0), ("spawner", 512.0), ("maker", 512.0)];
/// Most processes of sandboxes at one time: AWS's 1,024 for whoever forks, and as many again that are
/// being taken down, beside what the others have.
const PROCESSES: f64 = 4_096.0;
/// Until nothing is left of them.
const GONE: Duration = Duration::from_secs(20);

/// Each start of it has a name of its own.
const NEIGHBOUR: &str = "
    import uuid

    instance = uuid.uuid4().hex

    def handler(event, context):
        return [event, instance]
    ";

/// Soak `neighbours`.
pub fn leave_a_well_behaved_function_alone(options: &Options) {
    let daemon = Daemon::start_in(&Home::new(), &Start::default());
    let neighbour = Function::python(NEIGHBOUR).timeout(30).deploy(&daemon);
    let instance = neighbour.answer(&json!(0))[1].take();
    let hostile = HOSTILE.map(|(name, source, timeout)| {
        (name, Function::python(source).memory(128).timeout(timeout).deploy(&daemon))
    });
    let spawner = children_of(daemon.spawner)[0];
    let watched = [
        Watched { name: "control plane", pid: daemon.pid },
        Watched { name: "spawner", pid: spawner },
        Watched { name: "maker", pid: children_of(spawner)[0] },
    ];

    let over = AtomicBool::new(false);
    let turns = HOSTILE.map(|_| AtomicU64::new(0));
    let (mut samples, mut took) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        for ((_, function), turns) in hostile.iter().zip(&turns) {
            scope.spawn(|| repeat(function, turns, &over));
        }
        let calls = scope.spawn(|| call_until(&neighbour, &instance, &over));
        let end = Instant::now() + Duration::from_secs(options.seconds.into());
        while Instant::now() < end && !calls.is_finished() {
            samples.push(sample(&watched));
            thread::sleep(LOOK);
        }
        over.store(true, Ordering::Relaxed);
        took = calls.join().expect("every answer is right");
    });

    report(&took, &samples);
    for ((name, _), turns) in hostile.iter().zip(&turns) {
        let turns = turns.load(Ordering::Relaxed);
        println!("{name}: {turns} turns");
        assert!(turns > 0, "{name} was never called to its end");
    }
    let longest = took.last().expect("it was called");
    assert!(*longest < PATIENCE, "{longest:?} for one answer");
    let most = series(&samples, "processes of sandboxes").into_iter().fold(0.0, f64::max);
    assert!(most < PROCESSES, "{most} processes at one time");
    for (name, bound) in GROWTH {
        let grown = growth(&series(&samples, &format!("{name}: resident KiB")));
        assert!(grown < bound, "the {name} has grown by {grown:.0} KiB");
    }
    let there: Vec<Process> = daemon.trace().sandboxed().into_iter().cloned().collect();
    drop(hostile);
    eventually("nothing is left of them", GONE, || {
        let all = Process::all();
        let left = there.iter().filter(|one| all.contains(one)).count();
        (left <= standing(&daemon)).then_some(())
    });
    assert_eq!(neighbour.answer(&json!("after")), json!(["after", instance]));
    drop(neighbour);
    daemon.stop();
}

/// Processes that stay when the hostile functions are gone: the neighbour's two, one in each cell that
/// stands ready, two in each spare, and templates.
fn standing(daemon: &Daemon) -> usize {
    let metrics = daemon.api("GET", "/metrics", &Value::Null).text();
    let sum = |name: &str| -> usize {
        let values = metrics.lines().filter(|line| line.starts_with(name));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
    };
    2 + sum("hearth_cells_ready ") + 2 * sum("hearth_spares_ready{") + sum("hearth_templates ")
}

/// Calls a hostile function until it is enough. That it fails is the point.
fn repeat(function: &Deployed<'_>, turns: &AtomicU64, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let called = function.invoke(&json!({"seconds": TURN}));
        assert_eq!(called.response.status, 200, "every call is answered: {:?}", called.response);
        turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// Calls the neighbour without a pause; how long each answer took, in ascending order.
fn call_until(neighbour: &Deployed<'_>, instance: &Value, over: &AtomicBool) -> Vec<Duration> {
    let mut took = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let number = took.len();
        assert_eq!(neighbour.answer(&json!(number)), json!([number, instance]));
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    took
}

/// One number's values, in order.
pub fn series(samples: &[Vec<Count>], name: &str) -> Vec<f64> {
    let counts = samples.iter().flatten().filter(|count| count.name == name);
    counts.map(|count| count.value).collect()
}

/// From the mean of the second third to that of the last.
pub fn growth(values: &[f64]) -> f64 {
    let third = values.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    mean(&values[2 * third..]) - mean(&values[third..2 * third])
}

fn report(took: &[Duration], samples: &[Vec<Count>]) {
    let at = |share: f64| {
        let index = (took.len() as f64 * share) as usize;
        took.get(index.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    println!(
        "{} answers, p50 {:?}, p99 {:?}, longest {:?}",
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!("\n| count | first | most | last |\n|---|---|---|---|");
    for count in samples.first().into_iter().flatten() {
        let values = series(samples, &count.name);
        let most = values.iter().copied().fold(0.0, f64::max);
        let last = values.last().copied().unwrap_or_default();
        println!("| {} | {:.0} | {most:.0} | {last:.0} |", count.name, count.value);
    }
}
