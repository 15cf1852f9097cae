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
    /// The floor.
    pub floor: f64,
    /// Microseconds or answers per second.
    pub unit: &'static str,
    /// What the ratio should be.
    pub target: Target,
    /// Samples of each.
    pub samples: usize,
}

/// What a ratio is held against.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Not more than this many times the floor.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

/// All rows measured.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(&'static str, &'static str, Measured)>,
}

// === impl Measured ===

impl Measured {
    fn ratio(&self) -> f64 {
        self.figure / self.floor
    }

    fn met(&self) -> bool {
        match self.target {
            Target::AtMost(limit) => self.ratio() <= limit,
            Target::AtLeast(limit) => self.ratio() >= limit,
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
    let at = |sorted: &[Duration], share: f64| {
        let index = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
        sorted[index].as_nanos() as f64 / 1e3
    };
    [("p50", 0.5, targets[0]), ("p99", 0.99, targets[1])]
        .map(|(what, share, target)| Measured {
            what,
            figure: at(&ours, share),
            floor: at(&floor, share),
            unit: "µs",
            target,
            samples: ours.len(),
        })
        .into()
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
            let target = match one.target {
                Target::AtMost(limit) => format!("≤ {limit}"),
                Target::AtLeast(limit) => format!("≥ {limit}"),
            };
            out.push_str(&format!(
                "| {id} | {} | {:.0} {} | {:.0} ({floor}) | {:.2} | {target} | {} | {} |\n",
                one.what,
                one.figure,
                one.unit,
                one.floor,
                one.ratio(),
                if one.met() { "yes" } else { "no" },
                one.samples,
            ));
        }
        out
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(id, floor, one)| {
            let (bound, limit) = match one.target {
                Target::AtMost(limit) => ("at_most", limit),
                Target::AtLeast(limit) => ("at_least", limit),
            };
            json!({
                "row": id, "figure": one.what, "ours": one.figure, "floor": one.floor,
                "floor_is": floor, "unit": one.unit, "ratio": one.ratio(),
                "target": { bound: limit }, "met": one.met(), "samples": one.samples,
            })
        });
        Value::Array(rows.collect())
    }
}
