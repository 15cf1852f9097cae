//! How many cold starts for how much memory: Hearth's way of keeping instances, and three others.
//!
//! ```text
//! cargo bench --bench keepwarm
//! ```
//!
//! A simulation and no measurement: nothing is started, and the same table comes out on every machine,
//! in a minute or two. [`workload`] draws days of calls, [`machine`] lives through one with so much
//! memory, [`policy`] decides; Hearth's policy is the daemon's own code.
//!
//! The table has, for each amount of memory, the share of calls that were cold starts, what an average
//! call waited for them, and what memory was in use on average.

mod machine;
mod policy;
mod workload;

use std::io::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use machine::{Machine, Tally};
use policy::{GreedyDual, Learned, Policy, Recent};
use workload::{DAY, Trigger, Workload};

/// Days that are drawn.
const SEEDS: [u64; 3] = [1, 2, 3];
/// Functions of each. One instance of each of them is 23 GiB.
const FUNCTIONS: usize = 150;
/// Memory of the machine, GiB: from little more than what is busy to one of everything.
const SIZES: [u64; 6] = [4, 6, 8, 12, 16, 24];
const MINUTE: u64 = 60_000;

/// The policies, as the table names them.
const POLICIES: [&str; 5] =
    ["ten minutes", "least recent", "greedy-dual", "Hearth, 10 min", "Hearth, 4 h"];
/// Those that are ours.
const OURS: usize = 3;

fn policy(which: usize) -> Box<dyn Policy> {
    match which {
        0 => Box::new(Recent { keep: Some(10 * MINUTE) }),
        1 => Box::new(Recent { keep: None }),
        2 => Box::new(GreedyDual::new(FUNCTIONS)),
        3 => Box::new(Learned::new(FUNCTIONS, 10 * MINUTE)),
        _ => Box::new(Learned::new(FUNCTIONS, 240 * MINUTE)),
    }
}

fn main() -> io::Result<()> {
    let days: Vec<Workload> =
        SEEDS.iter().map(|seed| Workload::generate(*seed, FUNCTIONS)).collect();
    let results = all(&days);
    let mut out = io::stdout().lock();
    let calls: usize = days.iter().map(|day| day.calls.len()).sum();
    let of = |trigger| {
        let called = days.iter().flat_map(|day| &day.functions);
        called.filter(|function| function.trigger == trigger).count()
    };
    writeln!(
        out,
        "{} days of {FUNCTIONS} functions, {calls} calls; in all {} functions called over HTTP, {} from \
        queues, {} by timers\n",
        days.len(),
        of(Trigger::Http),
        of(Trigger::Queue),
        of(Trigger::Timer),
    )?;
    writeln!(out, "| memory | {} |", POLICIES.join(" | "))?;
    writeln!(out, "|---|{}", "---|".repeat(POLICIES.len()))?;
    for (size, row) in SIZES.iter().zip(&results) {
        let cells: Vec<String> = row.iter().map(cell).collect();
        writeln!(out, "| {size} GiB | {} |", cells.join(" | "))?;
    }
    writeln!(out, "\nIn each cell: cold starts, waited per call, memory in use on average.")?;
    for (size, row) in SIZES.iter().zip(&results) {
        let best = |range: &[Tally]| range.iter().map(share).fold(f64::INFINITY, f64::min);
        let (theirs, ours) = (best(&row[..OURS]), best(&row[OURS..]));
        let refused = row.iter().map(|tally| tally.refused).max().unwrap_or(0);
        let verdict = if ours <= theirs { "ahead" } else { "BEHIND" };
        writeln!(
            out,
            "{size} GiB: {verdict}, {:.2} of the best other's cold starts; at most {refused} refused",
            ours / theirs
        )?;
    }
    Ok(())
}

/// Every size with every policy: the sums over all days.
fn all(days: &[Workload]) -> Vec<Vec<Tally>> {
    let jobs = SIZES.len() * POLICIES.len() * days.len();
    let sums = Mutex::new(vec![vec![Tally::default(); POLICIES.len()]; SIZES.len()]);
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(4));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        return;
                    }
                    let (day, rest) = (job % days.len(), job / days.len());
                    let (which, size) = (rest % POLICIES.len(), rest / POLICIES.len());
                    let tally = Machine::new(&days[day], SIZES[size] << 30, policy(which)).run();
                    let mut sums = sums.lock().expect("nobody panicked");
                    add(&mut sums[size][which], &tally);
                }
            });
        }
    });
    sums.into_inner().expect("nobody panicked")
}

fn add(sum: &mut Tally, tally: &Tally) {
    sum.calls += tally.calls;
    sum.cold += tally.cold;
    sum.refused += tally.refused;
    sum.waited += tally.waited;
    sum.area += tally.area;
    sum.ahead += tally.ahead;
}

fn share(tally: &Tally) -> f64 {
    tally.cold as f64 / tally.calls as f64
}

fn cell(tally: &Tally) -> String {
    let waited = tally.waited as f64 / tally.calls as f64;
    let used = tally.area / (DAY * SEEDS.len() as f64) / f64::from(1 << 30);
    format!("{:.3} %, {waited:.2} ms, {used:.1} GiB", share(tally) * 100.0)
}
