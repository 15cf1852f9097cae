//! What the caller and the log learn about an error.

use serde_json::{Value, json};
use wire::link::{Kind, MAX_ERROR};

use super::function;
use crate::instance::{REQUEST_ID, event, json};

/// Checks a document's type and text, and that its trace leads into the function and nowhere else.
#[track_caller]
fn tells(document: &Value, kind: &str, message: &str) {
    assert_eq!(document["errorType"], kind);
    assert_eq!(document["errorMessage"], message);
    let trace = document["trace"].as_array().expect("a list");
    assert_eq!(trace[0], format!("{kind}: {message}"));
    assert!(trace[1].as_str().expect("text").contains("tests/functions/node/failures.js:"));
    assert!(!document.to_string().contains("bootstrap.cjs"), "{document}");
}

#[test]
fn every_way_to_fail_fails() {
    for (handler, kind, message) in [
        ("failures.throws", "TypeError", "thrown"),
        ("failures.rejects", "Custom", "rejected"),
        ("failures.callsBack", "Error", "called back"),
        ("failures.contextDone", "Error", "done"),
    ] {
        let mut instance = function(handler).ready();
        for _ in 0..3 {
            tells(&instance.fail("1"), kind, message);
        }
    }
}

#[test]
fn an_error_is_logged_as_aws_does() {
    let mut instance = function("failures.rejects").ready();
    instance.fail("1");
    let log = instance.printed();
    let parts: Vec<_> = log.trim_end().splitn(5, '\t').collect();
    let [time, id, level, what, error] = parts[..] else { panic!("{log}") };
    let form: String =
        time.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000Z");
    assert_eq!((id, level, what), (REQUEST_ID, "ERROR", "Invoke Error "));
    let mut error: Value = serde_json::from_str(error).expect("JSON");
    let stack = error.as_object_mut().expect("an object").remove("stack").expect("a stack");
    assert_eq!(stack[0], "Custom: rejected");
    let expected = json!({
        "errorType": "Custom",
        "errorMessage": "rejected",
        "code": "E_CUSTOM",
        "name": "Custom",
        "extra": {"a": 1},
    });
    assert_eq!(error, expected);
}

#[test]
fn what_is_thrown_need_not_be_an_error() {
    let document = function("failures.throwsText").ready().fail("1");
    let text = json!({"errorType": "string", "errorMessage": "just text", "trace": []});
    assert_eq!(document, text);
    let document = function("failures.throwsNothing").ready().fail("1");
    assert_eq!(document["errorMessage"], "handled");
    let document = function("failures.contextFails").ready().fail("null");
    assert_eq!(document["errorMessage"], "handled");
    let document = function("failures.contextFails").ready().fail("5");
    let number = json!({"errorType": "number", "errorMessage": "5", "trace": []});
    assert_eq!(document, number);
    let document = function("failures.throwsObject").ready().fail("1");
    let alike = json!({
        "errorType": "Alike",
        "errorMessage": "an error",
        "trace": ["Alike: an error", "    at nowhere"],
    });
    assert_eq!(document, alike);
    let document = function("failures.throwsPoison").ready().fail("1");
    assert_eq!(document["errorType"], "handled");
}

#[test]
fn what_is_thrown_may_even_refuse_to_be_text() {
    let document = function("failures.throwsSymbol").ready().fail("1");
    assert_eq!(document["errorMessage"], "Symbol(odd)");
    let document = function("failures.throwsBare").ready().fail("1");
    assert_eq!(document["errorType"], "handled");
    let document = function("failures.rejectsBare").ready().die("1");
    assert_eq!(document["errorType"], "Runtime.UnhandledPromiseRejection");
}

#[test]
fn an_answer_is_whole_before_the_process_can_end() {
    let mut instance = function("failures.answersAndDies").ready();
    assert_eq!(instance.raw("5000000").len(), 5_000_002);
    assert_eq!(instance.frame(), None);
    assert_eq!(instance.finish().0.code(), Some(3));
}

#[test]
fn an_error_document_is_cut_to_what_the_link_takes() {
    let mut instance = function("failures.long").ready();
    assert_eq!(instance.fail("1000")["errorMessage"].as_str().map(str::len), Some(1000));
    instance.printed();
    // Every character takes six bytes as JSON, and is there twice: in the text and in the trace.
    for length in ["20000", "60000"] {
        let (_, body) = instance.invoke(&event(length.as_bytes()));
        instance.printed();
        assert!(body.len() <= MAX_ERROR, "{} bytes", body.len());
        let document: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(document["errorType"], "Error");
        assert!(document["errorMessage"].as_str().expect("text").starts_with('\u{1}'));
    }
}

#[test]
fn a_rejection_that_nobody_handles_fails_the_call_and_ends_the_process() {
    let mut instance = function("failures.unhandled").ready();
    let document = instance.die("1");
    assert_eq!(document["errorType"], "Runtime.UnhandledPromiseRejection");
    assert_eq!(document["errorMessage"], "Error: nobody looked");
    assert_eq!(instance.frame(), None);
    let (status, log) = instance.finish();
    assert_eq!(status.code(), Some(128));
    assert!(log.contains("\tERROR\tUnhandled Promise Rejection \t{\"errorType\":"), "{log}");
    assert!(log.contains("\"reason\":{\"errorType\":\"Error\",\"errorMessage\":\"nobody looked\""));
}

#[test]
fn an_exception_that_nobody_catches_fails_the_call_and_ends_the_process() {
    let mut instance = function("failures.uncaught").ready();
    tells(&instance.die("1"), "Custom", "nobody caught");
    assert_eq!(instance.frame(), None);
    let (status, log) = instance.finish();
    assert_eq!(status.code(), Some(129));
    assert!(log.contains("\tERROR\tUncaught Exception \t{\"errorType\":\"Custom\","), "{log}");
}

#[test]
fn an_exception_between_two_events_ends_the_process_without_a_frame() {
    let mut instance = function("failures.afterwards").ready();
    let answer = instance.invoke(&event(b"1"));
    assert_eq!(json(answer, Kind::Response), "answered");
    assert_eq!(instance.frame(), None);
    let (status, log) = instance.finish();
    assert_eq!(status.code(), Some(129));
    assert!(log.contains("after the answer"), "{log}");
}
