//! Which line stands where, tails, floods.

use std::sync::Arc;
use std::time::Duration;

use model::Runnable;
use pool::LogBudget;

use crate::rig::{Rig, Setup, function, invocation, runnable};

async fn tail(rig: &Rig, handler: &str) -> String {
    let mut call = invocation(&function(handler));
    call.log_tail = true;
    let outcome = rig.pool.invoke(call).await.expect("an outcome");
    String::from_utf8(outcome.log_tail.expect("a tail")).expect("text")
}

fn words(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split(' ').next().unwrap_or("")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_stand_with_the_request_that_printed_them() {
    let rig = Rig::new().await;
    let function = function("prints:2");
    for _ in 0..3 {
        rig.answer(&function).await;
    }
    let one = ["START", "line", "line", "no", "END", "REPORT"];
    let expected: Vec<&str> = std::iter::once("INIT_START").chain(one.repeat(3)).collect();
    assert_eq!(rig.logs.words(3).await, expected);
    let lines = rig.logs.all();
    for (call, chunk) in lines[1..].chunks(6).enumerate() {
        assert_eq!(chunk[1], format!("line 0 of {}\n", call + 1));
        assert_eq!(chunk[3], "no newline\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_lines_have_awss_form() {
    let rig = Rig::new().await;
    let function = function("echo");
    let call = invocation(&function);
    let id = call.request_id.to_string();
    rig.pool.invoke(call).await.expect("an outcome");
    rig.answer(&function).await;
    rig.logs.words(2).await;
    let lines = rig.logs.all();
    let image = "09".repeat(32);
    let init = format!(
        "INIT_START Runtime Version: python:3.11.2\tRuntime Version ARN: \
         arn:aws:lambda:us-east-1::runtime:{image}\n"
    );
    assert_eq!(lines[0], init);
    assert_eq!(lines[1], format!("START RequestId: {id} Version: $LATEST\n"));
    assert_eq!(lines[2], format!("END RequestId: {id}\n"));
    let report = &lines[3];
    assert!(report.starts_with(&format!("REPORT RequestId: {id}\tDuration: ")), "{report}");
    let rest = "\tMemory Size: 128 MB\tMax Memory Used: 1 MB\tInit Duration: ";
    assert!(report.contains(rest) && report.ends_with(" ms\t\n"), "{report}");
    assert!(!lines[6].contains("Init Duration"), "only the first: {}", lines[6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_has_the_platforms_lines_and_what_was_printed_in_between() {
    let rig = Rig::new().await;
    let first = tail(&rig, "prints:1").await;
    assert_eq!(words(&first), ["INIT_START", "START", "line", "no", "END", "REPORT"]);
    let second = tail(&rig, "prints:1").await;
    assert_eq!(words(&second), ["START", "line", "no", "END", "REPORT"]);
    assert!(second.contains("line 0 of 2\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_is_the_last_4_kib() {
    let rig = Rig::new().await;
    let tail = tail(&rig, "prints:3000").await;
    assert_eq!(tail.len(), 4096);
    assert!(tail.contains("line 2999 of 1\nno newline\nEND RequestId"), "{tail}");
    assert!(tail.ends_with("\t\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_printed_before_it_could_not_be_loaded_is_in_the_tail() {
    let rig = Rig::new().await;
    let tail = tail(&rig, "init-failed").await;
    assert!(tail.contains("Traceback: no module named app\n"), "{tail}");
    let said = ["INIT_START", "Traceback:", "INIT_REPORT", "START", "END", "REPORT"];
    assert_eq!(words(&tail), said);
    let status = "\tStatus: error\tError Type: Runtime.ImportModuleError\n";
    assert_eq!(tail.matches(status).count(), 2, "{tail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_printed_while_initialising_stands_before_start() {
    let rig = Rig::new().await;
    let tail = tail(&rig, "init-prints").await;
    assert_eq!(words(&tail), ["INIT_START", "hello", "START", "END", "REPORT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_in_the_log_what_they_were() {
    let rig = Rig::new().await;
    let exit = tail(&rig, "exit:256").await;
    assert!(exit.contains("Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n"));
    assert!(exit.ends_with("\tStatus: error\tError Type: Runtime.ExitError\n"), "{exit}");
    let stuck = Arc::new(Runnable { timeout: Duration::from_secs(1), ..runnable("stuck") });
    let mut call = invocation(&stuck);
    call.log_tail = true;
    let outcome = rig.pool.invoke(call).await.expect("an outcome");
    let stuck = String::from_utf8(outcome.log_tail.expect("a tail")).expect("text");
    assert!(stuck.contains(" Task timed out after 1.00 seconds\n"), "{stuck}");
    assert!(stuck.ends_with("\tStatus: timeout\n"), "{stuck}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_functions_start_line_is_written_before_it_ends() {
    let rig = Rig::new().await;
    let (pool, call) = (rig.pool.clone(), invocation(&function("slow:2000")));
    let task = tokio::spawn(async move { pool.invoke(call).await });
    let started = |lines: &[String]| lines.iter().any(|line| line.starts_with("START"));
    let lines = rig.logs.once("START is written", started).await;
    assert!(!lines.iter().any(|line| line.starts_with("END")));
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_cut_and_said_to_be() {
    let log_budget = LogBudget { rate: 64 << 10, burst: 256 << 10 };
    let rig = Setup { log_budget, ..Setup::default() }.start().await;
    let function =
        Arc::new(Runnable { timeout: Duration::from_secs(60), ..runnable("floods:8192") });
    // Eight mebibytes against a budget of a quarter.
    rig.answer(&function).await;
    rig.logs.words(1).await;
    let lines = rig.logs.all();
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes < 2 << 20, "{bytes} bytes were kept");
    let told: u64 = lines
        .iter()
        .filter_map(|line| line.strip_prefix("[hearth] log truncated: ")?.split(' ').next())
        .map(|count| count.parse::<u64>().expect("a number"))
        .sum();
    let printed: usize = lines.iter().filter(|line| line.starts_with("xxx")).map(String::len).sum();
    // A line cut by the gap gets a newline of its own, which nobody printed.
    let cut = lines.iter().filter(|line| line.starts_with('x') && line.len() < 1024).count();
    assert!((told + printed as u64).abs_diff(8 << 20) <= cut as u64 + 1024 * cut as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_empty_lines_is_cut_by_their_number() {
    let log_budget = LogBudget { rate: 64 << 10, burst: 256 << 10 };
    let rig = Setup { log_budget, ..Setup::default() }.start().await;
    let function = Arc::new(Runnable { timeout: Duration::from_secs(60), ..runnable("blanks:16") });
    // A mebibyte of newlines: as bytes four times the budget, as lines four hundred times.
    rig.answer(&function).await;
    rig.logs.words(1).await;
    let lines = rig.logs.all();
    let kept = lines.iter().filter(|line| *line == "\n").count();
    assert!((2_000..30_000).contains(&kept), "{kept} lines were kept");
    let told: usize = lines
        .iter()
        .filter_map(|line| line.strip_prefix("[hearth] log truncated: ")?.split(' ').next())
        .map(|count| count.parse::<usize>().expect("a number"))
        .sum();
    assert_eq!(kept + told, 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_may_close_its_output() {
    let rig = Rig::new().await;
    let function = function("closes-output");
    for _ in 0..5 {
        rig.answer(&function).await;
    }
    assert_eq!(rig.double.made(), 1);
    rig.logs.words(5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_printed_before_a_crash_is_not_lost() {
    let rig = Rig::new().await;
    let first = tail(&rig, "init-prints").await;
    assert!(first.contains("hello from init"));
    rig.pool.drain(Duration::from_secs(1)).await;
    let lines = rig.logs.words(0).await;
    assert!(lines.contains(&"hello".to_owned()), "{lines:?}");
}
