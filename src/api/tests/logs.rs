//! CloudWatch Logs.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::server::{Reply, Server};
use crate::server::now_ms;

const GROUP: &str = "/aws/lambda/f";

async fn call(server: &Server, operation: &str, body: Value) -> Reply {
    let request = Request::builder()
        .method("POST")
        .uri("/")
        .header("host", "localhost")
        .header("x-amz-target", format!("Logs_20140328.{operation}"))
        .header("content-type", "application/x-amz-json-1.1");
    server.send(request.body(Body::from(body.to_string())).unwrap()).await
}

/// A server with ten lines in two streams, one millisecond apart, and when the first was written.
fn with_lines() -> (Server, u64) {
    let server = Server::open();
    let group: Arc<str> = GROUP.into();
    let begin = now_ms() - 1000;
    for line in 0..10_u64 {
        let stream: Arc<str> = format!("2026/11/20/[$LATEST]{}", line % 2).into();
        server.logs.append(&group, &stream, begin + line, format!("line {line}\n").as_bytes());
    }
    server.logs.flush();
    (server, begin)
}

fn messages(reply: &Value) -> Vec<String> {
    let events = reply["events"].as_array().unwrap().iter();
    events.map(|event| event["message"].as_str().unwrap().trim_end().to_owned()).collect()
}

#[tokio::test]
async fn groups_and_streams_are_described() {
    let (server, begin) = with_lines();
    let groups = call(&server, "DescribeLogGroups", json!({})).await;
    assert_eq!(groups.header("content-type"), Some("application/x-amz-json-1.1"));
    let groups = groups.json();
    assert_eq!(groups["logGroups"][0]["logGroupName"], GROUP);
    let arn = format!("arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:*");
    assert_eq!(groups["logGroups"][0]["arn"], arn);
    let body = json!({ "logGroupName": GROUP, "orderBy": "LastEventTime", "descending": true });
    let streams = call(&server, "DescribeLogStreams", body).await.json();
    let first = &streams["logStreams"][0];
    assert_eq!(first["logStreamName"], "2026/11/20/[$LATEST]1");
    assert_eq!(first["firstEventTimestamp"], begin + 1);
    assert_eq!(first["lastEventTimestamp"], begin + 9);
}

#[tokio::test]
async fn filtering_goes_page_by_page_over_all_streams_in_order() {
    let (server, _) = with_lines();
    let mut all = Vec::new();
    let mut token = Value::Null;
    loop {
        let body = json!({ "logGroupName": GROUP, "limit": 3, "nextToken": token });
        let page = call(&server, "FilterLogEvents", body).await.json();
        all.extend(messages(&page));
        let Some(next) = page.get("nextToken") else { break };
        token = next.clone();
    }
    let expected: Vec<String> = (0..10).map(|line| format!("line {line}")).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn filters_choose_by_time_stream_and_pattern() {
    let (server, begin) = with_lines();
    for (filter, expected) in [
        (json!({ "startTime": begin + 8 }), vec!["line 8", "line 9"]),
        (json!({ "endTime": begin + 1 }), vec!["line 0", "line 1"]),
        (json!({ "filterPattern": "\"line 7\"" }), vec!["line 7"]),
        (
            json!({ "logStreamNames": ["2026/11/20/[$LATEST]1"], "startTime": begin + 6 }),
            vec!["line 7", "line 9"],
        ),
        (
            json!({ "logStreamNamePrefix": "2026/11/20/[$LATEST]0", "startTime": begin + 6 }),
            vec!["line 6", "line 8"],
        ),
    ] {
        let mut body = json!({ "logGroupName": GROUP });
        for (key, value) in filter.as_object().unwrap() {
            body[key] = value.clone();
        }
        let page = call(&server, "FilterLogEvents", body).await.json();
        assert_eq!(messages(&page), expected, "{filter}");
        assert_eq!(page["events"][0]["eventId"].as_str().unwrap().len(), 56);
    }
}

#[tokio::test]
async fn whoever_follows_a_stream_gets_each_event_once() {
    let (server, _) = with_lines();
    let stream = "2026/11/20/[$LATEST]0";
    let mut body = json!({
        "logGroupName": GROUP, "logStreamName": stream, "startFromHead": true, "limit": 10_000,
    });
    let first = call(&server, "GetLogEvents", body.clone()).await.json();
    assert_eq!(messages(&first), ["line 0", "line 2", "line 4", "line 6", "line 8"]);
    body["nextToken"] = first["nextForwardToken"].clone();
    let second = call(&server, "GetLogEvents", body.clone()).await.json();
    assert!(messages(&second).is_empty());
    assert_eq!(second["nextForwardToken"], first["nextForwardToken"], "the end, for now");
    server.logs.append(&GROUP.into(), &stream.into(), now_ms(), b"more\n");
    server.logs.flush();
    let third = call(&server, "GetLogEvents", body).await.json();
    assert_eq!(messages(&third), ["more"]);
}

#[tokio::test]
async fn the_newest_events_come_first_if_nobody_says_otherwise() {
    let (server, _) = with_lines();
    let mut body =
        json!({ "logGroupName": GROUP, "logStreamName": "2026/11/20/[$LATEST]1", "limit": 2 });
    let last = call(&server, "GetLogEvents", body.clone()).await.json();
    assert_eq!(messages(&last), ["line 7", "line 9"]);
    body["nextToken"] = last["nextBackwardToken"].clone();
    let before = call(&server, "GetLogEvents", body).await.json();
    assert_eq!(messages(&before), ["line 3", "line 5"]);
}

#[tokio::test]
async fn errors_carry_their_code_in_the_body_where_json_clients_look() {
    let (server, _) = with_lines();
    let missing = call(&server, "FilterLogEvents", json!({ "logGroupName": "none" })).await;
    assert_eq!(missing.status, 400);
    assert_eq!(missing.json()["__type"], "ResourceNotFoundException");
    assert_eq!(missing.json()["message"], "The specified log group does not exist.");
    let unknown = call(&server, "CreateLogGroup", json!({ "logGroupName": "g" })).await;
    assert_eq!(unknown.json()["__type"], "UnknownOperationException");
    let bad = json!({ "logGroupName": GROUP, "filterPattern": "{ $.a = 1 }" });
    let bad = call(&server, "FilterLogEvents", bad).await;
    assert_eq!(bad.json()["__type"], "InvalidParameterException");
    let token = json!({ "logGroupName": GROUP, "nextToken": "x" });
    let token = call(&server, "FilterLogEvents", token).await;
    assert_eq!(token.json()["__type"], "InvalidParameterException");
}
