//! Thousands of events, processes that die, disks that fail; a model judges what came of it.
//!
//! Several lives on one queue. In each, events are accepted by many callers at once, while at every
//! durable step, picked at random, the process dies (what it had not committed is not there), the
//! disk is full, or `fsync` fails; some lives end at a random moment instead. Between two of them the
//! clock jumps. The last life has no faults and goes on until nothing is queued.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::RequestId;
use store::StorageError;
use store::events::{Fault, Probe, Step};
use tokio::task::JoinSet;

use super::world::{NOW, PACE, Place, Seen, call, empty};
use crate::policy::RETRIES;

/// Lives with faults; more of them, if they were so short that too little was accepted.
const LIVES: u32 = 8;
/// Events that have to be accepted, so that something is said.
const ENOUGH: usize = 500;
/// Events that callers try to have accepted in each.
const EVENTS: u64 = 400;
/// Callers at once.
const CALLERS: u64 = 16;

/// SplitMix64 (Steele, Lea, Flood 2014): a few lines, and the same numbers everywhere.
struct Dice(AtomicU64);

impl Dice {
    fn throw(&self) -> u64 {
        let seed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one_in(&self, sides: u64) -> bool {
        self.throw().is_multiple_of(sides)
    }
}

/// What callers were promised: how often an event is to fail.
type Promised = Arc<Mutex<BTreeMap<RequestId, u32>>>;

/// Faults at steps picked at random.
fn faults(dice: Arc<Dice>, seen: Arc<Mutex<BTreeMap<String, u32>>>) -> Probe {
    Box::new(move |step| {
        let fault = match step {
            Step::Filled | Step::Committed if dice.one_in(150) => Some(Fault::Dead),
            Step::Filled if dice.one_in(40) => Some(Fault::Full),
            Step::Filled | Step::Committed if dice.one_in(60) => Some(Fault::Io),
            Step::Reopening if dice.one_in(4) => Some(Fault::Io),
            _ => None,
        };
        if let Some(fault) = fault {
            *seen.lock().unwrap().entry(format!("{step:?} {fault:?}")).or_default() += 1;
        }
        fault
    })
}

/// One life: how long it was, in its own milliseconds.
fn live(place: &Place, now_ms: u64, probe: Probe, dice: &Arc<Dice>, promised: &Promised) -> u64 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let began = std::time::Instant::now();
    runtime.block_on(async {
        let events = Arc::new(place.start_probed(now_ms, probe));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (events, promised, dice) =
                (Arc::clone(&events), Arc::clone(promised), Arc::clone(dice));
            callers.spawn(async move {
                for _ in 0..EVENTS / CALLERS {
                    let throttles = if dice.one_in(10) { 1 + dice.throw() % 3 } else { 0 };
                    let failures = if dice.one_in(4) { 1 + dice.throw() % 4 } else { 0 };
                    let call = call(1 + dice.throw() % 4, throttles as u32, failures as u32);
                    match events.accept(call.clone()).await {
                        Ok(()) => {
                            promised.lock().unwrap().insert(call.id, failures as u32);
                        }
                        Err(StorageError::Closed) => return,
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            });
        }
        while callers.join_next().await.is_some() {}
        // Up to four minutes more of retries and deaths.
        tokio::time::sleep(Duration::from_millis(dice.throw() % 240)).await;
    });
    // Whatever was under way is not.
    runtime.shutdown_background();
    began.elapsed().as_millis() as u64 * u64::from(PACE)
}

#[test]
fn nothing_that_was_accepted_is_lost_whatever_dies_or_fails_and_whenever() {
    let seed = model::id::random_bytes()[..8].try_into().map(u64::from_le_bytes).unwrap();
    println!("seed {seed:#x}");
    let dice = Arc::new(Dice(AtomicU64::new(seed)));
    let place = Place::new();
    let promised = Promised::default();
    let happened = Arc::default();
    let mut now = NOW;
    let mut lives = 0;
    while lives < LIVES || promised.lock().unwrap().len() < ENOUGH {
        lives += 1;
        let probe = faults(Arc::clone(&dice), Arc::clone(&happened));
        now += live(&place, now, probe, &dice, &promised);
        match dice.throw() % 4 {
            0 => now += 600_000,
            1 => now -= 900_000,
            _ => {}
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { empty(&place.start(now)).await });
    let promised = promised.lock().unwrap();
    println!("{} were accepted; faults: {:?}", promised.len(), happened.lock().unwrap());
    for (id, failures) in &*promised {
        let seen = place.world.of(id);
        judge(&seen, *failures, lives).unwrap_or_else(|wrong| panic!("{id}: {wrong}: {seen:?}"));
    }
}

/// Whether that may have become of an event that was accepted and is to fail so often. Each life can
/// have been interrupted in the middle of one attempt, which does not count.
fn judge(seen: &Seen, failures: u32, interrupted: u32) -> Result<(), &'static str> {
    if seen.calls == 0 {
        return Err("it was never delivered");
    }
    if seen.failures > RETRIES + 1 + interrupted {
        return Err("it was tried too often");
    }
    let conditions: Vec<&str> = seen.records.iter().map(|(_, what)| what.as_str()).collect();
    match conditions[..] {
        [] => Err("nobody was told how it ended"),
        ["Success"] if seen.successes == 0 => Err("a success was told of a failure"),
        ["Success"] => Ok(()),
        ["RetriesExhausted"] if failures <= RETRIES => Err("it was given up too early"),
        ["RetriesExhausted"] if seen.failures <= RETRIES => Err("it was tried too seldom"),
        ["RetriesExhausted"] => Ok(()),
        [_] => Err("it ended in a way that it had no reason to"),
        _ => Err("its end was told twice"),
    }
}
