//! Memory that a burst leaves with the control plane goes back to the machine.
//!
//! Requests and answers of megabytes come and go, and the C library keeps what they took for the next
//! ones: after 24 calls of 5.5 MB at once 60 MiB stayed with a process that needs four, for as long as
//! it ran. Nobody knows when the next burst comes, and functions could have the memory. So every half
//! minute, if nothing is being served, what has grown is given back: that takes milliseconds, in a
//! thread nobody waits for.

use std::convert::Infallible;
use std::time::Duration;

use pool::Pool;
use tokio::time::MissedTickBehavior;

/// Long enough that a burst is over, short enough that nobody misses what it took.
const LOOK: Duration = Duration::from_secs(30);
/// What it has to be worth; also how much of what was in use the last time may have come since.
const WORTH: u64 = 16 << 20;

/// Gives back what bursts have left, for ever.
pub async fn keep_giving(pool: &Pool) -> Infallible {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_use = u64::MAX;
    loop {
        ticks.tick().await;
        let stats = pool.stats();
        let Some(now) = anonymous() else { continue };
        in_use = in_use.min(now);
        if stats.busy + stats.waiting > 0 || now < in_use.saturating_add(WORTH) {
            continue;
        }
        let given = tokio::task::spawn_blocking(sandbox::sys::heap::give_back).await;
        // What is left is in use; a thread that ended in the middle gave nothing.
        in_use = anonymous().unwrap_or(now);
        let given = given.unwrap_or(false);
        tracing::debug!(before = now, after = in_use, given, "freed memory was given back");
    }
}

/// Anonymous memory of this process, bytes.
fn anonymous() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}
