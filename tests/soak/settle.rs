//! Waiting until the kernel has let go of what it lets go of late.

use std::time::{Duration, Instant};

use crate::counters::{Count, Exactness, Watched, sample};

/// It has let go by then, or it never does.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing must have changed to be at rest.
const STILL: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);

/// A sample of a machine at rest: its count of groups has not fallen for a while, and what is counted
/// exactly is back at what the first sample had.
///
/// A process that ends takes a moment for it, and has seven namespaces until then: one in the last
/// sample of a series looks like a line that rises. What leaks never comes back, however long one waits.
pub fn settled(watched: &[Watched], first: Option<&[Count]>) -> Vec<Count> {
    let begin = Instant::now();
    let mut now = sample(watched);
    let (mut least, mut since) = (groups(&now), Instant::now());
    loop {
        let back = first.is_none_or(|first| exact(&now) <= exact(first));
        if (since.elapsed() >= STILL && back) || begin.elapsed() >= PATIENCE {
            return now;
        }
        std::thread::sleep(PAUSE);
        now = sample(watched);
        if groups(&now) < least {
            (least, since) = (groups(&now), Instant::now());
        }
    }
}

fn groups(counts: &[Count]) -> f64 {
    sum(counts, |count| count.name.starts_with("groups"))
}

/// What the whole machine has of what is counted exactly.
fn exact(counts: &[Count]) -> f64 {
    sum(counts, |count| count.exactness == Exactness::Exact && !count.name.contains(':'))
}

fn sum(counts: &[Count], which: impl Fn(&Count) -> bool) -> f64 {
    counts.iter().filter(|count| which(count)).map(|count| count.value).sum()
}
