//! What is measured, and against what: the table of rows, and how two sides are measured in turns.

mod asynchronous;
mod beside;
mod burst;
mod cells;
mod cold;
mod filler;
mod growth;
mod many;
mod neighbours;
mod rest;
mod stream;
mod warm;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::client::{self, Connection, Shot};
use crate::lab::Lab;
use crate::report::{Figure, Finding, Target, percentile, percentiles, sorted};

/// One line of the table, or several where more than a median matters.
pub struct Row {
    /// Its name.
    pub id: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// Which floor it stands beside.
    pub floor: &'static str,
    /// What is asked of it.
    pub target: &'static str,
    /// Whether it is measured every day.
    pub short: bool,
    /// Takes the measurement.
    pub measure: fn(&Lab) -> Result<Finding>,
}

/// Every row, in the order of the table; a row takes two lines, so that they can be read as one.
#[rustfmt::skip]
pub const ALL: &[Row] = &[
    Row { id: "warm-latency", floor: "function", target: "p50 ≤ 1.5 ×, p99 ≤ 3 ×", short: true, measure: warm::latency,
          what: "a Python echo through its function URL, one connection" },
    Row { id: "warm-throughput", floor: "function", target: "≥ 0.6 ×", short: true, measure: warm::throughput,
          what: "the same, 16 connections" },
    Row { id: "api-invoke", floor: "function", target: "p50 ≤ 2 ×", short: true, measure: warm::api_invoke,
          what: "`Invoke` of a Python function on the management listener, every signature verified, one connection" },
    Row { id: "native", floor: "http", target: "≥ 0.2 ×", short: true, measure: warm::native,
          what: "a custom runtime that echoes, a static Rust program on the Runtime API: three HTTP exchanges in all; 16 connections" },
    Row { id: "cold-python", floor: "bare python", target: "p50 ≤ 0.12 ×, p99 ≤ 0.5 ×", short: true, measure: cold::python,
          what: "the first call ever of a fresh Python function through its URL, every wall up, a spare there" },
    Row { id: "cold-fork", floor: "bare python", target: "p50 ≤ 0.5 ×, p99 ≤ 2 ×", short: true, measure: cold::fork,
          what: "the same with no spare left: forked on demand" },
    Row { id: "cold-node", floor: "bare node", target: "p50 ≤ 0.05 ×, p99 ≤ 0.1 ×", short: true, measure: cold::node,
          what: "the same as `cold-python` with Node, a spare there" },
    Row { id: "cold-native", floor: "namespaces", target: "p50 ≤ 3 ×", short: true, measure: cold::native,
          what: "the same with the static program of `native`, executed in a ready cell" },
    Row { id: "burst", floor: "namespaces", target: "≤ 200 × 4 × namespaces ÷ cores, ≤ 400 ms on 2 cores", short: true, measure: burst::burst,
          what: "200 first calls of one Python function at the same moment, each sleeping 1 s, MemorySize 128: until all have answered, less that second; the pool holds 200" },
    Row { id: "imports", floor: "cold-python", target: "≤ 2 ×", short: true, measure: cold::imports,
          what: "the first call ever of a Python function that imports numpy and boto3 from `python_packages`, against one that imports nothing" },
    Row { id: "density", floor: "–", target: "≤ 2.5 MiB, and 1,000 stay on 4 GiB", short: false, measure: many::density,
          what: "proportional memory that each idle Python instance adds, over 200 of them; and how many of 1,000 stay up on a budget of 4 GiB" },
    Row { id: "alive", floor: "–", target: "3,000, ≤ 20,000 descriptors per process", short: false, measure: many::alive,
          what: "Python instances that are alive at once, what they take, and what the hungriest of our own processes has open" },
    Row { id: "growth", floor: "10 functions", target: "p50 ≤ 1.1 ×", short: false, measure: growth::growth,
          what: "a warm call with 100,000 registered functions and 10,000 URLs; the start with them; resident memory for each; a page of the list" },
    Row { id: "large", floor: "function", target: "p50 ≤ 2 ×", short: true, measure: warm::large,
          what: "6 MB through `Invoke` and back, one connection" },
    Row { id: "async-accept", floor: "commit + http + signature", target: "p50 ≤ 1.5 ×", short: true, measure: asynchronous::accept,
          what: "an asynchronous event accepted, which is after it is on the disk; one connection; against one commit of SQLite, one request of the http floor and one verified signature" },
    Row { id: "async-accept-64", floor: "writer", target: "≥ 0.5 ×", short: true, measure: asynchronous::accept_from_many,
          what: "the same, 64 connections, against the writer of events alone with as many callers" },
    Row { id: "async-start", floor: "commit + 2 × function", target: "p50 ≤ 1 ×", short: true, measure: asynchronous::start,
          what: "from sending an asynchronous event to the first line of its handler" },
    Row { id: "stream", floor: "function", target: "p50 ≤ 2 ×", short: true, measure: stream::stream,
          what: "from a handler's first write of a streamed response to its arrival" },
    Row { id: "idle", floor: "–", target: "≤ 0.2 % of a core", short: false, measure: rest::idle,
          what: "processor time of the daemon with 100 idle Python instances, over 60 s" },
    Row { id: "start", floor: "–", target: "≤ 300 ms", short: true, measure: rest::start,
          what: "`hearth serve` until it serves, with 1,000 functions stored" },
    Row { id: "cell-make", floor: "namespaces", target: "p50 ≤ 4 ×", short: true, measure: cells::make,
          what: "the spawner alone, from the request to the answer: a whole empty sandbox, every wall up, the runner behind it" },
    Row { id: "cell-end", floor: "namespaces", target: "p50 ≤ 1 ×", short: true, measure: cells::end,
          what: "likewise: everything killed, reaped and removed" },
    Row { id: "seccomp-load", floor: "–", target: "≤ 40 µs", short: true, measure: cells::filter,
          what: "the functions' filter, loaded by a forked child" },
    Row { id: "spawner-rss", floor: "–", target: "≤ 4 MiB each", short: true, measure: cells::resident,
          what: "resident memory of the spawner proper, of its outer process and of the maker while 100 sandboxes live" },
    Row { id: "neighbour", floor: "itself, quiet", target: "p99 ≤ 2 ×", short: false, measure: neighbours::beside_hostile_ones,
          what: "a Python echo, one connection, while six functions misbehave beside it (memory, processes, threads, output, kernel objects and files without end), against itself while they do not" },
    Row { id: "functions-framework", floor: "functions-framework", target: "–", short: false, measure: beside::functions_framework,
          what: "a Python echo through its URL against the same on functions-framework, as it starts itself: rate with 16 connections, p50 with one" },
    Row { id: "uvicorn", floor: "uvicorn", target: "–", short: false, measure: beside::uvicorn,
          what: "likewise against uvicorn with a bare ASGI echo" },
    Row { id: "workerd", floor: "workerd", target: "–", short: false, measure: beside::workerd,
          what: "likewise against an isolate of workerd" },
    Row { id: "runc", floor: "runc", target: "–", short: false, measure: beside::runc,
          what: "a Python function's first call ever against `runc run` of a Python that does nothing, on the same tree" },
    Row { id: "bubblewrap", floor: "bubblewrap", target: "–", short: false, measure: beside::bubblewrap,
          what: "likewise against `bwrap --unshare-all`" },
];

