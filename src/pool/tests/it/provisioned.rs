//! Instances that are there before anybody calls.

use std::sync::Arc;
use std::time::Duration;

use model::{Generation, Runnable};
use pool::{Provision, Shortfall};

use crate::rig::{Rig, Setup, eventually, function, runnable};

fn up(rig: &Rig, function: &Arc<Runnable>) -> u32 {
    rig.pool.provisioned(function.generation).map_or(0, |provision| provision.up)
}

/// Provisions so many and waits until they are up.
async fn provision(rig: &Rig, function: &Arc<Runnable>, wanted: u32) {
    rig.pool.provision(function.function, vec![(Arc::clone(function), wanted)]);
    eventually("all are up", || up(rig, function) == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_provisioned_is_up_without_a_call_and_the_first_one_pays_for_no_init() {
    let rig = Rig::new().await;
    let function = function("who");
    provision(&rig, &function, 2).await;
    assert_eq!((rig.double.made(), rig.pool.stats().idle), (2, 2));
    let said = rig.answer(&function).await;
    assert!(said.ends_with(" 1\""), "{said}");
    let lines = rig.logs.once("a REPORT", |lines| lines.iter().any(|l| l.starts_with("REPORT")));
    let lines = lines.await;
    let begun: Vec<&String> = lines.iter().filter(|l| l.starts_with("INIT_START")).collect();
    assert_eq!(begun.len(), 2);
    let kind = "\tInitialization Type: provisioned-concurrency\n";
    assert!(begun.iter().all(|line| line.ends_with(kind)), "{begun:?}");
    let report = lines.iter().find(|line| line.starts_with("REPORT")).expect("there is one");
    assert!(!report.contains("Init Duration"), "{report}");
    assert_eq!(rig.double.made(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_expire_and_ends_when_it_is_provisioned_no_longer() {
    let limits = pool::Limits { idle_for: Duration::from_millis(50), ..pool::Limits::default() };
    let rig = Setup { limits, ..Setup::default() }.start().await;
    let (kept, other) = (function("who"), runnable("who"));
    let other = Arc::new(Runnable { generation: Generation(2), ..other });
    provision(&rig, &kept, 1).await;
    rig.answer(&other).await;
    eventually("the other one expires", || rig.double.living() == 1).await;
    assert_eq!(up(&rig, &kept), 1);
    rig.pool.provision(kept.function, vec![]);
    assert_eq!(rig.pool.provisioned(kept.generation), None);
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_is_replaced() {
    let rig = Rig::new().await;
    // Its exit takes the process with it, and the caller is told.
    let function = function("exit:768");
    provision(&rig, &function, 1).await;
    let said = rig.error(&function).await;
    assert!(said.contains("exit status 3"), "{said}");
    eventually("another one is up", || rig.double.made() == 2 && up(&rig, &function) == 1).await;
    rig.settled(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_cannot_start_is_said_to_and_tried_again() {
    let rig = Rig::new().await;
    let function = function("init-failed");
    rig.pool.provision(function.function, vec![(Arc::clone(&function), 1)]);
    let failed = Provision { wanted: 1, up: 0, shortfall: Some(Shortfall::Function) };
    let shown = || rig.pool.provisioned(function.generation);
    eventually("it is said to fail", || shown() == Some(failed)).await;
    eventually("it is tried again", || rig.double.made() >= 2).await;
    rig.pool.provision(function.function, vec![]);
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_takes_over_from_another_without_a_gap() {
    let rig = Rig::new().await;
    let (old, new) = (function("who"), runnable("init-slow:100"));
    let new = Arc::new(Runnable { generation: Generation(2), ..new });
    provision(&rig, &old, 1).await;
    rig.pool.provision(old.function, vec![(Arc::clone(&new), 1)]);
    assert!(rig.pool.stats().idle >= 1, "the old one is there until the new one is");
    eventually("the new one is up", || up(&rig, &new) == 1).await;
    assert_eq!(rig.double.living(), 2, "and then ages like any other");
    rig.pool.retire(old.generation);
    rig.settled(1).await;
    assert_eq!(up(&rig, &new), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_configuration_leaves_what_stands_ready_to_those_who_call() {
    let setup = Setup { ready_cells: 2, ready_spares: 2, ..Setup::default() };
    let rig = setup.start().await;
    let stocked = || rig.pool.ready_spares() == 2 && rig.pool.ready_cells() == 2;
    eventually("the shelves are full", stocked).await;
    // Its starts hang until they are ended.
    let (slow, called) = (function("init-slow:600000"), runnable("who"));
    rig.pool.provision(slow.function, vec![(Arc::clone(&slow), 40)]);
    let share = pool::Limits::default().provisioning.div_ceil(2);
    eventually("its share is under way", || rig.pool.stats().starting == share).await;
    for number in 2..4 {
        let (generation, function) = (Generation(number), model::FunctionId(number));
        let called = Arc::new(Runnable { generation, function, ..called.clone() });
        let outcome = rig.call(&called).await.expect("an outcome");
        assert_eq!(outcome.durations.cold.expect("a cold start").rung, pool::Rung::Spare);
        eventually("the shelves are full", stocked).await;
    }
    assert_eq!(rig.pool.stats().starting, share);
    rig.pool.provision(slow.function, vec![]);
    rig.pool.retire(slow.generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_what_is_provisioned() {
    let rig = Rig::new().await;
    let function = function("who");
    provision(&rig, &function, 3).await;
    rig.pool.drain(Duration::from_secs(1)).await;
    assert_eq!(rig.double.living(), 0);
}
