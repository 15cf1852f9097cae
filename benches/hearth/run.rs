//! One run: the rows, one after the other. A row that breaks is one that says why; the others go on.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;

use crate::arguments::Run;
use crate::lab::Lab;
use crate::processes;
use crate::report::{Finding, Machine, Outcome, Report, RowReport, SCHEMA, Unmeasured};
use crate::rows::{self, Row};
use crate::tools;

/// No row begins later: a machine that is this slow tells nothing, and what was measured must not be lost.
const ENOUGH: Duration = Duration::from_secs(900);

/// Measures what is wanted, in a folder that somebody else removes.
pub fn run(wanted: &Run, folder: &Path) -> Result<Report> {
    let (began, begun) = (Timestamp::now(), Instant::now());
    let lab = Lab::new(folder, wanted.short, wanted.hold);
    // Said before anything is measured: without root nothing can be.
    lab.daemon()?;
    let mut done = Vec::new();
    for row in rows::ALL {
        let named = wanted.rows.iter().any(|name| name == row.id);
        let meant = wanted.rows.is_empty() && (row.short || !wanted.short);
        if named || meant {
            let elapsed = begun.elapsed();
            eprintln!("{:4} s: {}", elapsed.as_secs(), row.id);
            done.push(match elapsed > ENOUGH && wanted.hold.is_none() {
                true => reported(row, Err(anyhow!("no time was left")), Instant::now()),
                false => measure(row, &lab),
            });
            while lab.is_to_go_on() {
                measure(row, &lab);
            }
        }
    }
    lab.close()?;
    Ok(Report {
        schema: SCHEMA,
        commit: commit()?,
        began: began.to_string(),
        seconds: begun.elapsed().as_secs_f64(),
        short: wanted.short,
        command: command(wanted),
        machine: machine()?,
        rows: done,
    })
}

fn measure(row: &Row, lab: &Lab) -> RowReport {
    let begun = Instant::now();
    let measured = catch_unwind(AssertUnwindSafe(|| (row.measure)(lab)));
    let measured = measured.unwrap_or_else(|panic| Err(anyhow!("{}", words(&*panic))));
    reported(row, measured, begun)
}

fn reported(row: &Row, measured: Result<Finding>, begun: Instant) -> RowReport {
    let (finding, outcome, reason) = match measured {
        Ok(finding) => match finding.something_else.clone() {
            None => (finding, Outcome::Measured, None),
            Some(why) => (finding, Outcome::SomethingElse, Some(why)),
        },
        Err(err) => {
            let outcome = match err.downcast_ref::<Unmeasured>() {
                Some(Unmeasured::NotThere(_)) => Outcome::NotThere,
                Some(Unmeasured::NotInstalled(_)) => Outcome::NotInstalled,
                None => Outcome::Failed,
            };
            eprintln!("{}: {err:#}", row.id);
            (Finding::default(), outcome, Some(format!("{err:#}")))
        }
    };
    RowReport {
        row: row.id.to_owned(),
        what: row.what.to_owned(),
        floor_is: row.floor.to_owned(),
        target: row.target.to_owned(),
        outcome,
        reason,
        seconds: begun.elapsed().as_secs_f64(),
        starts: finding.starts,
        figures: finding.figures,
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}

fn command(wanted: &Run) -> String {
    let mut command = "cargo bench --bench hearth".to_owned();
    let short = wanted.short.then(|| "--short".to_owned());
    let rows = wanted.rows.iter().map(|row| format!("--row {row}"));
    let words: Vec<String> = short.into_iter().chain(rows).collect();
    if !words.is_empty() {
        command.push_str(&format!(" -- {}", words.join(" ")));
    }
    command
}

fn commit() -> Result<String> {
    let git = |words: &[&str]| -> Result<String> {
        let output =
            Command::new("git").args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit =
        git(&["rev-parse", "--short", "HEAD"]).context("git says which sources these are")?;
    // Documents do not change what is measured.
    let changed = git(&["status", "--porcelain", "--", ".", ":!docs"])?;
    Ok(if changed.is_empty() { commit } else { commit + "+" })
}

fn machine() -> Result<Machine> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    let memory = fs::read_to_string("/proc/meminfo")?;
    let node = || tools::version(&tools::node_program()?);
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        processor: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        memory_mib: processes::value(&memory, "MemTotal:").unwrap_or(0) / 1024,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        python: tools::version(&tools::python()?)?,
        node: if tools::has_node() { node()? } else { "none".to_owned() },
    })
}
