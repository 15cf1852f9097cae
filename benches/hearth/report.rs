//! What a run found: figure, floor, ratio, target, met or not. The JSON of `--json` is [`Report`] as it
//! stands here; the table and the documents are made from it, and nothing else is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Changes whenever a field changes its meaning or goes; new fields do not change it.
pub const SCHEMA: u32 = 1;

/// Characters of a reason in the table.
const REASON: usize = 120;

/// Starts by what stood ready.
pub type Starts = BTreeMap<String, u64>;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Of the sources, with `+` behind it if they had been changed since.
    pub commit: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// How long it took.
    pub seconds: f64,
    /// Whether it was the short one.
    pub short: bool,
    /// How it is run again.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// One for each row that was asked for, in the order of the table.
    pub rows: Vec<RowReport>,
}

/// What figures depend on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// As the processor calls itself.
    pub processor: String,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Python that functions run on.
    pub python: String,
    /// Node that functions run on.
    pub node: String,
}

/// One row.
#[derive(Debug, Serialize, Deserialize)]
pub struct RowReport {
    /// Its name.
    pub row: String,
    /// What is measured.
    pub what: String,
    /// What the floor is.
    pub floor_is: String,
    /// What is asked of it, in words.
    pub target: String,
    /// How it went.
    pub outcome: Outcome,
    /// Why there are no figures, or why they do not count.
    pub reason: Option<String>,
    /// How long it took, set-up included.
    pub seconds: f64,
    /// Instances that were started while ours was measured, by what stood ready for them, as the
    /// daemon's own metrics say.
    pub starts: Starts,
    /// What was measured.
    pub figures: Vec<Figure>,
}

/// How a row went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// There are figures.
    Measured,
    /// There are figures, but of something else than the row is about. No target of it is met.
    SomethingElse,
    /// The daemon cannot do it. No target of it is met.
    NotThere,
    /// What it is measured beside is not on this machine.
    NotInstalled,
    /// Something broke. No target of it is met.
    Failed,
}

/// One figure of a row.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What it is, such as `p50`.
    pub figure: String,
    /// Ours.
    pub ours: f64,
    /// The floor's, where there is one.
    pub floor: Option<f64>,
    /// Of both.
    pub unit: String,
    /// Ours by the floor's.
    pub ratio: Option<f64>,
    /// What the ratio or the figure should be.
    pub target: Option<Target>,
    /// Whether it is; nothing where nothing is asked.
    pub met: Option<bool>,
    /// Samples of ours.
    pub samples: usize,
}

/// What is held against what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Not more than this many times the floor.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
    /// The figure itself, in its unit: not more.
    Within(f64),
    /// The figure itself, in its unit: not less.
    NotBelow(f64),
}

/// What one row measured.
#[derive(Debug, Default)]
pub struct Finding {
    /// In the order of the table.
    pub figures: Vec<Figure>,
    /// As [`RowReport::starts`].
    pub starts: Starts,
    /// Why the figures are those of something else.
    pub something_else: Option<String>,
}

/// Why a row has no figures, other than that something broke.
#[derive(Debug, thiserror::Error)]
pub enum Unmeasured {
    /// The daemon cannot do it.
    #[error("{0}")]
    NotThere(String),
    /// What it would be measured beside is missing.
    #[error("{0}")]
    NotInstalled(String),
}

// === impl Figure ===

impl Figure {
    /// One figure, judged.
    pub fn new(
        figure: impl Into<String>,
        (ours, floor): (f64, Option<f64>),
        unit: &str,
        target: Option<Target>,
        samples: usize,
    ) -> Self {
        let ratio = floor.map(|floor| ours / floor);
        let met = match target {
            None => None,
            Some(Target::AtMost(limit)) => ratio.map(|ratio| ratio <= limit),
            Some(Target::AtLeast(limit)) => ratio.map(|ratio| ratio >= limit),
            Some(Target::Within(limit)) => Some(ours <= limit),
            Some(Target::NotBelow(limit)) => Some(ours >= limit),
        };
        Self {
            figure: figure.into(),
            ours,
            floor,
            unit: unit.to_owned(),
            ratio,
            target,
            met,
            samples,
        }
    }
}

