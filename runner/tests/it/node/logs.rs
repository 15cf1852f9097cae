//! What is printed and logged, and when.

use serde_json::{Value, json};
use wire::link::Kind;

use super::function;
use crate::instance::{REQUEST_ID, event, json};

/// The log's lines without their times, which must have the right form.
#[track_caller]
fn untimed(log: &str) -> Vec<String> {
    let line = |line: &str| {
        let (time, rest) = line.split_once('\t').expect("a time");
        let form: String =
            time.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
        assert_eq!(form, "0000-00-00T00:00:00.000Z", "{line}");
        rest.to_owned()
    };
    log.lines().map(line).collect()
}

fn record(level: &str, text: &str) -> String {
    format!("{REQUEST_ID}\t{level}\t{text}")
}

#[test]
fn every_level_of_the_console_writes_aws_lines() {
    let mut instance = function("logs.levels").ready();
    instance.call("{}");
    let expected = [
        record("TRACE", "a trace { x: 1 }"),
        record("DEBUG", "a debug { x: 1 }"),
        record("INFO", "a info { x: 1 }"),
        record("INFO", "a log { x: 1 }"),
        record("WARN", "a warn { x: 1 }"),
        record("ERROR", "a error { x: 1 }"),
        record("FATAL", "a fatal { x: 1 }"),
    ];
    assert_eq!(untimed(&instance.printed()), expected);
}

#[test]
fn the_log_level_of_the_configuration_holds() {
    let mut instance = function("logs.levels").with("AWS_LAMBDA_LOG_LEVEL", "error").ready();
    instance.call("{}");
    let expected = [record("ERROR", "a error { x: 1 }"), record("FATAL", "a fatal { x: 1 }")];
    assert_eq!(untimed(&instance.printed()), expected);
}

#[test]
fn a_record_is_one_line() {
    let mut instance = function("logs.lines").ready();
    instance.call("{}");
    assert_eq!(untimed(&instance.printed()), [record("INFO", "one\rtwo\r three")]);
}

#[test]
fn the_consoles_other_methods_write_to_the_same_log() {
    let mut instance = function("logs.others").ready();
    instance.call("{}");
    let log = instance.printed();
    assert!(log.contains("counter: 1") && log.contains("(index)"), "{log}");
    assert!(log.ends_with("{ a: 1 }\n"), "{log}");
}

#[test]
fn everything_printed_is_in_the_log_before_the_answer_is_sent() {
    let mut instance = function("logs.streams").ready();
    for _ in 0..100 {
        instance.call("{}");
        assert_eq!(instance.printed(), "to stdout\nto stderr\nno end");
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
    assert!(instance.line().ends_with("\tINFO\tbefore\n"));
    std::fs::write(&fifo, "go on").expect("the handler reads");
    assert_eq!(json(instance.frame().expect("an answer"), Kind::Response), "go on");
}

#[test]
fn output_beyond_the_pipe_waits_for_the_control_plane() {
    let mut instance = function("logs.writes").ready();
    instance.send(&event(b"3000000"));
    let mut seen = 0;
    while seen < 3_000_000 {
        seen += instance.printed().len();
        std::thread::yield_now();
    }
    assert_eq!(json(instance.frame().expect("an answer"), Kind::Response), Value::Null);
}

#[test]
fn nothing_printed_is_lost_by_an_exit() {
    let mut instance = function("logs.exits").ready();
    instance.send(&event(b"3000000"));
    let (status, log) = instance.finish();
    assert!(status.success());
    assert!(log.ends_with("x\n") && log.len() > 3_000_000, "{} bytes", log.len());
    let mut instance = function("logs.streamsAndExits").ready();
    instance.send(&event(b"3000000"));
    let (status, log) = instance.finish();
    assert!(status.success());
    let rest = log.trim_start_matches('x').trim_start_matches('y');
    assert_eq!(log.len() - rest.len(), 6_000_000);
    assert_eq!(untimed(rest), [record("INFO", "z")]);
}

#[test]
fn records_are_json_where_the_configuration_says_so() {
    let json_logs = |handler| function(handler).with("AWS_LAMBDA_LOG_FORMAT", "JSON").ready();
    let mut instance = json_logs("logs.error");
    instance.call("{}");
    let record: Value = serde_json::from_str(&instance.printed()).expect("one JSON line");
    assert_eq!(record["level"], "ERROR");
    assert_eq!(record["requestId"], REQUEST_ID);
    assert_eq!(record["message"]["errorType"], "RangeError");
    assert_eq!(record["message"]["errorMessage"], "logged");
    assert_eq!(record["message"]["stackTrace"][0], "RangeError: logged");
    let mut instance = json_logs("logs.object");
    instance.call("{}");
    let record: Value = serde_json::from_str(&instance.printed()).expect("one JSON line");
    assert_eq!(record["message"], json!({"key": "value"}));
    let mut instance = json_logs("logs.levels");
    instance.call("{}");
    let log = instance.printed();
    let messages: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["message"].clone())
        .collect();
    assert_eq!(messages[0], "a trace { x: 1 }");
    assert_eq!(messages.len(), 7);
    let mut instance = json_logs("failures.throws");
    instance.fail("1");
    let record: Value = serde_json::from_str(&instance.printed()).expect("one JSON line");
    assert_eq!(record["message"]["errorType"], "TypeError");
}