/// Turns of A B; each turn is short, so that drift of the machine hits both.
const TURNS: usize = 20;
/// Requests before anything counts.
const WARM_UP: usize = 200;
/// Connections of the throughput rows.
pub const CONNECTIONS: usize = 16;
/// No comparison of two floods takes longer.
const FLOODED: Duration = Duration::from_secs(60);

/// The names, for a message.
pub fn names() -> String {
    ALL.iter().map(|row| row.id).collect::<Vec<_>>().join(", ")
}

/// One connection each, `each` requests in every turn.
fn compare(
    lab: &Lab,
    ours: &Shot,
    floor: &Shot,
    each: usize,
    targets: [Option<Target>; 2],
) -> Result<Vec<Figure>> {
    let mut sides = vec![(ours, Vec::new())];
    if !lab.is_held() {
        sides.push((floor, Vec::new()));
    }
    let open = sides.iter().map(|(shot, _)| Connection::open(shot.address));
    let mut connections = open.collect::<Result<Vec<_>>>()?;
    for ((shot, _), connection) in sides.iter().zip(&mut connections) {
        for _ in 0..WARM_UP.min(each) {
            connection.fire(shot)?;
        }
    }
    for _ in 0..lab.much(TURNS, TURNS / 4) {
        for ((shot, samples), connection) in sides.iter_mut().zip(&mut connections) {
            for _ in 0..each {
                samples.push(connection.fire(shot)?.0);
            }
        }
    }
    let mut sides = sides.into_iter().map(|(_, samples)| samples);
    let (ours, floor) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
    Ok(percentiles(ours, floor, targets))
}

/// Sixteen connections each, in turns; medians of the turns, and what one request took.
fn flooded(lab: &Lab, ours: &Shot, floor: &Shot, target: Option<Target>) -> Result<Vec<Figure>> {
    let (rounds, time) =
        lab.much((5, Duration::from_millis(1_000)), (3, Duration::from_millis(400)));
    let deadline = Instant::now() + FLOODED;
    let mut sides = vec![(ours, Vec::new(), Vec::new())];
    if !lab.is_held() {
        sides.push((floor, Vec::new(), Vec::new()));
    }
    for (shot, ..) in &sides {
        client::flood(shot, CONNECTIONS, time / 2).context("warm-up")?;
    }
    for _ in 0..rounds {
        ensure!(Instant::now() < deadline, "the floods take too long");
        for (shot, rates, each) in &mut sides {
            let flooded = client::flood(shot, CONNECTIONS, time)?;
            rates.push(flooded.rate);
            each.extend(flooded.each);
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let sides = sides.into_iter().map(|(_, mut rates, each)| (median(&mut rates), sorted(each)));
    let sides: Vec<_> = sides.collect();
    let (rate, ours) = &sides[0];
    let floor = sides.get(1);
    let mut figures =
        vec![Figure::new("rate", (*rate, floor.map(|it| it.0)), "/s", target, rounds)];
    for (what, share) in [("p50 of 16", 0.5), ("p99 of 16", 0.99)] {
        let floor = floor.map(|(_, each)| percentile(each, share));
        figures.push(Figure::new(what, (percentile(ours, share), floor), "µs", None, ours.len()));
    }
    Ok(figures)
}
