//! A start takes the best that stands ready, and no spare's end is a caller's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Runnable;
use pool::{Outcome, Rung};

use crate::rig::{Rig, Setup, eventually, function, invocation, runnable, text};

/// A pool with so many spares ready, and some cells.
async fn with_spares(spares: usize) -> Rig {
    let setup = Setup { ready_cells: 2, ready_spares: spares, ..Setup::default() };
    let rig = setup.start().await;
    stocked(&rig, spares).await;
    rig
}

async fn stocked(rig: &Rig, spares: usize) {
    eventually("the shelves are full", || {
        rig.pool.ready_spares() == spares && rig.pool.ready_cells() == 2
    })
    .await;
}

async fn first(rig: &Rig, function: &Arc<Runnable>) -> Outcome {
    rig.call(function).await.expect("an outcome")
}

fn rung(outcome: &Outcome) -> Rung {
    outcome.durations.cold.expect("a cold start").rung
}

/// Another function of the same kind.
fn other(handler: &str, number: u64) -> Arc<Runnable> {
    let generation = model::Generation(number);
    Arc::new(Runnable { generation, function: model::FunctionId(number), ..runnable(handler) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_call_is_served_by_a_spare_which_is_replaced() {
    let rig = with_spares(2).await;
    let made = rig.double.made();
    let outcome = first(&rig, &function("echo")).await;
    assert_eq!((text(&outcome).as_str(), rung(&outcome)), ("{\"n\":1}", Rung::Spare));
    let phases = outcome.durations.cold.expect("a cold start").phases;
    assert_eq!(phases.process, Duration::ZERO, "its process was there");
    stocked(&rig, 2).await;
    assert_eq!(rig.double.made(), made + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spare_has_its_functions_environment_and_limits_and_nothing_before() {
    let rig = with_spares(1).await;
    let mut own = runnable("env:COLOUR");
    own.environment = vec![("COLOUR".to_owned(), "blue".to_owned())];
    let outcome = first(&rig, &Arc::new(own)).await;
    assert_eq!((text(&outcome).as_str(), rung(&outcome)), ("blue", Rung::Spare));
    let limits = rig.double.assigned();
    assert_eq!(limits.iter().map(|limits| limits.memory_mib).collect::<Vec<_>>(), [128]);
    stocked(&rig, 1).await;
    assert_eq!(text(&first(&rig, &other("env:COLOUR", 2)).await), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_whose_variables_come_too_late_for_a_spare_is_executed() {
    let rig = with_spares(1).await;
    for (number, name) in
        ["LANG", "PYTHONHASHSEED", "LD_PRELOAD", "OMP_NUM_THREADS"].into_iter().enumerate()
    {
        let mut own = Runnable::clone(&other("argv", number as u64 + 2));
        own.environment = vec![(name.to_owned(), "1".to_owned())];
        let outcome = first(&rig, &Arc::new(own)).await;
        assert_ne!(rung(&outcome), Rung::Spare, "{name}");
        assert!(!text(&outcome).contains("spare"), "{name}");
        assert_eq!(rig.pool.ready_spares(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_runtime_takes_no_spare() {
    let rig = with_spares(1).await;
    let mut custom = Runnable { runtime: "provided.al2023".to_owned(), ..runnable("x") };
    custom.timeout = Duration::from_secs(1);
    let (pool, call) = (rig.pool.clone(), invocation(&Arc::new(custom)));
    let call = tokio::spawn(async move { pool.invoke(call).await });
    eventually("it has a session", || !rig.sessions.lock().unwrap().is_empty()).await;
    assert_eq!(rig.pool.ready_spares(), 1);
    call.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_the_spares_takes_cells_and_then_new_ones_and_is_answered() {
    let rig = with_spares(3).await;
    let function = function("slow:300");
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let (pool, call) = (rig.pool.clone(), invocation(&function));
            tokio::spawn(async move { pool.invoke(call).await })
        })
        .collect();
    let mut rungs = Vec::new();
    for call in calls {
        let outcome = call.await.expect("no panic").expect("an outcome");
        assert_eq!(text(&outcome), "{\"n\":1}");
        rungs.push(rung(&outcome));
    }
    rungs.sort();
    assert_eq!(rungs[..3], [Rung::Spare; 3], "{rungs:?}");
    assert_eq!(rungs[3..5], [Rung::Exec; 2], "{rungs:?}");
    assert!(rungs[5..].contains(&Rung::Make), "{rungs:?}");
    // Twelve were wanted at once, so twelve are kept from now on.
    stocked(&rig, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_spare_printed_is_in_nobodys_log() {
    let setup = Setup { ready_spares: 1, ..Setup::default() };
    let rig = setup.start().await;
    rig.double.behaviour.spares_print.store(true, Ordering::SeqCst);
    // Of those that were begun before that one may be among them.
    for number in 1..4 {
        eventually("a spare stands ready", || rig.pool.ready_spares() > 0).await;
        let outcome = first(&rig, &other("prints:1", number)).await;
        assert_eq!(rung(&outcome), Rung::Spare);
    }
    let words = rig.logs.words(3).await;
    let one = ["INIT_START", "START", "line", "no", "END", "REPORT"];
    assert_eq!(words, one.repeat(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn spares_that_died_on_the_shelf_are_never_handed_out_and_are_replaced() {
    let rig = with_spares(4).await;
    rig.double.kill_programs();
    // Whether the pool has noticed by now or not.
    let outcome = first(&rig, &function("echo")).await;
    assert_eq!(text(&outcome), "{\"n\":1}");
    stocked(&rig, 4).await;
    let outcome = first(&rig, &other("echo", 2)).await;
    assert_eq!((text(&outcome).as_str(), rung(&outcome)), ("{\"n\":1}", Rung::Spare));
    eventually("their cells are given back", || {
        let serving = 2;
        rig.double.living() as usize == serving + rig.pool.ready_spares() + rig.pool.ready_cells()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spare_that_dies_before_it_has_read_whose_it_is_costs_its_caller_nothing() {
    let setup = Setup { ready_cells: 1, ..Setup::default() };
    let rig = Setup { ready_spares: 2, ..setup }.start().await;
    rig.double.behaviour.spares_are_deaf.store(true, Ordering::SeqCst);
    for number in 1..9 {
        eventually("a spare stands ready", || rig.pool.ready_spares() > 0).await;
        let outcome = first(&rig, &other("who", number)).await;
        assert_eq!(outcome.function_error, None, "{:?}", outcome.payload);
        assert!(text(&outcome).ends_with(" 1\""), "{outcome:?}");
    }
    assert_eq!(rig.pool.stats().idle, 8);
    // And every one of them is a whole instance.
    for number in 1..9 {
        assert!(rig.answer(&other("who", number)).await.ends_with(" 2\""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_after_it_has_read_whose_it_is_is_the_functions() {
    let rig = with_spares(1).await;
    let said = rig.error(&function("init-exit:256")).await;
    assert!(said.contains("Runtime.ExitError") && said.contains("exit status 1"), "{said}");
    stocked(&rig, 1).await;
    let said = rig.error(&other("init-failed", 2)).await;
    assert_eq!(said, crate::programs::INIT_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn spares_that_cannot_be_made_are_tried_again_and_nobody_waits_for_them() {
    let setup = Setup { ready_spares: 2, ..Setup::default() };
    let rig = setup.start().await;
    rig.double.behaviour.spares_do_not_warm.store(true, Ordering::SeqCst);
    rig.answer(&function("echo")).await;
    rig.double.behaviour.refuse_spares.store(true, Ordering::SeqCst);
    rig.answer(&other("echo", 2)).await;
    eventually("nothing is left of what failed", || {
        rig.double.living() as usize == 2 + rig.pool.ready_spares()
    })
    .await;
    rig.double.behaviour.spares_do_not_warm.store(false, Ordering::SeqCst);
    rig.double.behaviour.refuse_spares.store(false, Ordering::SeqCst);
    eventually("spares stand ready after all", || rig.pool.ready_spares() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spares_give_way_to_instances_when_no_more_cells_can_live() {
    let setup = Setup { capacity: 4, ready_spares: 2, ..Setup::default() };
    let rig = setup.start().await;
    eventually("half of the places are spares", || rig.pool.ready_spares() == 2).await;
    let function = {
        let mut own = runnable("slow:300");
        own.environment = vec![("LANG".to_owned(), "C".to_owned())];
        Arc::new(own)
    };
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let (pool, call) = (rig.pool.clone(), invocation(&function));
            tokio::spawn(async move { pool.invoke(call).await })
        })
        .collect();
    for call in calls {
        let outcome = call.await.expect("no panic").expect("an outcome");
        assert_eq!(text(&outcome), "{\"n\":1}");
    }
    assert_eq!(rig.pool.stats().idle, 4);
    assert_eq!(rig.pool.ready_spares(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_memory_to_give_keeps_no_spares_and_gives_up_those_it_has() {
    let limits = pool::Limits { memory_ceiling: Some(3 << 20), ..pool::Limits::default() };
    let limits = pool::Limits { start_estimate: 1 << 20, ..limits };
    let rig = Setup { ready_spares: 8, limits, ..Setup::default() }.start().await;
    // Each uses one mebibyte, so three are what there is room for.
    eventually("as many as there is room for", || rig.pool.ready_spares() == 3).await;
    for number in 1..4 {
        rig.answer(&other("echo", number)).await;
    }
    // Instances have it now.
    eventually("none is left", || rig.pool.ready_spares() == 0).await;
}
