//! Every way in which a function fails is told apart, in AWS's words.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use model::Runnable;
use pool::Outcome;

use crate::rig::{Rig, eventually, function, invocation, runnable, text, timed};

fn limited(handler: &str) -> Arc<Runnable> {
    Arc::new(Runnable { timeout: Duration::from_secs(1), ..runnable(handler) })
}

/// Calls once; the outcome and its request id.
async fn once(rig: &Rig, function: &Arc<Runnable>) -> (Outcome, String) {
    let call = invocation(function);
    let id = call.request_id.to_string();
    (rig.pool.invoke(call).await.expect("an outcome"), id)
}

/// Calls a function that breaks, and then that the next call gets a new instance.
async fn breaks(rig: &Rig, function: &Arc<Runnable>, error_type: &str, message: &str) {
    let made = rig.double.made();
    let (outcome, id) = once(rig, function).await;
    assert!(outcome.function_error.is_some());
    let expected = format!(
        "{{\"errorType\":\"{error_type}\",\"errorMessage\":\"RequestId: {id} Error: {message}\"}}"
    );
    assert_eq!(text(&outcome), expected);
    rig.settled(0).await;
    assert_eq!(rig.double.made(), made + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_function_is_killed_at_its_deadline() {
    let rig = Rig::new().await;
    let function = limited("stuck");
    let message = "Task timed out after 1.00 seconds";
    let (_, took) = timed(breaks(&rig, &function, "Sandbox.Timedout", message)).await;
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_never_reads_a_large_event_is_killed_at_its_deadline() {
    let rig = Rig::new().await;
    let function = limited("stuck");
    let first = rig.pool.invoke(invocation(&function));
    let mut call = invocation(&function);
    call.payload = Bytes::from(vec![b'1'; 6 << 20]);
    // The program reads one event and then nothing; a second instance gets the large one.
    let (first, second) = tokio::join!(first, rig.pool.invoke(call));
    for outcome in [first, second] {
        assert!(text(&outcome.expect("an outcome")).contains("Sandbox.Timedout"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_is_a_timeout() {
    let rig = Rig::new().await;
    let message = "Task timed out after 1.00 seconds";
    breaks(&rig, &limited("half"), "Sandbox.Timedout", message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_is_reported_at_once_with_its_status() {
    let rig = Rig::new().await;
    for (status, message) in [
        (0, "Runtime exited without providing a reason"),
        (1 << 8, "Runtime exited with error: exit status 1"),
        (11, "Runtime exited with error: signal: segmentation fault"),
    ] {
        let function = function(&format!("exit:{status}"));
        let (_, took) = timed(breaks(&rig, &function, "Runtime.ExitError", message)).await;
        assert!(took < Duration::from_secs(2), "not at the timeout: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_by_the_kernel_for_memory_is_told_from_other_kills() {
    let rig = Rig::new().await;
    let message = "Runtime exited with error: signal: killed";
    breaks(&rig, &function("exit:9"), "Runtime.ExitError", message).await;
    rig.double.behaviour.memory_kills.store(1, Ordering::SeqCst);
    breaks(&rig, &function("exit:9"), "Runtime.OutOfMemory", message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_above_its_memory_size_is_killed_for_it() {
    let rig = Rig::new().await;
    let message = "Runtime exited with error: signal: killed";
    let (_, took) =
        timed(breaks(&rig, &function("hogs:129"), "Runtime.OutOfMemory", message)).await;
    assert!(took < Duration::from_secs(2), "not at the timeout: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_after_a_part_of_it_was_killed_for_memory_is_ended_whatever_it_answers() {
    let rig = Rig::new().await;
    let message = "Runtime exited with error: signal: killed";
    for handler in ["maimed", "maimed-and-raises", "maimed-and-stuck"] {
        let (_, took) =
            timed(breaks(&rig, &function(handler), "Runtime.OutOfMemory", message)).await;
        assert!(took < Duration::from_secs(2), "not at the timeout: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_a_part_of_which_was_killed_is_replaced_without_a_caller_noticing() {
    let rig = Rig::new().await;
    let function = function("maimed-idle");
    for made in 1..3 {
        rig.answer(&function).await;
        assert_eq!(rig.double.made(), made);
        rig.settled(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_within_the_limit_is_nobodys_business() {
    let rig = Rig::new().await;
    let function = function("hogs-and-answers:127");
    for _ in 0..3 {
        rig.answer(&function).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_found_above_its_memory_size_after_its_answer_serves_no_more() {
    let rig = Rig::new().await;
    let function = function("hogs-and-answers:200");
    rig.answer(&function).await;
    rig.settled(0).await;
    assert_eq!(rig.pool.stats().idle, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_instance_above_its_memory_size_is_replaced_without_a_caller_noticing() {
    let rig = Rig::new().await;
    let function = function("hogs-idle:200");
    for made in 1..3 {
        rig.answer(&function).await;
        assert_eq!(rig.double.made(), made);
        rig.settled(0).await;
        assert_eq!(rig.pool.stats(), pool::Stats::default());
    }
    let within = crate::rig::function("hogs-idle:127");
    rig.answer(&within).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    rig.answer(&within).await;
    assert_eq!(rig.double.made(), 3, "what is within the limit is nobody's business");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_document_reaches_the_caller_as_it_is() {
    let rig = Rig::new().await;
    let function = function("raises");
    assert_eq!(rig.error(&function).await, "{\"errorType\":\"KeyError\"}");
    rig.error(&function).await;
    assert_eq!(rig.double.made(), 1, "a handler that raises is no broken instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_reported_in_awss_words() {
    let rig = Rig::new().await;
    let expected = "{\"errorMessage\":\"Response payload size exceeded maximum allowed payload \
                    size (6291556 bytes).\",\"errorType\":\"Function.ResponseSizeTooLarge\"}";
    assert_eq!(rig.error(&function("oversize")).await, expected);
    rig.error(&function("oversize")).await;
    assert_eq!(rig.double.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_protocol_ends_the_instance_and_is_an_error_of_its_own_caller() {
    let rig = Rig::new().await;
    for (handler, what) in [
        ("garbage", "unknown frame 255"),
        ("unexpected", "an unexpected frame of kind Ready"),
        ("claims-too-much", "body has 6291557 bytes, at most 6291556 are allowed"),
    ] {
        let message = format!("Runtime broke off: {what}");
        breaks(&rig, &function(handler), "Runtime.ProtocolError", &message).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_closes_its_link_and_lives_on_is_ended() {
    let rig = Rig::new().await;
    let message = "Runtime broke off: the connection was closed";
    breaks(&rig, &function("hang-up"), "Runtime.ProtocolError", message).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_answers_the_first_counts_and_the_instance_ends() {
    let rig = Rig::new().await;
    assert_eq!(rig.answer(&function("twice")).await, "1");
    rig.settled(0).await;
    assert_eq!(rig.answer(&function("twice")).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_out_of_turn_is_never_taken_for_that_of_the_next_event() {
    let rig = Rig::new().await;
    let function = function("late");
    assert_eq!(rig.answer(&function).await, "{\"n\":1}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.answer(&function).await, "{\"n\":1}");
    eventually("the first instance is gone", || rig.double.living() == 1).await;
    assert_eq!(rig.double.made(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_dies_while_idle_is_replaced_without_a_caller_noticing() {
    let rig = Rig::new().await;
    let function = function("dies-idle:20");
    rig.answer(&function).await;
    rig.settled(0).await;
    assert_eq!(rig.pool.stats().idle, 0);
    rig.answer(&function).await;
    assert_eq!(rig.double.made(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_functions_misbehaviour_is_no_others() {
    let rig = Arc::new(Rig::new().await);
    let good = Arc::new(Runnable {
        function: model::FunctionId(2),
        generation: model::Generation(2),
        ..runnable("echo")
    });
    let bad = ["garbage", "exit:9", "twice", "unexpected", "raises", "late", "dies-idle:1"];
    let mischief: Vec<_> = bad
        .into_iter()
        .enumerate()
        .map(|(number, handler)| {
            let generation = model::Generation(10 + number as u64);
            let function = Arc::new(Runnable { generation, ..runnable(handler) });
            let rig = Arc::clone(&rig);
            tokio::spawn(async move {
                for _ in 0..5 {
                    rig.call(&function).await.expect("an outcome");
                }
            })
        })
        .collect();
    for _ in 0..200 {
        assert_eq!(rig.answer(&good).await, "{\"n\":1}");
    }
    for task in mischief {
        task.await.expect("every misbehaving call is answered, too");
    }
}
