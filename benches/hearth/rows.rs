//! What is measured, and against what.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cells;
use crate::client::{self, Connection, Shot};
use crate::daemon::Bench;
use crate::floors::{self, Floor};
use crate::neighbours;
use crate::report::{Measured, Target, percentiles};

/// One line of the table, or two where a tail matters.
pub struct Row {
    /// Its name.
    pub id: &'static str,
    /// Which floor it stands beside.
    pub floor: &'static str,
    /// Takes the measurement.
    pub measure: fn(&Bench) -> Result<Vec<Measured>>,
}

/// Every row, in the order of the table.
pub const ALL: &[Row] = &[
    Row { id: "warm-latency", floor: "function", measure: warm_latency },
    Row { id: "warm-throughput", floor: "function", measure: warm_throughput },
    Row { id: "api-invoke", floor: "function", measure: api_invoke },
    Row { id: "native", floor: "http", measure: native },
    Row { id: "cold-python", floor: "bare python", measure: cold_python },
    Row { id: "cell-make", floor: "namespaces", measure: cells::make },
    Row { id: "cell-end", floor: "namespaces", measure: cells::end },
    Row { id: "seccomp-load", floor: "none", measure: cells::filter },
    Row { id: "spawner-rss", floor: "none", measure: cells::resident },
    Row { id: "neighbour", floor: "itself, quiet", measure: neighbours::beside_hostile_ones },
];

/// What is sent: small, and JSON, as most events are.
pub const BODY: &[u8] = b"{\"name\":\"world\",\"n\":42}";
/// Turns of A B; each turn is short, so that drift of the machine hits both.
const TURNS: usize = 20;
/// Requests of one turn.
const PER_TURN: usize = 250;
/// Requests before anything counts.
const WARM_UP: usize = 200;
/// Connections of the throughput rows.
const CONNECTIONS: usize = 16;
/// One turn of a throughput row.
const FLOOD: Duration = Duration::from_millis(1_500);
/// Functions that are called once each.
const COLD: usize = 60;

/// The names, for a message.
pub fn names() -> String {
    ALL.iter().map(|row| row.id).collect::<Vec<_>>().join(", ")
}

fn warm_latency(bench: &Bench) -> Result<Vec<Measured>> {
    let floor = bench.function_floor()?;
    let url = bench.python_function("bench-warm")?;
    // The later bar is 1.5 × the floor at the median; while functions start on the exec rung, 3 ×.
    let targets = [Target::AtMost(1.5), Target::AtMost(3.0)];
    compare(&Shot::post(bench.http, &url, &[], BODY), &echo(&floor), targets)
}

fn warm_throughput(bench: &Bench) -> Result<Vec<Measured>> {
    let floor = bench.function_floor()?;
    let url = bench.python_function("bench-flood")?;
    let ours = Shot::post(bench.http, &url, &[], BODY);
    flooded(&ours, &echo(&floor), Target::AtLeast(0.6))
}

fn api_invoke(bench: &Bench) -> Result<Vec<Measured>> {
    let floor = bench.function_floor()?;
    bench.python_function("bench-api")?;
    let path = "/2015-03-31/functions/bench-api/invocations";
    // Signed once: the signature is checked anew each time, and stays valid for five minutes.
    let ours = bench.signed("POST", path, BODY)?;
    compare(&ours, &echo(&floor), [Target::AtMost(2.0), Target::AtMost(3.0)])
}

fn native(bench: &Bench) -> Result<Vec<Measured>> {
    let floor = Floor::start(&["floor-http"])?;
    let url = bench.native_function("bench-native")?;
    let ours = Shot::post(bench.http, &url, &[], BODY);
    flooded(&ours, &echo(&floor), Target::AtLeast(0.2))
}

fn cold_python(bench: &Bench) -> Result<Vec<Measured>> {
    let urls: Vec<String> = (0..COLD)
        .map(|n| bench.python_function(&format!("bench-cold-{n}")))
        .collect::<Result<_>>()?;
    let python = bench.python()?;
    let mut ours = Vec::new();
    let mut floor = Vec::new();
    let mut connection = Connection::open(bench.http)?;
    for url in &urls {
        let (took, body) = connection.fire(&Shot::post(bench.http, url, &[], BODY))?;
        ensure!(body == BODY, "a cold function answered {}", String::from_utf8_lossy(&body));
        ours.push(took);
        floor.push(floors::interpreter(&python)?);
        // Empty cells are made again in the background, as they are between two new users.
        std::thread::sleep(Duration::from_millis(20));
    }
    // The later bar is 0.12 × at the median, with spares; on the exec rung, 5 ×.
    Ok(percentiles(ours, floor, [Target::AtMost(5.0), Target::AtMost(10.0)]))
}

fn echo(floor: &Floor) -> Shot {
    Shot::post(floor.address, "/echo", &[], BODY)
}

/// One connection each, in turns.
fn compare(ours: &Shot, floor: &Shot, targets: [Target; 2]) -> Result<Vec<Measured>> {
    let mut sides = [(ours, Vec::new()), (floor, Vec::new())];
    let mut connections = [Connection::open(ours.address)?, Connection::open(floor.address)?];
    for ((shot, _), connection) in sides.iter().zip(&mut connections) {
        for _ in 0..WARM_UP {
            connection.fire(shot)?;
        }
    }
    for _ in 0..TURNS {
        for ((shot, samples), connection) in sides.iter_mut().zip(&mut connections) {
            for _ in 0..PER_TURN {
                samples.push(connection.fire(shot)?.0);
            }
        }
    }
    let [(_, ours), (_, floor)] = sides;
    Ok(percentiles(ours, floor, targets))
}

/// Sixteen connections each, in turns; medians of the turns.
fn flooded(ours: &Shot, floor: &Shot, target: Target) -> Result<Vec<Measured>> {
    const ROUNDS: usize = 5;
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut rates = [Vec::new(), Vec::new()];
    for shot in [ours, floor] {
        client::flood(shot, CONNECTIONS, FLOOD / 2).context("warm-up")?;
    }
    for _ in 0..ROUNDS {
        ensure!(Instant::now() < deadline, "the throughput row takes too long");
        for (shot, rates) in [ours, floor].into_iter().zip(&mut rates) {
            rates.push(client::flood(shot, CONNECTIONS, FLOOD)?);
        }
    }
    let [figure, floor] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    let floor = Some(floor);
    Ok(vec![Measured { what: "rate", figure, floor, unit: "/s", target, samples: ROUNDS }])
}
