//! What a daemon counts itself: which rung of the ladder served a start is asked there, so that a row
//! cannot measure another one without anybody noticing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;
use crate::report::Starts;

/// Longest wait for something that a daemon does in the background.
const SETTLED: Duration = Duration::from_secs(60);
/// How often it is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(2);

/// All series at one moment.
pub struct Metrics(BTreeMap<String, f64>);

// === impl Metrics ===

impl Metrics {
    /// Starts so far, by what stood ready.
    pub fn starts(&self) -> Starts {
        self.family("hearth_starts_total").map(|(rung, count)| (rung, count as u64)).collect()
    }

    /// Instances that wait for an event, frozen or not.
    pub fn idle(&self) -> usize {
        let waiting = ["idle", "frozen"].map(|state| self.labelled("hearth_instances", state));
        waiting.into_iter().flatten().sum::<f64>() as usize
    }

    /// A series without labels; nothing where this daemon has none of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// A series of a family with one label.
    pub fn labelled(&self, family: &str, value: &str) -> Option<f64> {
        self.family(family).find(|(label, _)| label == value).map(|(_, count)| count)
    }

    fn family(&self, name: &str) -> impl Iterator<Item = (String, f64)> {
        self.0.iter().filter_map(move |(series, count)| {
            let labels = series.strip_prefix(name)?.strip_prefix('{')?;
            let value = labels.split('"').nth(1)?;
            Some((value.to_owned(), *count))
        })
    }
}

impl std::str::FromStr for Metrics {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        let parsed = series.map(|(name, value)| Ok((name.to_owned(), value.parse()?)));
        parsed.collect::<Result<_, _>>().map(Self)
    }
}

/// What was counted between two moments.
pub fn between(before: &Starts, after: &Starts) -> Starts {
    let more = after.iter().map(|(rung, count)| {
        (rung.clone(), count - before.get(rung).copied().unwrap_or(0).min(*count))
    });
    more.filter(|(_, count)| *count > 0).collect()
}

// === impl Daemon ===

impl Daemon {
    /// Asks for them.
    pub fn metrics(&self) -> Result<Metrics> {
        let shot = self.signed("GET", "/metrics", b"")?;
        let mut connection = crate::client::Connection::open(self.api)?;
        let (_, body) = connection.fire(&shot)?;
        std::str::from_utf8(body)?.parse().context("the metrics make no sense")
    }

    /// Waits until they say what is wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Result<Metrics> {
        let deadline = Instant::now() + SETTLED;
        loop {
            let metrics = self.metrics()?;
            if wanted(&metrics) {
                return Ok(metrics);
            }
            ensure!(Instant::now() < deadline, "it never came to it that {what}");
            std::thread::sleep(PAUSE);
        }
    }
}
