//! Whole daemons, killed at moments of their own: starting, idle, in the middle of calls, draining.
//!
//! The arrows of a sandbox's life are tried on the spawner alone (`kills`), where a kill takes a few
//! hundredths of a second. Here the control plane is the real one; what it was doing is told by what
//! can be seen from outside.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::daemon::{MOMENT, images, nothing_left, send};
use crate::harness::http::{connect, read};
use crate::harness::leftovers::{Process, Trace};
use crate::harness::{Daemon, Function, Home, Options as Start, Request, eventually};
use crate::options::Options;
use crate::series::Series;
use crate::settle::settled;
use crate::spawner::harness::children_of;

/// What the daemon is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Not ready: its family is just being made.
    Starting,
    /// Nothing to do.
    Idle,
    /// A function has its event.
    Invoking,
    /// More calls than sandboxes: some are being made.
    Scaling,
    /// It was told to end and lets a call finish.
    Draining,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    ControlPlane,
    Outer,
    Inner,
    Both,
}

const MOMENTS: [Moment; 5] =
    [Moment::Starting, Moment::Idle, Moment::Invoking, Moment::Scaling, Moment::Draining];
const VICTIMS: [Victim; 4] = [Victim::ControlPlane, Victim::Outer, Victim::Inner, Victim::Both];
/// A daemon's round takes ten times as long as a spawner's.
const FEWER: u32 = 5;

const SOURCE: &str = "
    import time

    def handler(event, context):
        time.sleep(event['seconds'])
        return 'served'
    ";

/// Soak `daemons`.
pub fn nothing_is_left_of_daemons(options: &Options) {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Start::default());
    let name = Function::python(SOURCE).timeout(60).deploy(&daemon).keep();
    daemon.stop();
    let (mut series, mut kills) = (Series::default(), 0);
    for round in 0..options.repeats.div_ceil(FEWER) {
        for moment in MOMENTS {
            for victim in VICTIMS {
                match moment {
                    Moment::Starting => kill_a_start(&home, victim, round),
                    _ => kill_at(&home, &name, moment, victim),
                }
                come_back(&home, &name, &format!("{victim:?} while {moment:?}"));
                kills += 1;
            }
        }
        let counts = settled(&[], series.first());
        series.push(kills, counts);
    }
    println!("\n{kills} kills\n\n{}", series.table());
    series.must_not_rise();
}

/// Kills a daemon that is not ready, when its family has so many members.
fn kill_a_start(home: &Home, victim: Victim, round: u32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(["serve", "--data-dir"]).arg(home.data());
    command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    command.arg("--image-dir").arg(images());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("hearth starts");
    // Itself, the outer process, the spawner proper, the maker.
    let members = 2 + round as usize % 3;
    let family = eventually("it has a family", MOMENT, || {
        let family = Process::family(child.id(), &Process::all());
        (family.len() >= members || matches!(child.try_wait(), Ok(Some(_)))).then_some(family)
    });
    let descend = |pid: u32| children(pid).first().copied();
    let outer = descend(child.id());
    strike(victim, child.id(), outer, outer.and_then(descend));
    let _status = child.wait().expect("our own child");
    eventually("its family is gone", MOMENT, || {
        let now = Process::all();
        family.iter().all(|one| !now.contains(one)).then_some(())
    });
}

fn kill_at(home: &Arc<Home>, name: &str, moment: Moment, victim: Victim) {
    let mut daemon = Daemon::start_in(home, &Start::default());
    let calls: Vec<JoinHandle<Vec<u8>>> = match moment {
        Moment::Starting | Moment::Idle => Vec::new(),
        Moment::Invoking | Moment::Draining => vec![call(&daemon, name, 50)],
        Moment::Scaling => (0..8).map(|_| call(&daemon, name, 50)).collect(),
    };
    if !calls.is_empty() {
        eventually("a function has its event", MOMENT, || {
            let metrics = daemon.api("GET", "/metrics", &Value::Null);
            let text = String::from_utf8_lossy(&metrics.body).into_owned();
            (!text.contains("hearth_instances{state=\"busy\"} 0\n")).then_some(())
        });
    }
    if moment == Moment::Draining {
        daemon.signal(Signal::SIGTERM);
    }
    let trace: Trace = daemon.trace();
    strike(victim, daemon.pid, Some(daemon.spawner), children(daemon.spawner).first().copied());
    let _status = daemon.wait();
    for call in calls {
        let _cut_off = call.join().expect("it only reads");
    }
    nothing_left(&trace);
}

/// Children of a process that may be gone.
fn children(pid: u32) -> Vec<u32> {
    match std::path::Path::new(&format!("/proc/{pid}/task/{pid}/children")).exists() {
        true => children_of(pid),
        false => Vec::new(),
    }
}

fn strike(victim: Victim, control_plane: u32, outer: Option<u32>, inner: Option<u32>) {
    let slay = |pid: Option<u32>| pid.into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
    match victim {
        Victim::ControlPlane => slay(Some(control_plane)),
        // Where there is none yet, the control plane has to do.
        Victim::Outer => slay(outer.or(Some(control_plane))),
        Victim::Inner => slay(inner.or(outer).or(Some(control_plane))),
        Victim::Both => {
            slay(outer);
            slay(inner);
            slay(Some(control_plane));
        }
    }
}

/// Sends a call and reads until it is answered or cut off.
fn call(daemon: &Daemon, name: &str, seconds: u32) -> JoinHandle<Vec<u8>> {
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let request = Request::new("POST", &path).json(&json!({"seconds": seconds}));
    let (api, request) = (daemon.api, daemon.signer().sign(request, &daemon.api.to_string()));
    std::thread::spawn(move || {
        let mut stream = connect(api);
        let head: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = request.body.len();
        let text =
            format!("POST {} HTTP/1.1\r\n{head}content-length: {length}\r\n\r\n", request.target);
        let sent = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(&request.body));
        if sent.is_err() { Vec::new() } else { read(&mut stream) }
    })
}

/// The next start serves, and stops without leaving anything.
fn come_back(home: &Arc<Home>, name: &str, after: &str) {
    println!("{after}");
    let daemon = Daemon::start_in(home, &Start::default());
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let answer = daemon.api("POST", &path, &json!({"seconds": 0}));
    assert_eq!(answer.status, 200, "after {after}: {answer:?}");
    daemon.stop();
}
