//! A mixed load at twice what the daemon admits, for a minute or ten.
//!
//! As many callers as the account's concurrency, and as many again, call without a pause; what they
//! call keeps the processors busy besides, sleeps, carries a megabyte, fails in every way, and is
//! deployed while the others run. Whoever is not admitted is told so at once, in AWS's words; whoever
//! is gets the right answer within the function's timeout. Queues, memory and processes stay within
//! bounds all the while, and afterwards everything is as if nothing had been.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::counters::{Count, Watched, sample};
use crate::harness::function::Invocation;
use crate::harness::{Daemon, Deployed, Function, Home, Options as Start, Request, eventually};
use crate::neighbours::{growth, series};
use crate::options::Options;
use crate::spawner::harness::children_of;

/// Calls that are admitted at once: enough to keep two processors busy many times over.
const CONCURRENCY: usize = 24;
/// Those who call: twice as many, so that half of them are refused at any moment.
const CALLERS: usize = 2 * CONCURRENCY;
/// Seconds that each function has; the slowest of them takes one of processor time.
const TIMEOUT: u32 = 30;
/// What an answer may take beyond that: a start that overruns is begun again, and then a moment.
const MOMENT: Duration = Duration::from_secs(12);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// A megabyte of text, with room for the rest of the event.
const LARGE: usize = 1 << 20;
/// What our processes may have grown by between the second third of the time and the last, KiB.
const GROWTH: [(&str, f64); 3] =
    [("control plane", 32.0 * 1024.0), ("spawner", 1024.0), ("maker", 512.0)];
/// What the control plane may have resident at any time, KiB: every admitted call may carry a megabyte
/// in each direction, in a build without optimisation.
const MOST: f64 = 512.0 * 1024.0;
/// Functions that are there all the time.
const FUNCTIONS: usize = 4;
/// Most processes of sandboxes at one time: two for each instance, of each function as many as may be
/// admitted, and as many as are being made and taken down or stand ready.
const PROCESSES: f64 = (FUNCTIONS * CONCURRENCY * 2 + 128) as f64;
/// Until everything is at rest again.
const REST: Duration = Duration::from_secs(30);

/// What every function does is in its event, so that each answer says whose it is.
const SOURCE: &str = "
    import json
    import os
    import time

    hoard = []

    def handler(event, context):
        if 'requestContext' in event:
            event = json.loads(event['body'])
        until = time.process_time() + event.get('burn', 0)
        while time.process_time() < until:
            pass
        time.sleep(event.get('sleep', 0))
        if 'raise' in event:
            raise ValueError(event['raise'])
        if 'exit' in event:
            os._exit(event['exit'])
        while 'hoard' in event:
            hoard.append(os.urandom(1024) * 1024 * 16)
        return {'id': event['id'], 'large': event.get('large')}
    ";

/// One way of calling, and how often it has its turn.
struct Way {
    name: &'static str,
    turns: u64,
    event: fn(u64) -> Value,
    /// What becomes of it.
    end: End,
}

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The event comes back.
    Answer,
    /// An error document of this type.
    Fails(&'static str),
}

const WAYS: [Way; 7] = [
    Way { name: "echo", turns: 40, event: |id| json!({"id": id}), end: End::Answer },
    Way { name: "burn", turns: 20, event: |id| json!({"id": id, "burn": 0.05}), end: End::Answer },
    Way { name: "sleep", turns: 20, event: |id| json!({"id": id, "sleep": 0.3}), end: End::Answer },
    Way {
        name: "large",
        turns: 8,
        event: |id| json!({"id": id, "large": "x".repeat(LARGE)}),
        end: End::Answer,
    },
    Way {
        name: "raise",
        turns: 6,
        event: |id| json!({"id": id, "raise": id.to_string()}),
        end: End::Fails("ValueError"),
    },
    Way {
        name: "exit",
        turns: 4,
        event: |id| json!({"id": id, "exit": 3}),
        end: End::Fails("Runtime.ExitError"),
    },
    Way {
        name: "hoard",
        turns: 1,
        event: |id| json!({"id": id, "hoard": 1}),
        end: End::Fails("Runtime.OutOfMemory"),
    },
];

