//! An ordered map whose copies share almost everything.
//!
//! Entries lie in sorted runs of at most [`RUN`]; a copy copies the list of runs, a change copies one
//! run. With 100,000 entries that is some 800 pointers and 256 more per change, and a lookup is two
//! binary searches. A hash map would look up a little faster and could not be listed page by page.

use std::sync::Arc;

/// Entries of one run at most: the square root of the largest size that matters, roughly, which
/// balances the two copies.
const RUN: usize = 256;
/// Entries of a run that is made of many at once: room for some more before it is split.
const FILLED: usize = RUN * 3 / 4;

/// What knows its own key.
pub(crate) trait Keyed {
    /// What entries are ordered by.
    type Key: Ord + ?Sized;

    /// The key; unique within a map, and never different for the same entry.
    fn key(&self) -> &Self::Key;
}

/// Entries in the order of their keys.
#[derive(Debug)]
pub(crate) struct Ordered<T> {
    /// Never empty runs, each sorted, in order.
    runs: Vec<Arc<Vec<Arc<T>>>>,
    /// Entries in all of them.
    len: usize,
}

// === impl Ordered ===

impl<T> Clone for Ordered<T> {
    fn clone(&self) -> Self {
        Self { runs: self.runs.clone(), len: self.len }
    }
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self { runs: Vec::new(), len: 0 }
    }
}

impl<T: Keyed> Ordered<T> {
    /// All of these, no two of which have the same key: one sort instead of a search for each.
    pub(crate) fn of(mut entries: Vec<Arc<T>>) -> Self {
        entries.sort_by(|one, other| one.key().cmp(other.key()));
        let runs = entries.chunks(FILLED).map(|run| Arc::new(run.to_vec())).collect();
        Self { runs, len: entries.len() }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The entry of a key.
    pub(crate) fn get(&self, key: &T::Key) -> Option<&Arc<T>> {
        let run = &self.runs[self.run_of(key)?];
        run.binary_search_by(|entry| entry.key().cmp(key)).ok().map(|at| &run[at])
    }

    /// Puts an entry in the place of its key; gives back what was there.
    pub(crate) fn insert(&mut self, entry: Arc<T>) -> Option<Arc<T>> {
        let Some(index) = self.run_of(entry.key()).or((!self.runs.is_empty()).then_some(0)) else {
            self.runs.push(Arc::new(vec![entry]));
            self.len = 1;
            return None;
        };
        let run = Arc::make_mut(&mut self.runs[index]);
        match run.binary_search_by(|other| other.key().cmp(entry.key())) {
            Ok(at) => Some(std::mem::replace(&mut run[at], entry)),
            Err(at) => {
                run.insert(at, entry);
                self.len += 1;
                if run.len() > RUN {
                    let upper = run.split_off(RUN / 2);
                    run.shrink_to_fit();
                    self.runs.insert(index + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &T::Key) -> Option<Arc<T>> {
        let index = self.run_of(key)?;
        let at = self.runs[index].binary_search_by(|entry| entry.key().cmp(key)).ok()?;
        let run = Arc::make_mut(&mut self.runs[index]);
        let entry = run.remove(at);
        self.len -= 1;
        if run.is_empty() {
            self.runs.remove(index);
        }
        Some(entry)
    }

    /// Everything whose key is greater than `after`, in order; without it, everything.
    pub(crate) fn after<'a>(
        &'a self,
        after: Option<&T::Key>,
    ) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        let (index, at) = match after {
            None => (0, 0),
            Some(key) => {
                let index = self.run_of(key).unwrap_or(0);
                let at = self
                    .runs
                    .get(index)
                    .map_or(0, |run| run.partition_point(|entry| entry.key() <= key));
                (index, at)
            }
        };
        self.runs[index..].iter().flat_map(|run| run.iter()).skip(at)
    }

    /// The run a key is in, if it is in any: the last whose first key is not greater.
    fn run_of(&self, key: &T::Key) -> Option<usize> {
        self.runs.partition_point(|run| run[0].key() <= key).checked_sub(1)
    }
}

#[cfg(test)]
mod tests;
