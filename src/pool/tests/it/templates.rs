//! Spares are forked where there is a template, and no template's end is a caller's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Runnable;
use pool::{Outcome, Rung, TemplateSharing};

use crate::rig::{Rig, Setup, eventually, function, invocation, runnable, text};

async fn with(setup: Setup) -> Rig {
    let templates = Some(TemplateSharing::Image);
    let rig = Setup { templates, ready_spares: 1, ..setup }.start().await;
    eventually("a template is there", || rig.double.templates() == (1, 1)).await;
    eventually("a spare is there", || rig.pool.ready_spares() == 1).await;
    rig
}

/// Calls of the same function at once.
async fn burst(rig: &Rig, function: &Arc<Runnable>, count: usize) -> Vec<Outcome> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let (pool, call) = (rig.pool.clone(), invocation(function));
            tokio::spawn(async move { pool.invoke(call).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.expect("no panic").expect("an outcome"));
    }
    outcomes
}

fn rungs(outcomes: &[Outcome]) -> Vec<Rung> {
    let mut rungs: Vec<_> =
        outcomes.iter().filter_map(|it| Some(it.durations.cold?.rung)).collect();
    rungs.sort();
    rungs
}

#[tokio::test(flavor = "multi_thread")]
async fn spares_are_forked_from_a_template() {
    let rig = with(Setup::default()).await;
    assert_eq!(rig.double.forked(), 1);
    let outcome = rig.call(&function("argv")).await.expect("an outcome");
    assert_eq!(outcome.durations.cold.expect("a cold start").rung, Rung::Spare);
    assert!(text(&outcome).ends_with(" spare"), "{outcome:?}");
    eventually("it is replaced", || rig.double.forked() >= 2).await;
    assert_eq!(rig.double.templates(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_has_eaten_the_spares_is_forked_into_cells() {
    let rig = with(Setup { ready_cells: 4, ..Setup::default() }).await;
    eventually("cells are there", || rig.pool.ready_cells() == 4).await;
    let outcomes = burst(&rig, &function("slow:300"), 8).await;
    assert!(outcomes.iter().all(|outcome| text(outcome) == "{\"n\":1}"));
    let rungs = rungs(&outcomes);
    assert_eq!(rungs[..1], [Rung::Spare], "{rungs:?}");
    assert_eq!(rungs[1..5], [Rung::Fork; 4], "{rungs:?}");
    assert!(!rungs.contains(&Rung::Exec), "{rungs:?}");
    // What had to be made was forked into, too.
    assert!(rig.double.forked() >= 8, "{}", rig.double.forked());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_forked_function_is_told_with_its_status() {
    let rig = with(Setup::default()).await;
    let said = rig.error(&function("exit:768")).await;
    assert!(said.contains("Runtime.ExitError") && said.contains("exit status 3"), "{said}");
    eventually("its cell is given back", || {
        rig.double.living() as usize == rig.pool.ready_spares()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_ends_is_replaced_and_what_was_forked_from_it_goes_on() {
    let rig = with(Setup::default()).await;
    let function = function("who");
    let first = rig.answer(&function).await;
    rig.double.kill_templates();
    assert_eq!(rig.answer(&function).await, first.replace(" 1\"", " 2\""));
    let other = Arc::new(Runnable { generation: model::Generation(2), ..runnable("echo") });
    rig.answer(&other).await;
    eventually("there is another one", || {
        rig.double.templates().1 == 1 && rig.double.templates().0 >= 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_template_can_be_started_spares_are_executed() {
    let rig = with(Setup::default()).await;
    rig.double.behaviour.refuse_templates.store(true, Ordering::SeqCst);
    rig.double.kill_templates();
    let before = rig.double.forked();
    for number in 2..6 {
        eventually("a spare is there", || rig.pool.ready_spares() > 0).await;
        let generation = model::Generation(number);
        rig.answer(&Arc::new(Runnable { generation, ..runnable("echo") })).await;
    }
    assert!(rig.double.forked() <= before + 1, "{}", rig.double.forked());
}

#[tokio::test(flavor = "multi_thread")]
async fn forks_that_fail_cost_callers_the_next_rung_and_leave_nothing() {
    let rig = with(Setup { ready_cells: 2, ..Setup::default() }).await;
    rig.double.behaviour.forks_fail.store(true, Ordering::SeqCst);
    let outcomes = burst(&rig, &function("slow:100"), 6).await;
    assert!(outcomes.iter().all(|outcome| text(outcome) == "{\"n\":1}"));
    assert!(!rungs(&outcomes).contains(&Rung::Fork));
    // One that fails again and again is given up for another.
    eventually("there is another one", || rig.double.templates().0 >= 2).await;
    rig.double.behaviour.forks_fail.store(false, Ordering::SeqCst);
    rig.pool.drain(Duration::from_secs(1)).await;
    eventually("nothing is left", || rig.double.hung_up()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_hangs_is_replaced_and_costs_callers_a_moment() {
    let rig = with(Setup { ready_cells: 2, ..Setup::default() }).await;
    rig.double.behaviour.templates_hang.store(true, Ordering::SeqCst);
    let outcomes = burst(&rig, &function("slow:100"), 4).await;
    assert!(outcomes.iter().all(|outcome| text(outcome) == "{\"n\":1}"));
    rig.double.behaviour.templates_hang.store(false, Ordering::SeqCst);
    eventually("there is another one", || {
        rig.double.templates().1 == 1 && rig.double.templates().0 >= 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_templates_are_not_shared_spares_are_executed_and_functions_have_their_own() {
    let templates = Some(TemplateSharing::Function);
    let rig = Setup { templates, ready_spares: 1, ready_cells: 2, ..Setup::default() };
    let rig = rig.start().await;
    eventually("a spare is there", || rig.pool.ready_spares() == 1).await;
    assert_eq!((rig.double.templates(), rig.double.forked()), ((0, 0), 0));
    let a = function("slow:200");
    burst(&rig, &a, 4).await;
    eventually("it gets a template", || rig.double.templates() == (1, 1)).await;
    burst(&rig, &a, 24).await;
    assert!(rig.double.forked() > 0);
    // Another has no part in it.
    let id = model::FunctionId(2);
    let generation = model::Generation(2);
    let b = Arc::new(Runnable { function: id, generation, ..runnable("slow:200") });
    burst(&rig, &b, 28).await;
    eventually("the other gets its own", || rig.double.templates() == (2, 2)).await;
}
