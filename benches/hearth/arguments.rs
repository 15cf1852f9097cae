//! What was asked for on the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::rows;

/// How long a row is held unless it is said.
const HELD: Duration = Duration::from_secs(60);

/// What this program can be asked.
pub const USAGE: &str = "\
cargo bench --bench hearth -- [OPTIONS]

  --short             the rows and counts of every day: under a minute
  --row NAME          this row; may be given more than once
  --json              JSON on standard output instead of a table
  --hold NAME         repeat a row's load, without its floor, and say which processes to look at
  --seconds N         how long it is held; 60 unless said
  --write-docs FILE   write the figures of such a JSON into docs/benchmarks.md
  --list              the rows
";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Measure.
    Run(Run),
    /// Write documents from a run's JSON.
    Write(PathBuf),
    /// Say which rows there are.
    List,
    /// Say how it is used.
    Help,
}

/// A run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// For machines.
    pub json: bool,
    /// The run of every day.
    pub short: bool,
    /// Only these; all if none is named.
    pub rows: Vec<String>,
    /// Repeats its one row for so long.
    pub hold: Option<Duration>,
}

/// Makes sense of the words.
pub fn parse(words: &[String]) -> Result<Wanted> {
    let (mut run, mut seconds) = (Run::default(), HELD);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} takes a value\n\n{USAGE}"));
        match word {
            // Cargo says so to every benchmark.
            "--bench" => {}
            "--json" => run.json = true,
            "--short" => run.short = true,
            "--row" => run.rows.push(known(value()?)?),
            "--hold" => {
                run.rows = vec![known(value()?)?];
                run.hold = Some(HELD);
            }
            "--seconds" => seconds = Duration::from_secs(value()?.parse()?),
            "--write-docs" => return Ok(Wanted::Write(value()?.into())),
            "--list" => return Ok(Wanted::List),
            "--help" | "-h" => return Ok(Wanted::Help),
            other => bail!("{other} is not known\n\n{USAGE}"),
        }
    }
    run.hold = run.hold.map(|_| seconds);
    Ok(Wanted::Run(run))
}

fn known(name: &str) -> Result<String> {
    match rows::ALL.iter().any(|row| row.id == name) {
        true => Ok(name.to_owned()),
        false => bail!("there is no row {name}; there are {}", rows::names()),
    }
}
