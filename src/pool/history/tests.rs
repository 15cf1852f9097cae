//! Promises about what is kept of cold starts.

use super::*;

fn cold(rung: Rung, init_ms: u64) -> ColdStart {
    let phases = Phases {
        acquire: Duration::from_millis(1),
        init: Duration::from_millis(init_ms),
        answer: Duration::from_millis(50),
        ..Phases::default()
    };
    ColdStart { rung, phases }
}

fn at(seconds: usize) -> Duration {
    Duration::from_secs(seconds as u64)
}

#[test]
fn starts_are_told_apart_by_rung_and_calls_are_counted_across_instances() {
    let history = History::default();
    let function = FunctionId(1);
    history.record(function, at(1), &cold(Rung::Spare, 2));
    history.record(function, at(2), &cold(Rung::Make, 40));
    history.record(function, at(3), &cold(Rung::Spare, 4));
    history.served(function, at(4), || 10);
    let seen = history.of(function, || 5);
    assert_eq!(seen.calls, 15);
    let of = |rung: Start| seen.rungs.iter().find(|found| found.rung == rung);
    let spare = of(Start::Spare).expect("two of them");
    assert_eq!((spare.count, spare.sum), (2, Duration::from_millis(8)));
    // Until the handler could be called: without what it took then.
    assert_eq!(spare.start.0, [3, 5, 5].map(Duration::from_millis));
    assert_eq!(spare.phases[5].0, [50; 3].map(Duration::from_millis));
    assert_eq!(of(Start::Make).map(|make| make.count), Some(1));
    assert_eq!(of(Start::Fork), None, "what served none is not shown");
}

#[test]
fn times_are_of_the_last_starts_and_counts_of_all() {
    let history = History::default();
    for number in 0..3 * RECENT {
        let init = if number < 2 * RECENT { 1_000 } else { 9 };
        history.record(FunctionId(1), at(number), &cold(Rung::Exec, init));
    }
    let seen = history.of(FunctionId(1), || 0);
    assert_eq!(seen.rungs[0].count, 3 * RECENT as u64);
    assert_eq!(seen.rungs[0].start.0, [10; 3].map(Duration::from_millis));
    assert!(history.functions()[&FunctionId(1)].rungs[2].recent.capacity() <= RECENT);
}

#[test]
fn of_too_many_functions_those_are_forgotten_that_were_started_longest_ago() {
    let history = History::default();
    for number in 0..=FUNCTIONS {
        history.record(FunctionId(number as u64), at(number), &cold(Rung::Spare, 1));
        // One that is started again and again is not the oldest.
        history.record(FunctionId(0), at(number), &cold(Rung::Spare, 1));
    }
    assert!(history.functions().len() <= FUNCTIONS);
    let known = |number: usize| !history.of(FunctionId(number as u64), || 0).rungs.is_empty();
    assert!(known(0) && known(FUNCTIONS) && known(FORGET + 1));
    assert!(!known(1) && !known(FORGET));
    // What is forgotten begins again.
    history.served(FunctionId(1), at(FUNCTIONS), || 7);
    assert_eq!(history.of(FunctionId(1), || 0).calls, 7);
}

#[test]
fn calls_of_a_function_without_a_cold_start_are_counted_and_an_instance_without_calls_is_not_kept()
{
    let history = History::default();
    history.served(FunctionId(1), at(1), || 2);
    history.served(FunctionId(2), at(1), || 0);
    let seen = history.of(FunctionId(1), || 1);
    assert_eq!((seen.calls, seen.rungs.len()), (3, 0));
    assert_eq!(history.functions().len(), 1);
    // It is not the first to be forgotten for it.
    assert_eq!(history.functions()[&FunctionId(1)].last, at(1));
}
