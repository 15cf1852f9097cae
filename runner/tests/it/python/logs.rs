//! What is printed and logged, and when.

use serde_json::{Value, json};
use wire::link::{Invoke, Kind};

use super::function;
use crate::instance::{REQUEST_ID, event, json};

/// A log line without its time, which must have the right form.
#[track_caller]
fn untimed(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').collect();
    let [level, time, rest @ ..] = &parts[..] else { panic!("{line}") };
    let form: String =
        time.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000Z", "{line}");
    format!("{level}|{}", rest.join("|"))
}

#[test]
fn everything_printed_is_in_the_log_before_the_answer_is_sent() {
    let mut instance = function("logs.prints").ready();
    for _ in 0..100 {
        assert_eq!(instance.call("{}"), "printed");
        assert_eq!(instance.printed(), "one line\nto stderr\nno end");
    }
}

#[test]
fn a_line_is_in_the_log_while_the_handler_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let mut instance = function("logs.waits").ready();
    let payload = json!(fifo.to_str().expect("text")).to_string();
    instance.send(&event(payload.as_bytes()));
    assert_eq!(instance.line(), "before\n");
    std::fs::write(&fifo, "go on").expect("the handler reads");
    assert_eq!(json(instance.frame().expect("an answer"), Kind::Response), "go on");
}

#[test]
fn what_has_no_utf_8_is_shown_and_not_raised() {
    let mut instance = function("logs.unprintable").ready();
    assert_eq!(instance.call("{}"), Value::Null);
    assert_eq!(instance.printed(), "half \\ud83d of it\n");
}

#[test]
fn the_context_logs_without_ending_the_line() {
    let mut instance = function("logs.context_log").ready();
    instance.call("{}");
    assert_eq!(instance.printed(), "as it is5");
}

#[test]
fn output_beyond_the_pipe_waits_for_the_control_plane() {
    let mut instance = function("logs.writes").ready();
    instance.send(&event(b"3000000"));
    let mut seen = 0;
    while seen < 3_000_001 {
        seen += instance.printed().len();
        std::thread::yield_now();
    }
    assert_eq!(json(instance.frame().expect("an answer"), Kind::Response), Value::Null);
}

#[test]
fn logging_is_set_up_as_with_aws_when_the_function_imports_it() {
    let mut instance = function("logs.logs").ready();
    assert_eq!(instance.call("{}"), 1, "basicConfig adds no second handler");
    let log = instance.printed();
    let lines: Vec<_> = log.lines().map(untimed).collect();
    let line = |level: &str, text| format!("[{level}]|{REQUEST_ID}|{text}");
    let expected =
        [line("WARNING", "a warning"), line("ERROR", "a error"), line("CRITICAL", "a critical")];
    assert_eq!(lines, expected);
}

#[test]
fn log_records_carry_the_id_of_their_own_event() {
    let mut instance = function("logs.plain").ready();
    for id in ["first", "second"] {
        instance.invoke(&Invoke { request_id: id, ..event(b"\"said\"") });
        assert_eq!(untimed(instance.printed().trim_end()), format!("[WARNING]|{id}|said"));
    }
}

#[test]
fn the_log_level_of_the_configuration_holds() {
    let mut instance = function("logs.logs").with("AWS_LAMBDA_LOG_LEVEL", "TRACE").ready();
    instance.call("{}");
    assert_eq!(instance.printed().lines().count(), 5);
    let mut instance = function("logs.logs").with("AWS_LAMBDA_LOG_LEVEL", "ERROR").ready();
    instance.call("{}");
    assert_eq!(instance.printed().lines().count(), 2);
}

#[test]
fn an_exception_in_the_log_has_its_stack() {
    let mut instance = function("logs.raises").ready();
    instance.call("{}");
    let log = instance.printed();
    assert!(log.contains("\tit failed\nTraceback (most recent call last):\n"), "{log}");
    assert!(log.contains("ZeroDivisionError: division by zero\n"), "{log}");
}

#[test]
fn records_are_json_where_the_configuration_says_so() {
    let json_logs = |handler| function(handler).with("AWS_LAMBDA_LOG_FORMAT", "JSON").ready();
    let mut instance = json_logs("logs.raises");
    instance.call("{}");
    let mut record: Value = serde_json::from_str(&instance.printed()).expect("one JSON line");
    let known = record.as_object_mut().expect("an object");
    let time = known.remove("timestamp").expect("a time");
    assert_eq!(time.as_str().map(str::len), Some("2026-11-20T05:00:00Z".len()));
    assert!(
        known.remove("location").expect("a place").as_str().expect("text").contains(":raises:")
    );
    assert_eq!(known.remove("stackTrace").and_then(|it| it.as_array().map(Vec::len)), Some(1));
    let expected = json!({
        "level": "ERROR",
        "message": "it failed",
        "logger": "mine",
        "requestId": REQUEST_ID,
        "errorType": "ZeroDivisionError",
        "errorMessage": "division by zero",
        "order": 5,
    });
    assert_eq!(record, expected);
    let mut instance = json_logs("logs.structured");
    instance.call("{}");
    let record: Value = serde_json::from_str(&instance.printed()).expect("one JSON line");
    assert_eq!(record["message"], json!({"key": "value"}));
    let mut instance = json_logs("failures.divide");
    instance.fail("1");
    let record: Value = serde_json::from_str(&instance.printed()).expect("one JSON line");
    assert_eq!(record["level"], "ERROR");
    assert_eq!(record["errorType"], "ZeroDivisionError");
    assert_eq!(record["requestId"], REQUEST_ID);
}

#[test]
fn a_function_may_replace_its_output() {
    let mut instance = function("logs.replaced").ready();
    assert_eq!(instance.call("{}"), "answered");
    assert_eq!(instance.call("{}"), "answered");
}
