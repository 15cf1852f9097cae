//! What is printed, and where: results on standard output, everything else on standard error.

use std::io::{self, Write};

use anyhow::Result;
use serde_json::Value;

/// A result for programs.
///
/// # Errors
/// If standard output is closed.
pub fn json(value: &Value) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// One line of a result.
///
/// # Errors
/// If standard output is closed.
pub fn line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// A result in columns; a heading is optional.
///
/// # Errors
/// If standard output is closed.
pub fn table(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
    let mut all: Vec<Vec<String>> = Vec::new();
    if !heading.is_empty() {
        all.push(heading.iter().map(|&cell| cell.to_owned()).collect());
    }
    all.extend(rows);
    let columns = all.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for row in &all {
        let mut out = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            out.push_str(&format!("{cell:width$}  "));
        }
        line(out.trim_end())?;
    }
    Ok(())
}

/// Something for the person, on standard error. A closed standard error is nobody's problem.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Names under `localhost` are not resolved by everything; the same URL by path is.
pub fn path_style(name: &str, url: &str) {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    if host.ends_with(".localhost") {
        say(&format!("also at http://127.0.0.1:{port}/{name}/"));
    }
}

/// A time of day, UTC, from milliseconds since the epoch.
pub fn time(ms: u64) -> String {
    match jiff::Timestamp::from_millisecond(ms as i64) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        Err(_) => ms.to_string(),
    }
}
