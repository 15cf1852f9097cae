//! Events that are accepted now and delivered later: what accepting costs, and how soon one begins.
//!
//! The floors are made here, in this process and on the same file system as the daemon's data: one row
//! and one commit of SQLite, as durable as the daemon's; one verification of a signature; and, for many
//! callers at once, the daemon's own writer without anything in front of it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use model::{FunctionId, FunctionName, RequestId};
use rusqlite::Connection as Database;
use serde_json::json;
use sigv4::sign::Scope;
use sigv4::{Credentials, PathStyle, Payload, Policy, RequestParts, Secret};
use store::events::{EventQueue, NewEvent};

use crate::client::{self, Connection, Shot};
use crate::daemon::Daemon;
use crate::floors::{self, Floor};
use crate::functions::BODY;
use crate::lab::Lab;
use crate::report::{Figure, Finding, Target, percentile, percentiles, sorted};

/// Requests of one turn: a commit may take milliseconds.
const PER_TURN: usize = 50;
/// Turns.
const TURNS: usize = 10;
/// Callers at once.
const CALLERS: usize = 64;
/// How long they call.
const FLOOD: Duration = Duration::from_secs(2);
/// Events whose starts are looked at.
const STARTS: usize = 300;

/// How far apart these are: longer than one takes.
const APART: Duration = Duration::from_millis(5);
/// How often it is asked how long they took.
const LATER: Duration = Duration::from_millis(700);

/// Holds its only place for longer than a row takes, so that nothing is delivered beside it.
const HOLDS: &str =
    "import time\ndef handler(event, context):\n    time.sleep(300)\n    return event\n";

/// Remembers how long each event was on its way; says so if it is asked.
const REMEMBERS: &str = "import time\nseen = []\ndef handler(event, context):\n    \
     now = time.time()\n    if 'sent' in event:\n        seen.append(now - event['sent'])\n    \
     return seen\n";

/// One row and one commit.
struct Raw(Database);

/// A signed request, to be verified again and again.
struct Signed {
    key: Credentials,
    headers: HeaderMap,
    at: u64,
}

/// Row `async-accept`.
pub fn accept(lab: &Lab) -> Result<Finding> {
    let floor = Floor::start(&["floor-http"])?;
    let echo = Shot::post(floor.address, "/echo", BODY);
    let daemon = lab.daemon()?;
    let ours = held(daemon, "bench-accept")?;
    let raw = Raw::open(lab)?;
    let signed = Signed::new()?;
    let mut there = Connection::open(ours.address)?;
    let mut beside = Connection::open(echo.address)?;
    let (mut samples, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..lab.much(TURNS, TURNS / 2) {
        for _ in 0..PER_TURN {
            samples.push(there.fire(&ours)?.0);
        }
        for _ in 0..PER_TURN {
            floors.push(raw.commit()? + beside.fire(&echo)?.0 + signed.verify()?);
        }
    }
    daemon.delete(["bench-accept"])?;
    Ok(percentiles(samples, floors, [Some(Target::AtMost(1.5)), None]).into())
}

/// Row `async-accept-64`.
pub fn accept_from_many(lab: &Lab) -> Result<Finding> {
    let daemon = lab.daemon()?;
    let ours = held(daemon, "bench-accept-64")?;
    let flooded = client::flood(&ours, CALLERS, lab.much(FLOOD, FLOOD / 2));
    daemon.delete(["bench-accept-64"])?;
    let flooded = flooded?;
    let floor = writer_alone(lab)?;
    let target = Some(Target::AtLeast(0.5));
    let count = flooded.each.len();
    let mut figures = vec![Figure::new("rate", (flooded.rate, Some(floor)), "/s", target, count)];
    let each = sorted(flooded.each);
    for (what, share) in [("p50 of 64", 0.5), ("p99 of 64", 0.99)] {
        figures.push(Figure::new(what, (percentile(&each, share), None), "µs", None, count));
    }
    Ok(figures.into())
}

/// Row `async-start`.
pub fn start(lab: &Lab) -> Result<Finding> {
    let floor = floors::of_invoke(&lab.folder("floor-async"))?;
    let echo = Shot::post(floor.address, "/echo", BODY);
    let daemon = lab.daemon()?;
    daemon.python("bench-start", REMEMBERS)?;
    one_place(daemon, "bench-start")?;
    let raw = Raw::open(lab)?;
    let mut beside = Connection::open(echo.address)?;
    let mut floors = Vec::new();
    let path = "/2014-11-13/functions/bench-start/invoke-async/";
    for _ in 0..lab.much(STARTS, STARTS / 3) {
        let sent = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        daemon.call("POST", path, json!({ "sent": sent }).to_string().as_bytes())?;
        floors.push(raw.commit()? + 2 * beside.fire(&echo)?.0);
        thread::sleep(APART);
    }
    let mut seen = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    while seen.len() < floors.len() {
        ensure!(Instant::now() < deadline, "{} of {} began", seen.len(), floors.len());
        // Its only place may be taken by one of them, or wanted by one that is tried again.
        thread::sleep(LATER);
        let asked = daemon.call("POST", "/2015-03-31/functions/bench-start/invocations", b"{}");
        let Ok(asked) = asked else { continue };
        let seconds = asked.as_array().context("a list")?.iter().filter_map(|it| it.as_f64());
        seen = seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))).collect();
    }
    daemon.delete(["bench-start"])?;
    Ok(percentiles(seen, floors, [Some(Target::AtMost(1.0)), None]).into())
}

