//! The benchmark: every figure beside the floor it is measured against, in the same run.
//!
//! Machines are noisy, so a figure alone says little. Each row takes its measurement and its floor in
//! turns (A B A B …), and what is quoted is their ratio. The load generator and everything it loads
//! share the machine's cores; all traffic is loopback; every loop is bounded in count and time.
//!
//! ```text
//!   arguments.rs   what was asked for
//!   supervisor.rs  nothing is left behind, whatever happens
//!   run.rs         the rows, one after the other        lab.rs        where they are measured
//!   rows.rs, rows/ what is measured                     floors.rs     what against
//!   daemon.rs, functions.rs, metrics.rs, processes.rs   a real daemon, what is in it, what it uses
//!   client.rs      the load                             kernel.rs     what the kernel alone takes
//!   tools.rs       what is fetched, once                report.rs     the JSON and the table
//!   document.rs    docs/benchmarks.md
//! ```
//!
//! It starts real, release-built daemons as root does, so it is run as root. It is not a test: nothing
//! fails because a machine is slow.

#![allow(unreachable_pub, reason = "in a program, `pub` says that another file uses it")]

mod arguments;
mod client;
mod daemon;
mod document;
mod floors;
mod functions;
mod kernel;
mod lab;
mod metrics;
mod processes;
mod report;
mod rows;
mod run;
mod supervisor;
mod tools;

// What cells are made with when there is no daemon: the harness of the spawner's own tests.
#[path = "../../src/spawner/tests/it"]
mod spawner {
    #[allow(dead_code, unused_imports, reason = "the rows need a part of it")]
    pub mod harness;
}
// What the tests have fetched for themselves is fetched once.
#[path = "../../tests/it/harness/setup.rs"]
#[allow(dead_code, reason = "the rows need a part of it")]
mod setup;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use arguments::Wanted;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = supervisor::unblock().and_then(|()| act(&words));
    done.unwrap_or_else(|err| {
        eprintln!("{err:#}");
        ExitCode::FAILURE
    })
}

fn act(words: &[String]) -> Result<ExitCode> {
    // The floors are processes of their own, as the daemon is: this program again.
    let done = match words.first().map(String::as_str) {
        Some("floor-http") => floors::http(),
        Some("floor-function") => floors::function(&words[1..]),
        Some("floor-namespaces") => kernel::namespaces(),
        Some("load-filter") => kernel::filter(),
        Some(supervisor::WORKER) => work(&words[1..]),
        _ => return begin(words),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn begin(words: &[String]) -> Result<ExitCode> {
    match arguments::parse(words)? {
        Wanted::Run(run) => return supervisor::supervise(words, run.hold),
        Wanted::Write(json) => println!("{} is written", document::write(&json)?.display()),
        Wanted::List => println!("{}", rows::names()),
        Wanted::Help => print!("{}", arguments::USAGE),
    }
    Ok(ExitCode::SUCCESS)
}

fn work(words: &[String]) -> Result<()> {
    let [folder, words @ ..] = words else { bail!("a worker is told where to work") };
    let Wanted::Run(wanted) = arguments::parse(words)? else { bail!("a worker measures") };
    let report = run::run(&wanted, Path::new(folder))?;
    match wanted.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.table()),
    }
    Ok(())
}
