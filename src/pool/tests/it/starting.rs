//! Every way in which a start fails, and how long anybody waits for one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Runnable;
use pool::{Refusal, Throttle};

use crate::programs::INIT_ERROR;
use crate::rig::{Rig, Setup, eventually, function, invocation, runnable, text, timed};

fn limited(handler: &str) -> Arc<Runnable> {
    Arc::new(Runnable { timeout: Duration::from_secs(1), ..runnable(handler) })
}

async fn short_init() -> Rig {
    let init_limit = Duration::from_millis(300);
    Setup { init_limit, ..Setup::default() }.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_cannot_be_loaded_answers_with_the_runtimes_own_document() {
    let rig = Rig::new().await;
    let function = function("init-failed");
    for call in 1..4 {
        assert_eq!(rig.error(&function).await, INIT_ERROR);
        rig.settled(0).await;
        assert_eq!(rig.double.made(), call, "one start per call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_of_a_burst_on_a_function_that_cannot_start_is_answered_once() {
    let rig = Rig::new().await;
    let function = function("init-failed");
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let (pool, call) = (rig.pool.clone(), invocation(&function));
            tokio::spawn(async move { pool.invoke(call).await })
        })
        .collect();
    for call in calls {
        let outcome = call.await.expect("no panic").expect("an outcome");
        assert_eq!(text(&outcome), INIT_ERROR);
    }
    rig.settled(0).await;
    assert!(rig.double.made() <= 10, "a crash loop of starting does not spin");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_while_starting_is_an_exit() {
    let rig = Rig::new().await;
    for (status, words) in [
        (0, "Runtime exited without providing a reason"),
        (256, "Runtime exited with error: exit status 1"),
    ] {
        let said = rig.error(&function(&format!("init-exit:{status}"))).await;
        assert!(said.contains("Runtime.ExitError") && said.contains(words), "{said}");
        rig.settled(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_right_after_starting_is_an_exit_and_does_not_spin() {
    let rig = Rig::new().await;
    let said = rig.error(&function("ready-and-gone")).await;
    assert!(said.contains("exit status 3"), "{said}");
    rig.settled(0).await;
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_started_for_a_regular_caller_before_he_calls_and_ends_if_he_does_not() {
    let limits = pool::Limits { idle_for: Duration::from_millis(500), ..Default::default() };
    let rig = Setup { limits, ..Setup::default() }.start().await;
    let function = function("who");
    let mut beat = tokio::time::interval(Duration::from_secs(2));
    for call in 1..=4 {
        beat.tick().await;
        rig.answer(&function).await;
        assert_eq!(rig.double.made(), call, "the one before has ended");
    }
    // He does not come again.
    eventually("one is started", || rig.double.made() == 5).await;
    rig.settled(0).await;
    let lines = rig.logs.all();
    let starts = lines.iter().filter(|line| line.starts_with("INIT_START")).count();
    assert_eq!((starts, rig.double.made()), (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_kill_while_starting_is_a_memory_kill() {
    let rig = Rig::new().await;
    rig.double.behaviour.memory_kills.store(1, Ordering::SeqCst);
    let said = rig.error(&function("init-exit:9")).await;
    assert!(said.contains("Runtime.OutOfMemory"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_starts_although_a_part_of_it_was_killed_for_memory_is_not_given_an_event() {
    let rig = Rig::new().await;
    let said = rig.error(&function("init-maimed")).await;
    assert!(said.contains("Runtime.OutOfMemory"), "{said}");
    rig.settled(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_watched_while_a_function_initialises() {
    let rig = Rig::new().await;
    let (said, took) = timed(rig.error(&function("init-hogs:129"))).await;
    assert!(said.contains("Runtime.OutOfMemory"), "{said}");
    assert!(took < Duration::from_secs(3), "not at the init limit: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_taken_at_the_very_end_of_an_initialisation_is_found_before_the_first_event() {
    let rig = Rig::new().await;
    let function = function("init-grows:129");
    for call in 1..4 {
        let said = rig.error(&function).await;
        assert!(said.contains("Runtime.OutOfMemory"), "{said}");
        rig.settled(0).await;
        assert_eq!(rig.double.made(), call, "one start per call");
    }
    rig.answer(&crate::rig::function("init-grows:127")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_that_does_not_speak_the_protocol_is_refused() {
    let rig = Rig::new().await;
    for (handler, words) in
        [("init-garbage", "Runtime.ProtocolError"), ("old", "version 9 of the protocol")]
    {
        let said = rig.error(&function(handler)).await;
        assert!(said.contains(words), "{said}");
        rig.settled(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_over_its_limit_is_begun_again_on_the_functions_own_time() {
    let rig = short_init().await;
    // Longer than the init limit, shorter than the function's timeout.
    let (said, took) = timed(rig.answer(&limited("init-slow:500"))).await;
    assert_eq!(said, "{\"n\":1}");
    assert!(took >= Duration::from_millis(800), "{took:?}");
    assert_eq!(rig.double.made(), 2);
    let lines = rig.logs.all();
    let first = "\tPhase: init\tStatus: timeout\n";
    assert!(lines.iter().any(|line| line.starts_with("INIT_REPORT") && line.ends_with(first)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_never_ends_costs_its_caller_both_limits_and_no_more() {
    let rig = short_init().await;
    let (outcome, took) = timed(rig.call(&limited("silent"))).await;
    let outcome = outcome.expect("an outcome");
    let said = text(&outcome);
    assert!(said.contains("Task timed out after 1.00 seconds"), "{said}");
    assert!(outcome.durations.run >= Duration::from_secs(1), "{:?}", outcome.durations);
    assert!(took >= Duration::from_millis(1_300), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    rig.settled(0).await;
    assert_eq!(rig.double.made(), 2, "started again once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_second_start_took_is_not_there_for_the_handler() {
    let rig = short_init().await;
    let outcome = rig.call(&limited("init-slow-context:700")).await.expect("an outcome");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now");
    let said = text(&outcome);
    let deadline = said.split(' ').nth(2).expect("a deadline").parse::<u128>().expect("a number");
    let left = deadline.saturating_sub(now.as_millis());
    assert!(left <= 300, "{left} ms left of a second, of which the start took 700");
    let init = outcome.durations.init.expect("the first event");
    assert!(init >= Duration::from_millis(700), "{init:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_room_for_a_cell_is_a_throttle_and_the_next_call_may_find_some() {
    let rig = Rig::new().await;
    rig.double.behaviour.refuse_make.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = rig.call(&function("echo")).await;
        assert_eq!(refused, Err(Refusal::Throttled(Throttle::Capacity)));
    }
    rig.double.behaviour.refuse_make.store(false, Ordering::SeqCst);
    rig.double.behaviour.short_of_files.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let refused = rig.call(&function("echo")).await;
        assert_eq!(refused, Err(Refusal::Throttled(Throttle::Capacity)));
    }
    rig.settled(0).await;
    rig.double.behaviour.short_of_files.store(false, Ordering::SeqCst);
    rig.answer(&function("echo")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_cannot_be_assigned_is_a_fault_of_the_service() {
    let rig = Rig::new().await;
    rig.double.behaviour.refuse_assign.store(true, Ordering::SeqCst);
    let refused = rig.call(&function("echo")).await;
    let Err(Refusal::StartFailed { detail }) = refused else { panic!("{refused:?}") };
    assert!(detail.contains("no such code"), "{detail}");
    rig.settled(0).await;
    rig.double.behaviour.refuse_assign.store(false, Ordering::SeqCst);
    rig.answer(&function("echo")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spawner_that_makes_nothing_costs_a_caller_the_init_limit() {
    let rig = short_init().await;
    rig.double.behaviour.ignore_make.store(true, Ordering::SeqCst);
    let (refused, took) = timed(rig.call(&function("echo"))).await;
    assert_eq!(refused, Err(Refusal::Throttled(Throttle::Capacity)));
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually("nothing is left", || rig.pool.stats() == pool::Stats::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_executed_is_named_in_awss_words() {
    let rig = Rig::new().await;
    let function = Arc::new(Runnable { runtime: "provided.al2023".to_owned(), ..runnable("x") });
    for (errno, words) in [
        (libc::ENOENT, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        (libc::EACCES, "fork/exec /var/task/bootstrap: permission denied"),
        (libc::ENOEXEC, "fork/exec /var/task/bootstrap: exec format error"),
    ] {
        rig.double.behaviour.refuse_execute.store(errno as u32, Ordering::SeqCst);
        let said = rig.error(&function).await;
        assert!(said.contains("Runtime.InvalidEntrypoint") && said.contains(words), "{said}");
        rig.settled(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_no_image_serves_is_a_fault_of_the_service() {
    let rig = Rig::new().await;
    let function = Arc::new(Runnable { runtime: "cobol85".to_owned(), ..runnable("x") });
    let refused = rig.call(&function).await;
    assert!(matches!(refused, Err(Refusal::StartFailed { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_the_same_function_that_comes_first_saves_a_caller_from_a_failed_start() {
    let rig = Rig::new().await;
    let function = function("slow:100");
    rig.answer(&function).await;
    let (pool, call) = (rig.pool.clone(), invocation(&function));
    let busy = tokio::spawn(async move { pool.invoke(call).await });
    eventually("the instance is busy", || rig.pool.stats().busy == 1).await;
    rig.double.behaviour.ignore_make.store(true, Ordering::SeqCst);
    assert_eq!(rig.answer(&function).await, "{\"n\":1}");
    busy.await.expect("no panic").expect("an outcome");
}
