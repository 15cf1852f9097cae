//! Waiting until the kernel has let go of what it lets go of late.

use std::time::{Duration, Instant};

use crate::counters::sample;

/// It has let go by then, or it never does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the kernel has let go of what it lets go of late: until its count of groups has not
/// fallen for a while.
pub fn settle() {
    const STILL: Duration = Duration::from_millis(200);
    let begin = Instant::now();
    let (mut least, mut since) = (groups(), Instant::now());
    while since.elapsed() < STILL && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        let now = groups();
        if now < least {
            (least, since) = (now, Instant::now());
        }
    }
}

fn groups() -> f64 {
    sample(&[])
        .iter()
        .filter(|count| count.name.starts_with("groups"))
        .map(|count| count.value)
        .sum()
}
