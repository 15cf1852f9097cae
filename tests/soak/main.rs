//! What takes minutes: soaks, kill matrices, overload. `tests/soak/run` runs them.
//!
//! A plain `cargo test` builds this and runs none of it (`--run` is missing then): soaks compare
//! counters of the whole kernel, which the tests that run in parallel change all the time. `.ci/run`
//! calls them after everything else, one after the other. Shorter versions of the same promises, over
//! what belongs to one daemon only, are ordinary tests.
//!
//! Each soak is a function that panics when its promise is broken, and prints what it measured, for
//! `docs/benchmarks.md`, on standard output.

#![allow(
    unreachable_pub,
    reason = "a test binary exports nothing: `pub` means for its other modules"
)]

// What real daemons are started and watched with: the harness of `tests/it`.
#[path = "../it/harness"]
#[allow(dead_code, unused_imports, reason = "the soaks need a part of it")]
mod harness {
    pub mod account;
    pub mod daemon;
    pub mod eventually;
    pub mod function;
    pub mod http;
    pub mod leftovers;
    pub mod package;
    pub mod raw_zip;
    pub mod setup;
    pub mod signature;
    pub mod tools;

    pub use account::{Account, Means};
    pub use daemon::{Daemon, Home, Options, shared};
    pub use eventually::eventually;
    pub use function::{Deployed, Function};
    pub use http::{Request, Response};
    pub use package::Package;
}
// What cells are made with when there is no daemon: the harness of the spawner's own tests.
#[path = "../../src/spawner/tests/it"]
mod spawner {
    #[allow(dead_code, unused_imports, reason = "the soaks need a part of it")]
    pub mod harness;
    #[allow(dead_code, unused_imports, reason = "the soaks need a part of it")]
    pub mod kills;
}

// Thousands of sandboxes made and ended: nothing grows.
mod churn;
// What the kernel counts: one sample of the whole machine and of our own processes.
mod counters;
// Every victim at every arrow of a sandbox's life.
mod kills;
// Whole daemons, killed at moments of their own.
mod daemons;
// A minute beside hostile functions: the well-behaved one notices nothing that matters.
mod neighbours;
// Twice as many callers as are admitted: right answers, and bounds that hold.
mod overload;
// What was asked for on the command line.
mod options;
// Samples in a row, the line through them, and whether it rises.
mod series;
// Waiting for the kernel.
mod settle;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use options::Options;

/// One of the things that take minutes.
struct Soak {
    /// As it is asked for.
    name: &'static str,
    /// What it promises.
    promise: &'static str,
    /// Panics when that is not so.
    run: fn(&Options),
}

/// All of them, in the order they are run.
const SOAKS: &[Soak] = &[
    Soak { name: "control", promise: "a planted leak is seen", run: churn::a_planted_leak_is_seen },
    Soak {
        name: "churn",
        promise: "nothing grows with the number of sandboxes",
        run: churn::cells_leave_nothing,
    },
    Soak {
        name: "functions",
        promise: "nothing grows with the number of functions' sandboxes",
        run: churn::functions_leave_nothing,
    },
    Soak {
        name: "kills",
        promise: "whoever is killed, at whatever arrow, nothing is left",
        run: kills::nothing_is_left_at_any_arrow,
    },
    Soak {
        name: "daemons",
        promise: "whoever of a daemon is killed, whatever it was doing, nothing is left",
        run: daemons::nothing_is_left_of_daemons,
    },
    Soak {
        name: "neighbours",
        promise: "hostile functions leave a well-behaved one alone, and us as we were",
        run: neighbours::leave_a_well_behaved_function_alone,
    },
    Soak {
        name: "overload",
        promise: "at twice what is admitted every answer is right, in time, or says so at once",
        run: overload::twice_what_is_admitted,
    },
];

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("soaks take minutes and want the machine to themselves: tests/soak/run");
            return ExitCode::SUCCESS;
        }
        Err(err) => {
            println!("{err}");
            return ExitCode::from(64);
        }
    };
    let known = |name: &String| SOAKS.iter().any(|soak| soak.name == name);
    if let Some(unknown) = options.names.iter().find(|name| !known(name)) {
        let names: Vec<&str> = SOAKS.iter().map(|soak| soak.name).collect();
        println!("no soak is called {unknown}; there are {}", names.join(", "));
        return ExitCode::from(64);
    }
    let mut failed = Vec::new();
    for soak in SOAKS.iter().filter(|soak| options.wants(soak.name)) {
        println!("\n--- {}: {}", soak.name, soak.promise);
        let begin = Instant::now();
        // A panic has said what is wrong; the others run all the same.
        let held = catch_unwind(AssertUnwindSafe(|| (soak.run)(&options))).is_ok();
        let verdict = if held { "held" } else { "BROKEN" };
        println!("--- {}: {verdict}, {} s", soak.name, begin.elapsed().as_secs());
        if !held {
            failed.push(soak.name);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nbroken: {}", failed.join(", "));
    ExitCode::FAILURE
}
