//! `docs/benchmarks.md`, written from a run's JSON: what stands between two markers is ours, the rest is
//! somebody's who thought about the figures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::report::{Report, SCHEMA};
use crate::rows;

/// Writes a run into the document.
pub fn write(json: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(json).with_context(|| format!("{}", json.display()))?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("{} is no run's JSON", json.display()))?;
    ensure!(report.schema == SCHEMA, "it is schema {}, and this is {SCHEMA}", report.schema);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let document = fs::read_to_string(&path)?;
    let document = replaced(&document, "rows", &explained())?;
    let document = replaced(&document, "figures", &figures(&report))?;
    fs::write(&path, document)?;
    Ok(path)
}

/// What every row is.
fn explained() -> String {
    let mut out = String::from("| row | what | floor | target |\n|---|---|---|---|\n");
    for row in rows::ALL {
        out.push_str(&format!("| {} | {} | {} | {} |\n", row.id, row.what, row.floor, row.target));
    }
    out
}

/// Where and when it was measured, and the table.
fn figures(report: &Report) -> String {
    let machine = &report.machine;
    let day = report.began.split('T').next().unwrap_or_default();
    let Report { commit, seconds, command, .. } = report;
    let starts: Vec<String> = report
        .rows
        .iter()
        .filter(|row| !row.starts.is_empty())
        .map(|row| {
            let rungs = row.starts.iter().map(|(rung, count)| format!("{count} {rung}"));
            format!("{}: {}", row.row, rungs.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let mut out = format!(
        "Commit {commit} ({day}), {} cores ({}), {} MiB, Linux {}, {}, Node {}; `{command}`, {seconds:.0} s:\n\n{}",
        machine.cores,
        machine.processor,
        machine.memory_mib,
        machine.kernel,
        machine.python,
        machine.node,
        report.table()
    );
    if !starts.is_empty() {
        let starts = starts.join("; ");
        out.push_str(&format!(
            "\nStarts by what stood ready, as the daemon counted them: {starts}.\n"
        ));
    }
    out
}

/// The document with something else between the markers of `name`.
fn replaced(document: &str, name: &str, text: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|which| format!("<!-- {name}: {which} -->\n"));
    let (before, rest) =
        document.split_once(&begin).with_context(|| format!("the document has no {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("the document has no {end}"))?;
    Ok(format!("{before}{begin}{text}{end}{after}"))
}
