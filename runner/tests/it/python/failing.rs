//! What the caller and the log learn about an exception.

use serde_json::{Value, json};
use wire::link::MAX_ERROR;

use super::function;
use crate::instance::{REQUEST_ID, path};

fn entry(line: u32, name: &str, text: &str) -> String {
    let file = path("tests/functions/python/failures.py");
    format!("  File \"{}\", line {line}, in {name}\n    {text}\n", file.display())
}

#[test]
fn an_exception_is_answered_and_logged_as_aws_does() {
    let mut instance = function("failures.divide").ready();
    let stack =
        [entry(16, "divide", "return inner(event)"), entry(20, "inner", "return value / 0")];
    let expected = json!({
        "errorMessage": "division by zero",
        "errorType": "ZeroDivisionError",
        "requestId": REQUEST_ID,
        "stackTrace": stack,
    });
    assert_eq!(instance.fail("1"), expected);
    // Indented by no-break spaces, as in CloudWatch.
    let indented = |entry: &String| {
        let mut lines = entry.lines().map(str::trim_start);
        let (place, text) = (lines.next().expect("a place"), lines.next().expect("a line"));
        format!("\u{a0}\u{a0}{place}\n\u{a0}\u{a0}\u{a0}\u{a0}{text}\n")
    };
    let stack: String = stack.iter().map(indented).collect();
    let head = "[ERROR] ZeroDivisionError: division by zero\nTraceback (most recent call last):\n";
    assert_eq!(instance.printed(), format!("{head}{stack}"));
}

#[test]
fn a_failure_leaves_the_instance_serving() {
    let mut instance = function("failures.divide").ready();
    for _ in 0..3 {
        assert_eq!(instance.fail("1")["errorType"], "ZeroDivisionError");
    }
}

#[test]
fn an_exception_says_its_type_and_its_text() {
    let mut instance = function("failures.custom").ready();
    let document = instance.fail("\"grüße \\n 🙂\"");
    assert_eq!(document["errorType"], "Custom");
    assert_eq!(document["errorMessage"], "grüße \n 🙂");
    assert_eq!(instance.fail("\"\"")["errorMessage"], "");
    assert_eq!(instance.fail("\"half \\ud83d\"")["errorMessage"], "half \\ud83d");
}

#[test]
fn an_exception_that_cannot_say_anything_is_answered() {
    let document = function("failures.unspeakable").ready().fail("1");
    assert_eq!(document["errorType"], "Unspeakable");
}

#[test]
fn the_stack_is_that_of_the_exception_that_came_out() {
    let document = function("failures.caused").ready().fail("1");
    assert_eq!(document["errorMessage"], "outer");
    assert_eq!(document["stackTrace"].as_array().map(Vec::len), Some(1));
}

#[test]
fn repeated_frames_are_told_once_and_counted() {
    let document = function("failures.endless").ready().fail("1");
    assert_eq!(document["errorType"], "RecursionError");
    let stack = document["stackTrace"].as_array().expect("a list");
    let line = entry(32, "endless", "return endless(event, context)");
    assert_eq!(stack[..3], [json!(line), json!(line), json!(line)]);
    let counted = stack[3].as_str().expect("text");
    assert!(counted.starts_with("  [Previous line repeated 9"), "{counted}");
    assert!(counted.ends_with(" more times]\n"), "{counted}");
    assert_eq!(stack.len(), 4);
}

#[test]
fn an_error_document_is_cut_to_what_the_link_takes() {
    let mut instance = function("failures.long").ready();
    let whole = instance.fail("1000");
    assert_eq!(whole["errorMessage"].as_str().map(str::len), Some(1000));
    instance.printed();
    // Every character takes six bytes as JSON.
    let (_, body) = instance.invoke(&crate::instance::event(b"40000"));
    assert!(body.len() <= MAX_ERROR && body.len() > 200_000, "{} bytes", body.len());
    instance.printed();
    let (_, body) = instance.invoke(&crate::instance::event(b"50000"));
    assert!(body.len() <= MAX_ERROR, "{} bytes", body.len());
    let document: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(document["errorType"], "Custom");
    assert!(document["errorMessage"].as_str().expect("text").starts_with("\u{1}\u{1}"));
    assert_eq!(document["stackTrace"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_failure_is_reported_when_no_descriptor_is_left() {
    let mut instance = function("failures.without_descriptors").ready();
    let document = instance.fail("1");
    assert_eq!(document["errorType"], "OSError");
    assert_eq!(document["errorMessage"], "[Errno 24] Too many open files: '/dev/null'");
    assert!(document["stackTrace"][0].as_str().expect("text").contains("in without_descriptors"));
}

#[test]
fn a_failure_is_reported_when_the_function_closed_its_output() {
    let document = function("failures.silent").ready().fail("1");
    assert_eq!(document["errorMessage"], "nobody reads it");
}

#[test]
fn what_cannot_be_called_is_a_type_error() {
    let document = function("answers.not_callable").ready().fail("1");
    assert_eq!(document["errorType"], "TypeError");
    assert_eq!(document["errorMessage"], "'int' object is not callable");
    assert_eq!(document["stackTrace"], json!([]));
}
