//! What the pool adds to a warm invocation, against the least that could be done on the same socket.
//!
//! The floor is a task that writes a frame and reads one, to and from the very program the pool calls.
//! Both are measured in turn in one run, so that what the machine does besides hits both. Run it with
//! `cargo run --release -p pool --example warm`; it takes a few seconds.

#![allow(unreachable_pub, dead_code, reason = "shares the players of the tests")]

#[path = "../tests/it/double.rs"]
mod double;
#[path = "../tests/it/programs.rs"]
mod programs;
#[path = "../tests/it/rig.rs"]
mod rig;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::rig::{Rig, function, invocation};

/// Rounds of each kind, in turn.
const ROUNDS: usize = 20;
/// Calls in a round.
const CALLS: usize = 2_000;

#[tokio::main]
async fn main() {
    let rig = Arc::new(Rig::new().await);
    let echo = function("echo");
    let mut floor = Floor::start();
    let (mut bare, mut pooled) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mut a = floor.round().await;
        let mut b = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let call = invocation(&echo);
            let began = Instant::now();
            rig.pool.invoke(call).await.expect("an outcome");
            b.push(began.elapsed());
        }
        // The first round warms everything up.
        if round > 0 {
            bare.append(&mut a);
            pooled.append(&mut b);
        }
    }
    show("bare socket", &mut bare);
    show("Pool::invoke", &mut pooled);
    throughput(&rig, &echo).await;
}

/// Sixteen callers at once.
async fn throughput(rig: &Arc<Rig>, echo: &Arc<model::Runnable>) {
    let began = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (pool, echo) = (rig.pool.clone(), Arc::clone(echo));
            tokio::spawn(async move {
                for _ in 0..5_000 {
                    pool.invoke(invocation(&echo)).await.expect("an outcome");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let rate = 80_000.0 / began.elapsed().as_secs_f64();
    println!("16 callers    {rate:>9.0} calls a second on {} instances", rig.pool.stats().idle);
}

fn show(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: f64| times[(times.len() as f64 * part) as usize].as_nanos() as f64 / 1000.0;
    println!(
        "{what:<13} p50 {:>7.2} µs   p90 {:>7.2} µs   p99 {:>7.2} µs",
        at(0.5),
        at(0.9),
        at(0.99)
    );
}

/// A frame down and a frame up.
struct Floor {
    link: UnixStream,
    frame: Vec<u8>,
}

impl Floor {
    fn start() -> Self {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        std::thread::spawn(move || programs::echo(theirs));
        let event = wire::link::Invoke {
            deadline_ms: 0,
            request_id: "8c2c2a4e-7a3b-4b0e-9d5c-0f1e2d3c4b5a",
            invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:echo",
            trace_id: "",
            client_context: "",
            cognito_identity: "",
            payload: b"{\"n\":1}",
        };
        let mut frame = event.encode_head(1);
        frame.extend(event.payload);
        Self { link: UnixStream::from_std(ours).expect("registered"), frame }
    }

    async fn round(&mut self) -> Vec<Duration> {
        let mut times = Vec::with_capacity(CALLS);
        let mut buffer = [0; 4096];
        for _ in 0..CALLS {
            let began = Instant::now();
            self.link.write_all(&self.frame).await.expect("written");
            let count = self.link.read(&mut buffer).await.expect("read");
            assert_eq!(count, wire::link::HEADER + 7);
            times.push(began.elapsed());
        }
        times
    }
}
