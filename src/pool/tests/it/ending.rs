//! Retirement, draining, a spawner that dies.

use std::sync::Arc;
use std::time::Duration;

use model::{Generation, Runnable};
use pool::{ConnectError, Refusal, Stats};

use crate::rig::{Rig, Setup, eventually, function, invocation, runnable, timed};

fn of(generation: u64, handler: &str) -> Arc<Runnable> {
    Arc::new(Runnable { generation: Generation(generation), ..runnable(handler) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_generation_finishes_what_it_serves_and_serves_nothing_more() {
    let rig = Rig::new().await;
    let (old, new) = (of(1, "slow:200"), of(2, "echo"));
    let (pool, call) = (rig.pool.clone(), invocation(&old));
    let busy = tokio::spawn(async move { pool.invoke(call).await });
    eventually("it is served", || rig.pool.stats().busy == 1).await;
    rig.pool.retire(old.generation);
    assert_eq!(rig.call(&old).await, Err(Refusal::Retired));
    rig.answer(&new).await;
    busy.await.expect("no panic").expect("an outcome");
    rig.settled(1).await;
    assert_eq!(rig.pool.stats(), Stats { idle: 1, ..Stats::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_of_a_retired_generation_ends_at_once() {
    let rig = Rig::new().await;
    rig.answer(&of(1, "echo")).await;
    rig.pool.retire(Generation(1));
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_spawner_is_told_to_everyone_who_waits() {
    let rig = Rig::new().await;
    let stuck = of(1, "stuck");
    let starting = of(2, "silent");
    let calls: Vec<_> = [&stuck, &stuck, &starting]
        .map(|function| {
            let (pool, call) = (rig.pool.clone(), invocation(function));
            tokio::spawn(async move { pool.invoke(call).await })
        })
        .into();
    eventually("all are under way", || {
        let stats = rig.pool.stats();
        stats.busy == 2 && stats.starting == 1
    })
    .await;
    rig.double.die();
    let (results, took) = timed(async {
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.expect("no panic"));
        }
        results
    })
    .await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    for result in results {
        assert_eq!(result, Err(Refusal::Closed));
    }
    rig.pool.closed().await;
    assert!(matches!(rig.call(&of(3, "echo")).await, Err(Refusal::Stopping | Refusal::Closed)));
    eventually("nothing is left", || rig.pool.stats() == Stats::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_lets_what_was_accepted_finish() {
    let rig = Rig::new().await;
    let function = function("slow:300");
    let (pool, call) = (rig.pool.clone(), invocation(&function));
    let busy = tokio::spawn(async move { pool.invoke(call).await });
    eventually("it is accepted", || rig.pool.stats() != Stats::default()).await;
    let pool = rig.pool.clone();
    let draining = tokio::spawn(async move { pool.drain(Duration::from_secs(10)).await });
    eventually("nothing new is taken", || true).await;
    busy.await.expect("no panic").expect("an outcome");
    draining.await.expect("no panic");
    assert_eq!(rig.call(&function).await, Err(Refusal::Stopping));
    assert_eq!(rig.pool.stats(), Stats::default());
    rig.logs.words(1).await;
    rig.settled(0).await;
    eventually("the spawner is hung up on", || rig.double.hung_up()).await;
    rig.pool.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_what_does_not_finish_in_time() {
    let rig = Rig::new().await;
    let function = Arc::new(Runnable { timeout: Duration::from_secs(600), ..runnable("stuck") });
    let (pool, call) = (rig.pool.clone(), invocation(&function));
    let stuck = tokio::spawn(async move { pool.invoke(call).await });
    eventually("it is served", || rig.pool.stats().busy == 1).await;
    let ((), took) = timed(rig.pool.drain(Duration::from_millis(100))).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(stuck.await.expect("no panic"), Err(Refusal::Stopping));
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_starts_while_the_pool_drains_is_ended_too() {
    let rig = Setup::default().start().await;
    let (pool, call) = (rig.pool.clone(), invocation(&function("silent")));
    let silent = tokio::spawn(async move { pool.invoke(call).await });
    eventually("it starts", || rig.pool.stats().starting == 1).await;
    rig.pool.drain(Duration::from_millis(50)).await;
    assert!(silent.await.expect("no panic").is_err());
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spawner_that_does_not_introduce_itself_is_refused() {
    use std::os::unix::net::UnixDatagram;
    for (first, expected) in [(&b""[..], "Ended"), (b"\x09", "NoHello")] {
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        ours.send(first).expect("sent");
        let rig_config = crate::rig::config(theirs.into());
        let refused = pool::Pool::start(rig_config).await.expect_err("no pool");
        assert!(format!("{refused:?}").starts_with(expected), "{refused:?}");
    }
    let (ours, theirs) = UnixDatagram::pair().expect("a pair");
    let hello = wire::spawner::Reply::Hello { version: 999, uid_base: 0, capacity: 1 };
    ours.send(&hello.encode()).expect("sent");
    let refused = pool::Pool::start(crate::rig::config(theirs.into())).await.expect_err("no pool");
    assert!(matches!(refused, ConnectError::Version { theirs: 999 }), "{refused:?}");
}
