//! The benchmark: every figure beside the floor it is measured against, in the same run.
//!
//! Machines are noisy, so a figure alone says little. Each row takes its measurement and its floor in
//! turns (A B A B …), and what is quoted is their ratio. The load generator and everything it loads
//! share the machine's cores; all traffic is loopback; every loop is bounded in count and time.
//!
//! ```text
//!   cargo bench --bench hearth                       every row, about three minutes
//!   cargo bench --bench hearth -- --row cold-python  one row
//!   cargo bench --bench hearth -- --json             for machines
//! ```
//!
//! It starts a real, release-built daemon as root does, so it is run as root. It is not a test: nothing
//! fails because a machine is slow.

#![allow(unreachable_pub, reason = "in a program, `pub` says that another file uses it")]

mod cells;
mod client;
mod daemon;
mod floors;
mod kernel;
mod neighbours;
mod report;
mod rows;

// What cells are made with when there is no daemon: the harness of the spawner's own tests.
#[path = "../../src/spawner/tests/it"]
mod spawner {
    #[allow(dead_code, unused_imports, reason = "the rows need a part of it")]
    pub mod harness;
}

use std::process::ExitCode;

use anyhow::{Result, bail};

/// What was asked for.
#[derive(Debug, Default)]
struct Wanted {
    json: bool,
    row: Option<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // The floors are processes of their own, as the daemon is: this program again.
    let done = match words.first().map(String::as_str) {
        Some("floor-http") => floors::http(),
        Some("floor-function") => floors::function(&words[1..]),
        Some("floor-namespaces") => kernel::namespaces(),
        Some("load-filter") => kernel::filter(),
        _ => parse(&words).and_then(|wanted| run(&wanted)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[String]) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo says so to every benchmark.
            "--bench" => {}
            "--json" => wanted.json = true,
            "--row" => match words.next() {
                Some(row) if rows::ALL.iter().any(|known| known.id == row) => {
                    wanted.row = Some(row.clone());
                }
                _ => bail!("--row takes one of: {}", rows::names()),
            },
            other => bail!("{other} is not known; --json and --row NAME are"),
        }
    }
    Ok(wanted)
}

fn run(wanted: &Wanted) -> Result<()> {
    let bench = daemon::Bench::start()?;
    let mut table = report::Table::default();
    for row in rows::ALL {
        if wanted.row.as_deref().is_none_or(|name| name == row.id) {
            eprintln!("measuring {} …", row.id);
            table.add(row, (row.measure)(&bench)?);
        }
    }
    bench.stop()?;
    match wanted.json {
        true => println!("{}", table.json()),
        false => print!("{}", table.text()),
    }
    Ok(())
}
