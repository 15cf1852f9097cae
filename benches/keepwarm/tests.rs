//! What the simulator's generator and machine promise; run by `cargo test`.

mod machine;
mod policy;
mod workload;

use machine::Machine;
use policy::{GreedyDual, Learned, Policy, Recent};
use workload::{CALLS_PER_DAY, Call, DAY, Function, MEMORY, Trigger, Workload, at};

const MINUTE: u64 = 60_000;
const MIB: u64 = 1 << 20;

/// The value that so many do not exceed.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(share * (values.len() - 1) as f64) as usize]
}

fn near(found: f64, wanted: f64, factor: f64) {
    assert!(found < wanted * factor && found > wanted / factor, "{found} for {wanted}");
}

/// One function of 100 MiB that takes a second to start, called at those times for a second each.
fn called(times: &[u64]) -> Workload {
    let function = Function { memory: 100 * MIB, start: 1_000, trigger: Trigger::Http };
    let calls = times.iter().map(|at| Call { at: *at, function: 0, takes: 1_000 });
    Workload { functions: vec![function], calls: calls.collect() }
}

fn cold(workload: &Workload, policy: Box<dyn Policy>) -> (u64, u64) {
    let tally = Machine::new(workload, 1 << 30, policy).run();
    assert_eq!(tally.refused, 0);
    (tally.cold, tally.ahead)
}

#[test]
fn the_same_seed_draws_the_same_day_and_another_one_another() {
    let sum = |seed| {
        let day = Workload::generate(seed, 20);
        day.calls.iter().map(|call| call.at ^ call.takes).fold(0, u64::wrapping_add)
    };
    assert_eq!(sum(7), sum(7));
    assert_ne!(sum(7), sum(8));
}

#[test]
fn a_day_has_the_figures_it_is_drawn_from() {
    let day = Workload::generate(1, 200);
    let mut counts = vec![0.0; day.functions.len()];
    for call in &day.calls {
        assert!(call.at <= DAY as u64 && call.takes > 0);
        counts[call.function] += 1.0;
    }
    // Sessions and batches come as they like; the middle of two hundred functions is where it is.
    for share in [0.5, 0.75, 0.9] {
        near(quantile(&mut counts, share), at(CALLS_PER_DAY, share), 2.0);
    }
    let mut memory: Vec<f64> =
        day.functions.iter().map(|function| (function.memory / MIB) as f64).collect();
    for share in [0.5, 0.9] {
        near(quantile(&mut memory, share), at(MEMORY, share), 1.2);
    }
    assert!(day.calls.is_sorted_by_key(|call| call.at));
}

#[test]
fn timers_are_regular_and_there_are_some_of_every_kind() {
    let day = Workload::generate(1, 100);
    let of = |trigger| day.functions.iter().filter(|one| one.trigger == trigger).count();
    assert!(of(Trigger::Timer) > 5 && of(Trigger::Queue) > 5 && of(Trigger::Http) > 30);
    for (number, function) in day.functions.iter().enumerate() {
        if function.trigger != Trigger::Timer {
            continue;
        }
        let times: Vec<u64> =
            day.calls.iter().filter(|call| call.function == number).map(|call| call.at).collect();
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        if let (Some(least), Some(most)) = (gaps.iter().min(), gaps.iter().max()) {
            assert!(most - least <= 2_001, "{least} to {most} ms");
        }
    }
}

#[test]
fn the_first_call_is_cold_and_the_next_within_the_time_one_is_kept_is_not() {
    let twice = called(&[0, 9 * MINUTE]);
    assert_eq!(cold(&twice, Box::new(Recent { keep: Some(10 * MINUTE) })).0, 1);
    assert_eq!(cold(&twice, Box::new(Recent { keep: Some(5 * MINUTE) })).0, 2);
    assert_eq!(cold(&twice, Box::new(GreedyDual::new(1))).0, 1);
    assert_eq!(cold(&twice, Box::new(Learned::new(1, 10 * MINUTE))).0, 1);
}

#[test]
fn who_calls_every_half_hour_is_waited_for_by_one_that_was_started_ahead() {
    let times: Vec<u64> = (0..20).map(|call| call * 30 * MINUTE).collect();
    let day = called(&times);
    assert_eq!(cold(&day, Box::new(Recent { keep: Some(10 * MINUTE) })).0, 20);
    // Three gaps make a caller regular: the fifth call and all after it find an instance.
    assert_eq!(cold(&day, Box::new(Learned::new(1, 10 * MINUTE))), (4, 16));
}

#[test]
fn memory_is_given_back_between_the_calls_of_a_regular_caller() {
    let times: Vec<u64> = (0..20).map(|call| call * 30 * MINUTE).collect();
    let day = called(&times);
    let area = |policy: Box<dyn Policy>| Machine::new(&day, 1 << 30, policy).run().area;
    let (fixed, learned) = (
        area(Box::new(Recent { keep: Some(30 * MINUTE) })),
        area(Box::new(Learned::new(1, 10 * MINUTE))),
    );
    assert!(learned < fixed / 2.0, "{learned} of {fixed}");
}
