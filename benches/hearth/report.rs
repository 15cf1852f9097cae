//! The table: figure, floor, ratio, target, met or not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rows::Row;

/// What one row measured.
#[derive(Debug)]
pub struct Measured {
    /// What the figure is, such as `p50`.
    pub what: &'static str,
    /// Ours.
    pub figure: f64,
    /// The floor, where there is one.
    pub floor: Option<f64>,
    /// Microseconds, answers per second or KiB.
    pub unit: &'static str,
    /// What the ratio or the figure should be.
    pub target: Target,
    /// Samples of each.
    pub samples: usize,
}

/// What is held against what.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Not more than this many times the floor.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
    /// The figure itself, in its unit.
    Within(f64),
    /// For information.
    Shown,
}

/// All rows measured.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(&'static str, &'static str, Measured)>,
}

// === impl Measured ===

impl Measured {
    fn ratio(&self) -> Option<f64> {
        self.floor.map(|floor| self.figure / floor)
    }

    fn met(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(limit) => self.ratio().map(|ratio| ratio <= limit),
            Target::AtLeast(limit) => self.ratio().map(|ratio| ratio >= limit),
            Target::Within(limit) => Some(self.figure <= limit),
            Target::Shown => None,
        }
    }
}

/// Two percentiles of one comparison, latencies in microseconds.
pub fn percentiles(
    mut ours: Vec<Duration>,
    mut floor: Vec<Duration>,
    targets: [Target; 2],
) -> Vec<Measured> {
    ours.sort_unstable();
    floor.sort_unstable();
    [("p50", 0.5, targets[0]), ("p99", 0.99, targets[1])]
        .map(|(what, share, target)| Measured {
            what,
            figure: percentile(&ours, share),
            floor: Some(percentile(&floor, share)),
            unit: "µs",
            target,
            samples: ours.len(),
        })
        .into()
}

/// Microseconds below which that share of sorted samples lies.
pub fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
    sorted[index].as_nanos() as f64 / 1e3
}

// === impl Table ===

impl Table {
    /// Adds what a row measured.
    pub fn add(&mut self, row: &Row, measured: Vec<Measured>) {
        self.rows.extend(measured.into_iter().map(|one| (row.id, row.floor, one)));
    }

    /// For people, as a Markdown table.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "| row | figure | ours | floor | ratio | target | met | n |\n|---|---|---|---|---|---|---|---|\n",
        );
        for (id, floor, one) in &self.rows {
            let nothing = || "–".to_owned();
            let target = match one.target {
                Target::AtMost(limit) => format!("≤ {limit}"),
                Target::AtLeast(limit) => format!("≥ {limit}"),
                Target::Within(limit) => format!("≤ {limit} {}", one.unit),
                Target::Shown => nothing(),
            };
            let met = match one.met() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "–",
            };
            out.push_str(&format!(
                "| {id} | {} | {:.0} {} | {} | {} | {target} | {met} | {} |\n",
                one.what,
                one.figure,
                one.unit,
                one.floor.map_or_else(nothing, |value| format!("{value:.0} ({floor})")),
                one.ratio().map_or_else(nothing, |ratio| format!("{ratio:.2}")),
                one.samples,
            ));
        }
        out
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(id, floor, one)| {
            let target = match one.target {
                Target::AtMost(limit) => json!({ "at_most": limit }),
                Target::AtLeast(limit) => json!({ "at_least": limit }),
                Target::Within(limit) => json!({ "figure_at_most": limit }),
                Target::Shown => Value::Null,
            };
            json!({
                "row": id, "figure": one.what, "ours": one.figure, "floor": one.floor,
                "floor_is": floor, "unit": one.unit, "ratio": one.ratio(),
                "target": target, "met": one.met(), "samples": one.samples,
            })
        });
        Value::Array(rows.collect())
    }
}
