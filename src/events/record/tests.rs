//! Promises about records.

use std::sync::Arc;

use model::{FunctionId, FunctionName, RequestId, Version};
use serde_json::{Value, json};
use store::events::EventNumber;

use super::*;

const ID: &str = "11111111-2222-4333-8444-555555555555";
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST";

fn event() -> QueuedEvent {
    QueuedEvent {
        number: EventNumber(1),
        id: RequestId::parse(ID).unwrap(),
        function: FunctionId(1),
        name: FunctionName::parse("f").unwrap(),
        qualifier: None,
        accepted_ms: 0,
        due_ms: 0,
        attempts: 0,
        setbacks: 0,
        trace: Arc::from(""),
        lineage: Arc::from(""),
        bytes: 0,
    }
}

fn written(condition: Condition, attempts: u32, answer: Option<&Answer>) -> Value {
    let payload = Bytes::from_static(b"{\"a\": 1}");
    let ms = 1_573_755_365_568;
    let bytes = write(&event(), ARN, condition, attempts, &payload, answer, ms).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_success_is_told_as_aws_tells_it() {
    let payload = Bytes::from_static(b"[1]");
    let answer = Answer { payload, error: None, version: Version::Latest };
    assert_eq!(
        written(Condition::Success, 1, Some(&answer)),
        json!({
            "version": "1.0",
            "timestamp": "2019-11-14T18:16:05.568Z",
            "requestContext": {
                "requestId": ID,
                "functionArn": ARN,
                "condition": "Success",
                "approximateInvokeCount": 1,
            },
            "requestPayload": { "a": 1 },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST" },
            "responsePayload": [1],
        })
    );
}

#[test]
fn a_failure_says_which_error_and_what_the_function_said() {
    let payload = Bytes::from_static(b"{\"errorMessage\":\"no\"}");
    let answer = Answer { payload, error: Some("Unhandled"), version: Version::Number(3) };
    let record = written(Condition::RetriesExhausted, 3, Some(&answer));
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
    let context = json!({
        "statusCode": 200, "executedVersion": "3", "functionError": "Unhandled",
    });
    assert_eq!(record["responseContext"], context);
    assert_eq!(record["responsePayload"], json!({ "errorMessage": "no" }));
}

#[test]
fn an_event_that_never_reached_its_function_has_no_answer_in_its_record() {
    let record = written(Condition::ZeroReservedConcurrency, 0, None);
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 0);
    assert!(record.get("responseContext").is_none() && record.get("responsePayload").is_none());
}

#[test]
fn an_answer_that_is_not_json_is_told_as_a_text() {
    let payload = Bytes::from_static(b"plain \xff");
    let answer = Answer { payload, error: None, version: Version::Latest };
    let record = written(Condition::Success, 1, Some(&answer));
    assert_eq!(record["responsePayload"], "plain \u{fffd}");
}