/// A function that takes one event and no other, and the request that gives it one.
fn held(daemon: &Daemon, name: &str) -> Result<Shot> {
    daemon.python(name, HOLDS)?;
    one_place(daemon, name)?;
    daemon.signed("POST", &format!("/2014-11-13/functions/{name}/invoke-async/"), BODY)
}

fn one_place(daemon: &Daemon, name: &str) -> Result<()> {
    let path = format!("/2017-10-31/functions/{name}/concurrency");
    daemon.call("PUT", &path, br#"{"ReservedConcurrentExecutions": 1}"#).map(drop)
}

/// What the writer of events takes from as many callers, per second.
fn writer_alone(lab: &Lab) -> Result<f64> {
    let folder = lab.folder("writer");
    std::fs::create_dir_all(&folder)?;
    let queue = Arc::new(EventQueue::open(&folder.join("events.db"))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let until = began + lab.much(FLOOD, FLOOD / 2);
        let callers = (0..CALLERS).map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let mut count = 0_u32;
                while Instant::now() < until {
                    queue.accept(event()).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        });
        let mut count = 0;
        for caller in callers.collect::<Vec<_>>() {
            count += caller.await??;
        }
        Ok(f64::from(count) / began.elapsed().as_secs_f64())
    })
}

fn event() -> NewEvent {
    NewEvent {
        id: RequestId::random(),
        function: FunctionId(1),
        name: FunctionName::parse("f").expect("it is a name"),
        qualifier: None,
        accepted_ms: 0,
        trace: Arc::from(""),
        lineage: Arc::from(""),
        payload: Bytes::from_static(BODY),
    }
}

// === impl Raw ===

impl Raw {
    fn open(lab: &Lab) -> Result<Self> {
        let folder = lab.folder("raw");
        std::fs::create_dir_all(&folder)?;
        let database = Database::open(folder.join("raw.db"))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database
            .execute_batch("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, body BLOB)")?;
        Ok(Self(database))
    }

    fn commit(&self) -> Result<Duration> {
        let began = Instant::now();
        self.0.prepare_cached("INSERT INTO row (body) VALUES (?1)")?.execute([BODY])?;
        Ok(began.elapsed())
    }
}

// === impl Signed ===

impl Signed {
    fn new() -> Result<Self> {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let key = Credentials { access_key_id: "AKIDEXAMPLE".to_owned(), secret };
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost:9000"));
        let scope = Scope { region: "us-east-1", service: "lambda", paths: PathStyle::Normalised };
        let payload = Payload::Bytes(BODY);
        sigv4::sign(&key, scope, &Method::POST, ("/f", None), &mut headers, payload, at)?;
        Ok(Self { key, headers, at })
    }

    fn verify(&self) -> Result<Duration> {
        let policy = Policy {
            region: "us-east-1",
            services: &["lambda"],
            paths: PathStyle::Normalised,
            unsigned_payload: false,
        };
        let parts =
            RequestParts { method: "POST", path: "/f", query: None, headers: &self.headers };
        let began = Instant::now();
        let secret = self.key.secret.clone();
        let verified =
            sigv4::verify(parts, Payload::Bytes(BODY), self.at, &policy, |_| Some(secret));
        let took = began.elapsed();
        ensure!(verified.is_ok(), "our own signature is refused");
        Ok(took)
    }
}