/// What became of all calls.
#[derive(Debug, Default)]
struct Tally {
    next: AtomicU64,
    refused: AtomicU64,
    /// How long admitted calls took, by way.
    took: Mutex<BTreeMap<&'static str, Vec<Duration>>>,
}

/// Soak `overload`.
pub fn twice_what_is_admitted(options: &Options) {
    let config = Some(format!("account_concurrency = {CONCURRENCY}\n"));
    let daemon = Daemon::start_in(&Home::new(), &Start { config, ..Start::default() });
    // Some share an instance with others, some have one of their own: reuse and replacement both.
    let functions: Vec<Deployed<'_>> = (0..FUNCTIONS)
        .map(|_| Function::python(SOURCE).memory(256).timeout(TIMEOUT).deploy(&daemon))
        .collect();
    let urls: Vec<String> = functions.iter().map(by_path).collect();
    let spawner = children_of(daemon.spawner)[0];
    let watched = [
        Watched { name: "control plane", pid: daemon.pid },
        Watched { name: "spawner", pid: spawner },
        Watched { name: "maker", pid: children_of(spawner)[0] },
    ];

    let (over, tally) = (AtomicBool::new(false), Tally::default());
    let (mut samples, mut waiting) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let (function, url) = (&functions[number % FUNCTIONS], &urls[number % FUNCTIONS]);
                let (daemon, tally, over) = (&daemon, &tally, &over);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        tally.call(daemon, function, (number % 3 == 0).then_some(url));
                    }
                })
            })
            .chain([scope.spawn(|| tally.deploy_until(&daemon, &over))])
            .collect();
        let end = Instant::now() + Duration::from_secs(options.overload.into());
        while Instant::now() < end && !callers.iter().any(|caller| caller.is_finished()) {
            samples.push(sample(&watched));
            waiting.push(gauge(&daemon, "hearth_events_waiting"));
            thread::sleep(LOOK);
        }
        over.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.join().expect("every answer is right, or says that there is no room");
        }
    });

    tally.report(&samples, &waiting);
    tally.check();
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    assert!(most(&waiting) <= CONCURRENCY as f64, "nobody waits who was not admitted");
    assert!(most(&series(&samples, "processes of sandboxes")) <= PROCESSES, "processes pile up");
    assert!(most(&series(&samples, "control plane: resident KiB")) <= MOST, "memory piles up");
    for (name, bound) in GROWTH {
        let grown = growth(&series(&samples, &format!("{name}: resident KiB")));
        assert!(grown < bound, "the {name} has grown by {grown:.0} KiB");
    }
    eventually("everything is at rest", REST, || {
        let idle = ["busy", "starting", "ending"]
            .map(|state| gauge(&daemon, &format!("hearth_instances{{state=\"{state}\"}}")));
        (idle == [0.0; 3] && gauge(&daemon, "hearth_events_waiting") == 0.0).then_some(())
    });
    for (number, function) in functions.iter().enumerate() {
        assert_eq!(function.answer(&json!({"id": number}))["id"], number);
    }
    drop(functions);
    daemon.stop();
}

// === impl Tally ===

impl Tally {
    /// One call, and whether it was answered as it must be.
    fn call(&self, daemon: &Daemon, function: &Deployed<'_>, url: Option<&String>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let way = way(id);
        let event = (way.event)(id);
        let begin = Instant::now();
        // What fails is told apart by the API only; a URL says 502.
        let admitted = match url.filter(|_| way.end == End::Answer) {
            Some(url) => {
                let response = Request::new("POST", url).json(&event).send(daemon.http);
                let admitted = response.status != 429;
                if admitted {
                    assert_eq!(response.status, 200, "{}: {response:?}", way.name);
                    assert_eq!(response.json()["id"], id, "{}", way.name);
                } else {
                    assert!(response.header("retry-after").is_some(), "{response:?}");
                }
                admitted
            }
            None => {
                let called = function.invoke(&event);
                let admitted = called.response.status != 429;
                if admitted {
                    right(id, way, &event, &called);
                } else {
                    refused(&called);
                }
                admitted
            }
        };
        self.note(way.name, admitted, begin.elapsed());
    }

