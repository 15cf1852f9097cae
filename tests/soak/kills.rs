//! Every victim at every arrow, again and again: exactly the baseline is left.
//!
//! The pairs of point and victim are those of the spawner's own tests, where each is tried once.
//! Here each is repeated, which is what finds a race beside an arrow, and the whole kernel is compared
//! before and after.

use std::sync::Mutex;

use crate::options::Options;
use crate::series::Series;
use crate::settle::settled;
use crate::spawner::kills::{Place, pairs};

/// One more would only wait for the others: a kill is a start, a cell and an end, all of them work.
const WORKERS: usize = 2;

/// Soak `kills`.
pub fn nothing_is_left_at_any_arrow(options: &Options) {
    let pairs = pairs();
    println!("{} pairs of point and victim, {} times each", pairs.len(), options.repeats);
    let mut series = Series::default();
    let mut kills = 0;
    for _ in 0..options.repeats {
        let queue = Mutex::new(pairs.clone());
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let place = Place::new();
                    while let Some((point, victim)) = next(&queue) {
                        place.kill_at(point, victim);
                    }
                });
            }
        });
        kills += u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        let counts = settled(&[], series.first());
        series.push(kills, counts);
    }
    println!("\n{kills} kills\n\n{}", series.table());
    series.must_not_rise();
}

fn next<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()
}
