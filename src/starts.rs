//! What a function's calls found ready, as `hearth describe` shows it.
//!
//! The figures are those of `/metrics?function=NAME`, which is Prometheus' text: there is no second
//! spelling of them. A sample is a name, labels and a number; what is not known here is passed over.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use telemetry::metrics::function::{NAMES, PHASES, QUANTILES};

use crate::client::Client;
use crate::output;

/// The rungs of the ladder, the quickest first; warm is all that needed no start.
const RUNGS: [&str; 5] = ["spare", "snapshot", "fork", "exec", "make"];

/// Asks for them, and puts them into a document.
///
/// # Errors
/// What the daemon refuses; what is not Prometheus' text.
pub async fn ask(client: &Client, function: &str) -> Result<Value> {
    let path = format!("/metrics?function={function}");
    let answer = client.send("lambda", Method::GET, &path, &[], Bytes::new()).await?.accepted()?;
    read(std::str::from_utf8(&answer.body)?).context("the figures of its starts cannot be read")
}

/// Prints them as a table, beneath whatever stands above.
///
/// # Errors
/// If standard output is closed.
pub fn show(starts: &Value) -> Result<()> {
    let Some(rungs) = starts["Rungs"].as_array().filter(|rungs| !rungs.is_empty()) else {
        return output::line("\nno calls since the daemon started");
    };
    output::line("")?;
    let mut heading = vec!["STARTED", "CALLS", "SHARE", "P50", "P90", "P99"];
    let phases: Vec<String> = PHASES.iter().map(|phase| phase.to_uppercase()).collect();
    heading.extend(phases.iter().map(String::as_str));
    // The last is no part of the start.
    if let Some(answer) = heading.last_mut() {
        *answer = "FIRST EVENT TOOK";
    }
    let rows = rungs.iter().map(|rung| {
        let share = rung["Share"].as_f64().unwrap_or_default() * 100.0;
        let name = rung["Rung"].as_str().unwrap_or_default().to_owned();
        let mut row = vec![name, rung["Count"].to_string(), format!("{share:.2} %")];
        let quantiles = QUANTILES.iter().map(|(_, quantile)| &rung["StartMs"][quantile]);
        let halves = PHASES.iter().map(|phase| &rung["PhasesMs"][phase][QUANTILES[0].1]);
        row.extend(quantiles.chain(halves).map(|ms| match ms.as_f64() {
            Some(ms) => format!("{ms:.2} ms"),
            None => String::new(),
        }));
        row
    });
    output::table(&heading, rows)?;
    output::say(
        "All versions together. Times are of the last starts of each kind, until the handler could be \
         called; their parts, and what the first event took then, at the median. Starts that nobody \
         waited for, because they were provisioned or made ahead, are not in the table: their calls are \
         warm.",
    );
    Ok(())
}

fn read(text: &str) -> Result<Value> {
    let [calls, starts, phases] = NAMES;
    let count_name = format!("{starts}_count");
    let mut total = 0;
    let mut rungs = serde_json::Map::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, number) = line.rsplit_once(' ').context("a sample without a number")?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |key: &str| {
            let pairs = labels.trim_end_matches('}').split(',');
            let value =
                pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == key);
            value.map(|(_, value)| value.trim_matches('"').to_owned())
        };
        let number: f64 = number.parse().with_context(|| format!("{number} is not a number"))?;
        if name == calls {
            total = number as u64;
        }
        let Some(rung) = label("rung") else { continue };
        let rung = rungs.entry(rung).or_insert_with(|| json!({}));
        // Seconds to milliseconds, to the microsecond.
        let ms = (number * 1e6).round() / 1e3;
        match (label("phase"), label("quantile")) {
            (None, Some(quantile)) if name == starts => rung["StartMs"][quantile] = json!(ms),
            (Some(phase), Some(quantile)) if name == phases => {
                rung["PhasesMs"][phase][quantile] = json!(ms);
            }
            _ if name == count_name => rung["Count"] = json!(number as u64),
            _ => {}
        }
    }
    let cold: u64 = rungs.values().filter_map(|rung| rung["Count"].as_u64()).sum();
    // An instance is counted before its start is.
    let total = total.max(cold);
    let share = |count: u64| if total == 0 { 0.0 } else { count as f64 / total as f64 };
    let mut list = Vec::new();
    if total > 0 {
        let warm = total - cold;
        list.push(json!({ "Rung": "warm", "Count": warm, "Share": share(warm) }));
    }
    for name in RUNGS {
        let Some(mut rung) = rungs.remove(name) else { continue };
        rung["Rung"] = json!(name);
        rung["Share"] = json!(share(rung["Count"].as_u64().unwrap_or_default()));
        list.push(rung);
    }
    Ok(json!({ "Calls": total, "Rungs": list }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use telemetry::metrics::{FunctionStarts, Quantiles, RungStarts, Start};

    use super::*;

    #[test]
    fn what_a_daemon_writes_is_read_back() {
        let of = |ms: u64| Quantiles::of(vec![Duration::from_millis(ms)]);
        let rung = |rung, count, ms| RungStarts {
            rung,
            count,
            sum: Duration::ZERO,
            start: of(ms),
            phases: [of(1); PHASES.len()],
        };
        let rungs = vec![rung(Start::Make, 1, 40), rung(Start::Spare, 4, 2)];
        let seen = read(&FunctionStarts { calls: 20, rungs }.render("echo")).expect("text");
        assert_eq!(seen["Calls"], 20);
        let names: Vec<_> = (0..3).map(|at| &seen["Rungs"][at]["Rung"]).collect();
        assert_eq!(names, ["warm", "spare", "make"]);
        assert_eq!(seen["Rungs"][0]["Count"], 15);
        assert_eq!(seen["Rungs"][1]["Share"], 0.2);
        assert_eq!(seen["Rungs"][1]["StartMs"]["0.99"], 2.0);
        assert_eq!(seen["Rungs"][2]["PhasesMs"]["answer"]["0.5"], 1.0);
    }

    #[test]
    fn a_function_that_was_never_called_has_no_rungs() {
        let seen = read(&FunctionStarts::default().render("echo")).expect("text");
        assert_eq!(seen["Rungs"], json!([]));
        assert!(read("not a sample").is_err());
    }
}