// === impl Finding ===

impl From<Vec<Figure>> for Finding {
    fn from(figures: Vec<Figure>) -> Self {
        Self { figures, ..Self::default() }
    }
}

// === impl Report ===

impl Report {
    /// For people, as a Markdown table.
    pub fn table(&self) -> String {
        let mut out = String::from(
            "| row | figure | ours | floor | ratio | target | met | n |\n|---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            for figure in &row.figures {
                out.push_str(&figure.line(row));
            }
            if row.figures.is_empty() {
                let (met, why) = (row.outcome.met(), row.why());
                let line =
                    format!("| {} | – | – | – | – | {} | {met}{why} | 0 |\n", row.row, row.target);
                out.push_str(&line);
            }
        }
        out
    }
}

// === impl Figure ===

impl Figure {
    fn line(&self, row: &RowReport) -> String {
        const NOTHING: &str = "–";
        let target = match self.target {
            Some(Target::AtMost(limit)) => format!("≤ {limit} ×"),
            Some(Target::AtLeast(limit)) => format!("≥ {limit} ×"),
            Some(Target::Within(limit)) => format!("≤ {limit} {}", self.unit),
            Some(Target::NotBelow(limit)) => format!("≥ {limit} {}", self.unit),
            None => NOTHING.to_owned(),
        };
        let met = match (self.met, row.outcome) {
            (None, _) => NOTHING.to_owned(),
            (Some(_), Outcome::SomethingElse) => format!("no: {}", row.why()),
            (Some(true), Outcome::Measured) => "yes".to_owned(),
            _ => "no".to_owned(),
        };
        let floor = self.floor.map(|floor| format!("{} ({})", number(floor), row.floor_is));
        let ratio = self.ratio.map(number);
        format!(
            "| {} | {} | {} {} | {} | {} | {target} | {met} | {} |\n",
            row.row,
            self.figure,
            number(self.ours),
            self.unit,
            floor.as_deref().unwrap_or(NOTHING),
            ratio.as_deref().unwrap_or(NOTHING),
            self.samples,
        )
    }
}

// === impl RowReport ===

impl RowReport {
    /// The reason as it fits into a line of the table; whole in the JSON.
    fn why(&self) -> String {
        let words = self.reason.as_deref().unwrap_or("–").replace('|', "/");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        match words.char_indices().nth(REASON) {
            Some((end, _)) => format!("{} …", &words[..end]),
            None => words,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// How the column begins where there are no figures.
    fn met(self) -> &'static str {
        match self {
            Self::NotInstalled => "– ",
            Self::NotThere => "no: not there: ",
            Self::Measured | Self::SomethingElse | Self::Failed => "no: ",
        }
    }
}

/// Three digits or more, and no more behind the point than that takes.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Median and 99th percentile of one comparison, latencies in microseconds.
pub fn percentiles(
    ours: Vec<Duration>,
    floor: Vec<Duration>,
    targets: [Option<Target>; 2],
) -> Vec<Figure> {
    let (ours, floor) = (sorted(ours), sorted(floor));
    [("p50", 0.5, targets[0]), ("p99", 0.99, targets[1])]
        .map(|(what, share, target)| {
            let pair = (percentile(&ours, share), floor_of(&floor, share));
            Figure::new(what, pair, "µs", target, ours.len())
        })
        .into()
}

fn floor_of(sorted: &[Duration], share: f64) -> Option<f64> {
    (!sorted.is_empty()).then(|| percentile(sorted, share))
}

/// In order, for [`percentile`].
pub fn sorted(mut samples: Vec<Duration>) -> Vec<Duration> {
    samples.sort_unstable();
    samples
}

/// Microseconds below which that share of sorted samples lies.
pub fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
    sorted[index].as_nanos() as f64 / 1e3
}