    /// Deploys, calls and deletes, one function after the other: every call is a cold start.
    fn deploy_until(&self, daemon: &Daemon, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let fresh = Function::python(SOURCE).timeout(TIMEOUT).deploy(daemon);
            let begin = Instant::now();
            let called = fresh.invoke(&json!({"id": "fresh"}));
            let admitted = called.response.status != 429;
            if admitted {
                assert_eq!(called.answer()["id"], "fresh");
            } else {
                refused(&called);
            }
            self.note("fresh", admitted, begin.elapsed());
        }
    }

    fn note(&self, name: &'static str, admitted: bool, took: Duration) {
        if admitted {
            self.took.lock().expect("nobody panicked").entry(name).or_default().push(took);
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn check(&self) {
        let took = self.took.lock().expect("nobody panicked");
        for name in WAYS.iter().map(|way| way.name).chain(["fresh"]) {
            let all = took.get(name).map_or(&[][..], Vec::as_slice);
            let longest = all.iter().max().unwrap_or_else(|| panic!("{name} was never admitted"));
            let most = Duration::from_secs(TIMEOUT.into()) + MOMENT;
            assert!(*longest <= most, "{name}: {longest:?} for one answer");
        }
        assert!(self.refused.load(Ordering::Relaxed) > 0, "it was no overload");
    }

    fn report(&self, samples: &[Vec<Count>], waiting: &[f64]) {
        let refused = self.refused.load(Ordering::Relaxed);
        println!(
            "refused: {refused}\n\n| call | answers | p50 | p99 | longest |\n|---|---|---|---|---|"
        );
        for (name, took) in self.took.lock().expect("nobody panicked").iter() {
            let mut took = took.clone();
            took.sort_unstable();
            let at = |hundredths: usize| took[(took.len() * hundredths / 100).min(took.len() - 1)];
            let (half, most, longest) = (at(50), at(99), at(100));
            println!("| {name} | {} | {half:.0?} | {most:.0?} | {longest:.0?} |", took.len());
        }
        println!("\n| count | first | most | last |\n|---|---|---|---|");
        let row = |name: &str, values: &[f64]| {
            let most = values.iter().copied().fold(0.0, f64::max);
            let at = |value: Option<&f64>| value.copied().unwrap_or_default();
            let (first, last) = (at(values.first()), at(values.last()));
            println!("| {name} | {first:.0} | {most:.0} | {last:.0} |");
        };
        row("events that wait", waiting);
        for count in samples.first().into_iter().flatten() {
            row(&count.name, &series(samples, &count.name));
        }
    }
}

/// Which way a call of this number goes.
fn way(id: u64) -> &'static Way {
    let turns: u64 = WAYS.iter().map(|way| way.turns).sum();
    // A stride without a common divisor: those of one kind are spread among the others.
    let mut turn = (id * 37) % turns;
    let mut ways = WAYS.iter();
    loop {
        let way = ways.next().expect("turns are theirs together");
        match turn.checked_sub(way.turns) {
            Some(rest) => turn = rest,
            None => return way,
        }
    }
}

/// An admitted call was answered as it must be, and with nobody else's answer.
fn right(id: u64, way: &Way, event: &Value, called: &Invocation) {
    match way.end {
        End::Answer => {
            let answer = called.answer();
            assert_eq!(answer["id"], id, "{}", way.name);
            assert!(answer["large"] == event["large"], "{}: another text came back", way.name);
        }
        End::Fails(kind) => {
            let failure = called.failure();
            assert_eq!(failure["errorType"], kind, "{}: {failure}", way.name);
            if way.name == "raise" {
                assert_eq!(failure["errorMessage"], id.to_string());
            }
        }
    }
}

/// A call that was not admitted was told so in AWS's words, and when to come back.
fn refused(called: &Invocation) {
    let body = called.response.refused(429, "TooManyRequestsException", "Rate Exceeded.");
    assert_eq!(body["Reason"], "ConcurrentInvocationLimitExceeded");
    assert!(called.response.header("retry-after").is_some(), "{:?}", called.response);
}

/// A function's address on the trigger listener.
fn by_path(function: &Deployed<'_>) -> String {
    function.public_url();
    format!("/{}/", function.name)
}

/// A number among the daemon's metrics.
fn gauge(daemon: &Daemon, series: &str) -> f64 {
    let metrics = daemon.api("GET", "/metrics", &Value::Null);
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let number = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    number.parse().expect("a number")
}
