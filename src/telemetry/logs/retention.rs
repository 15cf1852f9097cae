//! What has to go: by age, by the size of a group, by the size of everything.
//!
//! Logs go a whole segment at a time, oldest first. When everything together is too large, the
//! largest group pays: a function that prints without end displaces its own logs, not those of a
//! quiet neighbour.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;

use super::Limits;
use super::catalog::{Catalog, Entry};

/// A segment that was taken out of the catalog and whose files are still there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Victim {
    /// Its group.
    pub(super) group: Arc<str>,
    /// Where it is.
    pub(super) dir: PathBuf,
    /// Its number.
    pub(super) number: u64,
}

/// Takes what is over a limit out of the catalog.
pub(super) fn choose(catalog: &mut Catalog, limits: &Limits, now_ms: u64) -> Vec<Victim> {
    let mut victims = Vec::new();
    let oldest = now_ms.saturating_sub(limits.max_age_ms());
    for (name, group) in &mut catalog.groups {
        while group.has_expired(oldest) || group.bytes() > limits.group_bytes {
            victims.extend(group.take_oldest(name));
        }
    }
    let mut total = catalog.bytes();
    while total > limits.total_bytes {
        // Of two that are equally large, the one whose logs are older.
        let size =
            |group: &Entry| (group.bytes(), group.segments.front().map(|s| Reverse(s.number)));
        let largest = catalog.groups.iter_mut().max_by_key(|(_, group)| size(group));
        let Some((name, group)) = largest else { break };
        total -= group.bytes();
        victims.extend(group.take_oldest(name));
        total += group.bytes();
    }
    victims
}

impl Entry {
    /// Whether everything in the oldest segment was ingested before `oldest`.
    fn has_expired(&self, oldest: u64) -> bool {
        self.segments.front().is_some_and(|segment| {
            segment.extent.map_or(segment.number, |extent| extent.ingestion_ms) < oldest
        })
    }

    fn take_oldest(&mut self, name: &Arc<str>) -> Option<Victim> {
        let segment = self.segments.pop_front()?;
        if self.segments.is_empty() {
            self.open = None;
        }
        Some(Victim { group: Arc::clone(name), dir: self.dir.clone(), number: segment.number })
    }
}
