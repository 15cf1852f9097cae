//! Events are served, reused, queued, bounded; callers may go away.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{FunctionId, Generation, Runnable};
use pool::{Limits, Refusal, Rung, Throttle};

use crate::rig::{Rig, Setup, eventually, function, invocation, runnable, text, timed};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_gets_its_event_and_the_caller_its_answer() {
    let rig = Rig::new().await;
    let outcome = rig.call(&function("echo")).await.expect("an outcome");
    assert_eq!(text(&outcome), "{\"n\":1}");
    assert_eq!(outcome.function_error, None);
    assert_eq!(outcome.log_tail, None);
    assert!(outcome.durations.init.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_of_an_instance_says_how_it_was_started_and_no_later_one_does() {
    let rig = Rig::new().await;
    let function = function("init-slow:40");
    let first = rig.call(&function).await.expect("an outcome").durations;
    let cold = first.cold.expect("a cold start");
    assert_eq!(cold.rung, Rung::Make);
    assert!(cold.phases.init >= Duration::from_millis(40), "{cold:?}");
    assert_eq!(cold.phases.answer, first.run);
    let parts = cold.phases;
    let sum = parts.queue + parts.acquire + parts.process + parts.assign + parts.init;
    assert!(sum <= first.queue, "{sum:?} of {:?}", first.queue);
    assert_eq!(rig.call(&function).await.expect("an outcome").durations.cold, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_calls_of_a_function_are_counted_over_all_its_versions_and_none_elses() {
    let rig = Rig::new().await;
    let versions = [1, 2].map(|generation| {
        Arc::new(Runnable { generation: Generation(generation), ..runnable("echo") })
    });
    for call in 0..5 {
        rig.answer(&versions[call % 2]).await;
    }
    let other = Arc::new(Runnable {
        function: FunctionId(2),
        generation: Generation(3),
        ..runnable("echo")
    });
    rig.answer(&other).await;
    let seen = rig.pool.starts(FunctionId(1));
    assert_eq!((seen.calls, seen.rungs.len(), seen.rungs[0].count), (5, 1, 2));
    // What its instances served stays when they are gone.
    rig.pool.retire(Generation(1));
    rig.settled(2).await;
    assert_eq!(rig.pool.starts(FunctionId(1)).calls, 5);
    assert_eq!(rig.pool.starts(FunctionId(3)), Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_learns_its_request_its_arn_and_its_deadline() {
    let rig = Rig::new().await;
    let invocation = invocation(&function("context"));
    let id = invocation.request_id;
    let outcome = rig.pool.invoke(invocation).await.expect("an outcome");
    let said = text(&outcome);
    let parts: Vec<&str> = said.split(' ').collect();
    assert_eq!(parts[0], id.as_str());
    assert_eq!(parts[1], "arn:aws:lambda:us-east-1:000000000000:function:echo");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now");
    let left = parts[2].parse::<u128>().expect("a number").saturating_sub(now.as_millis());
    assert!((1..=3_000).contains(&left), "{left} ms left of 3 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_is_used_again() {
    let rig = Rig::new().await;
    let function = function("who");
    let first = rig.answer(&function).await;
    for call in 2..50 {
        let expected = first.replace(" 1\"", &format!(" {call}\""));
        assert_eq!(rig.answer(&function).await, expected);
    }
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_starts_as_many_instances_as_there_are_events() {
    let rig = Rig::new().await;
    let function = function("slow:300");
    let calls: Vec<_> = (0..20).map(|_| rig.pool.invoke(invocation(&function))).collect();
    let (_, took) = timed(async {
        let tasks: Vec<_> =
            calls.into_iter().map(|call| async { call.await.expect("an outcome") }).collect();
        join(tasks).await
    })
    .await;
    assert_eq!(rig.double.made(), 20);
    assert!(took < Duration::from_secs(3), "one after the other would take six: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_takes_an_instance_that_becomes_free_before_its_own_has_started() {
    let rig = Rig::new().await;
    let function = function("slow:100");
    rig.answer(&function).await;
    let pool = rig.pool.clone();
    let other = invocation(&function);
    let busy = tokio::spawn(async move { pool.invoke(other).await });
    eventually("the instance is busy", || rig.pool.stats().busy == 1).await;
    rig.double.behaviour.ignore_make.store(true, std::sync::atomic::Ordering::SeqCst);
    rig.answer(&function).await;
    busy.await.expect("no panic").expect("an outcome");
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_of_six_megabytes_go_down_and_up() {
    let rig = Rig::new().await;
    let function = function("echo");
    for size in [0, 1, 65_528, 65_529, 300_000, wire::link::MAX_RESPONSE] {
        let payload = Bytes::from(vec![b'7'; size]);
        let mut call = invocation(&function);
        call.payload = payload.clone();
        let outcome = rig.pool.invoke(call).await.expect("an outcome");
        assert!(outcome.payload == payload, "{size} bytes came back as {}", outcome.payload.len());
    }
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_come_a_byte_at_a_time() {
    let rig = Rig::new().await;
    assert_eq!(rig.answer(&function("drip:2")).await, "\"drip\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_goes_on_when_its_caller_goes_away() {
    let rig = Rig::new().await;
    let function = function("slow:100");
    for stage in ["starting", "running"] {
        let call = rig.pool.invoke(invocation(&function));
        // Long enough to be admitted, and in the second round to be delivered.
        let _elapsed = tokio::time::timeout(Duration::from_millis(20), call).await;
        eventually(stage, || rig.pool.stats().idle == 1 && rig.pool.stats().busy == 0).await;
    }
    assert_eq!(rig.answer(&function).await, "{\"n\":1}");
    assert_eq!(rig.double.made(), 1, "no instance was thrown away");
    rig.logs.words(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_event_goes_on_when_its_caller_goes_away_in_the_middle_of_it() {
    let rig = Rig::new().await;
    let function = function("slow-first:200");
    rig.answer(&function).await;
    let mut call = invocation(&function);
    call.payload = Bytes::from(vec![b'1'; 4 << 20]);
    let mut task = Box::pin(rig.pool.invoke(call));
    std::future::poll_fn(|context| {
        assert!(task.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(task);
    eventually("the instance is idle again", || rig.pool.stats().idle == 1).await;
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_concurrency_throttles_and_zero_throttles_everything() {
    let rig = Rig::new().await;
    let one = Arc::new(Runnable { reserved_concurrency: Some(1), ..runnable("slow:200") });
    let pool = rig.pool.clone();
    let call = invocation(&one);
    let busy = tokio::spawn(async move { pool.invoke(call).await });
    eventually("the first is admitted", || rig.pool.stats() != pool::Stats::default()).await;
    assert_eq!(rig.call(&one).await, Err(Refusal::Throttled(Throttle::Function)));
    busy.await.expect("no panic").expect("an outcome");
    let none = Arc::new(Runnable { reserved_concurrency: Some(0), ..runnable("echo") });
    assert_eq!(rig.call(&none).await, Err(Refusal::Throttled(Throttle::Function)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_reserved_is_not_there_for_the_rest() {
    let limits = Limits { concurrency: 10, ..Limits::default() };
    let rig = Setup { limits, ..Setup::default() }.start().await;
    rig.pool.set_reserved(10);
    assert_eq!(rig.call(&function("echo")).await, Err(Refusal::Throttled(Throttle::Account)));
    rig.pool.set_reserved(9);
    rig.answer(&function("echo")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spawner_gives_up_idle_instances_of_others_and_throttles_when_there_are_none() {
    let rig = Setup { capacity: 2, ready_cells: 1, ..Setup::default() }.start().await;
    let of = |function, handler: &str| {
        let (function, generation) = (FunctionId(function), Generation(function));
        Arc::new(Runnable { function, generation, ..runnable(handler) })
    };
    rig.answer(&of(1, "echo")).await;
    rig.answer(&of(2, "echo")).await;
    let busy: Vec<_> = (3..5)
        .map(|function| {
            let (pool, call) = (rig.pool.clone(), invocation(&of(function, "slow:500")));
            tokio::spawn(async move { pool.invoke(call).await })
        })
        .collect();
    eventually("both places are busy", || rig.pool.stats().busy == 2).await;
    let refused = rig.call(&of(5, "echo")).await;
    assert_eq!(refused, Err(Refusal::Throttled(Throttle::Capacity)));
    for call in busy {
        call.await.expect("no panic").expect("an outcome");
    }
    assert!(rig.double.living() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_nobody_needs_ends() {
    let limits = Limits { idle_for: Duration::from_millis(50), ..Limits::default() };
    let rig = Setup { limits, ..Setup::default() }.start().await;
    rig.answer(&function("echo")).await;
    eventually("it is over", || rig.pool.stats() == pool::Stats::default()).await;
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_stand_ready_and_are_refilled() {
    let rig = Setup { ready_cells: 3, ..Setup::default() }.start().await;
    eventually("three stand ready", || rig.pool.ready_cells() == 3).await;
    rig.answer(&function("echo")).await;
    eventually("the third is made again", || rig.double.made() == 4).await;
    eventually("three stand ready", || rig.pool.ready_cells() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_may_use_what_its_memory_size_says() {
    let rig = Rig::new().await;
    for (generation, memory_mib) in [(1, 128), (2, 1769), (3, 10_240)] {
        let generation = Generation(generation);
        rig.answer(&Arc::new(Runnable { generation, memory_mib, ..runnable("echo") })).await;
    }
    let limits = rig.double.assigned();
    let weights: Vec<u32> = limits.iter().map(|limits| limits.cpu_weight).collect();
    assert_eq!(weights, [72, 1000, 5788]);
    assert!(limits.iter().all(|limits| limits.pids == 1024 && limits.tmp_mib == 512));
}

async fn join<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_where_nobody_waited_for_the_instance_and_where_none_could_start() {
    let rig = Rig::new().await;
    let (provisioned, id) = (function("echo"), FunctionId(1));
    rig.pool.provision(id, vec![(Arc::clone(&provisioned), 1)]);
    eventually("it is there", || rig.pool.stats().idle == 1).await;
    for _ in 0..2 {
        rig.answer(&provisioned).await;
    }
    assert_eq!((rig.pool.starts(id).calls, rig.pool.starts(id).rungs.len()), (2, 0));
    rig.pool.provision(id, vec![]);
    rig.pool.retire(provisioned.generation);
    rig.settled(0).await;
    assert_eq!(rig.pool.starts(id).calls, 2);
    let id = FunctionId(2);
    let failing = Runnable { function: id, generation: Generation(2), ..runnable("init-failed") };
    rig.error(&Arc::new(failing)).await;
    rig.settled(0).await;
    assert_eq!((rig.pool.starts(id).calls, rig.pool.starts(id).rungs.len()), (1, 0));
}
