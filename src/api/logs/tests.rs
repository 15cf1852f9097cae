//! Promises about reading logs.

use std::time::Duration;

use super::*;

struct Fixture {
    logs: Logs,
    _folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = telemetry::logs::Limits { max_age: Duration::MAX, ..Default::default() };
    let store = LogStore::open(folder.path(), limits).expect("a store");
    let (group, stream): (Arc<str>, Arc<str>) =
        ("/aws/lambda/echo".into(), "2026/11/20/[$LATEST]ab".into());
    for (at, line) in [(1_000, "START\n"), (2_000, "hello\n"), (3_000, "ERROR no\n")] {
        store.append(&group, &stream, at, line.as_bytes());
    }
    store.flush();
    Fixture { logs: Logs::new(Arc::new(store), Home::default()), _folder: folder }
}

impl Fixture {
    fn ask(&self, operation: &str, body: Value) -> Result<Value, AwsError> {
        self.logs.perform(operation, body.to_string().as_bytes())
    }

    fn messages(&self, body: Value) -> Vec<String> {
        let answer = self.ask("FilterLogEvents", body).expect("events");
        let events = answer["events"].as_array().expect("a list");
        events.iter().map(|event| event["message"].as_str().expect("text").to_owned()).collect()
    }
}

#[test]
fn groups_and_streams_are_described_with_their_arns() {
    let here = fixture();
    let groups = here.ask("DescribeLogGroups", json!({})).expect("groups");
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/echo";
    assert_eq!(groups["logGroups"][0]["logGroupArn"], arn);
    let wanted = json!({ "logGroupName": "/aws/lambda/echo" });
    let streams = here.ask("DescribeLogStreams", wanted).expect("streams");
    assert_eq!(streams["logStreams"][0]["logStreamName"], "2026/11/20/[$LATEST]ab");
    assert_eq!(streams["logStreams"][0]["lastEventTimestamp"], 3_000);
}

#[test]
fn events_are_filtered_by_time_and_pattern_and_found_by_arn() {
    let here = fixture();
    let group = "/aws/lambda/echo";
    assert_eq!(here.messages(json!({ "logGroupName": group })), ["START", "hello", "ERROR no"]);
    let wanted = json!({ "logGroupName": group, "startTime": 2_000, "endTime": 3_000 });
    assert_eq!(here.messages(wanted), ["hello"]);
    let wanted = json!({ "logGroupName": group, "filterPattern": "ERROR" });
    assert_eq!(here.messages(wanted), ["ERROR no"]);
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/echo:*";
    assert_eq!(here.messages(json!({ "logGroupIdentifier": arn })).len(), 3);
}

#[test]
fn pages_of_one_event_lead_through_all_of_them() {
    let here = fixture();
    let mut wanted = json!({ "logGroupName": "/aws/lambda/echo", "limit": 1 });
    let mut seen = Vec::new();
    loop {
        let page = here.ask("FilterLogEvents", wanted.clone()).expect("a page");
        seen.extend(page["events"].as_array().expect("a list").clone());
        match page.get("nextToken") {
            Some(token) => wanted["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_stream_is_read_from_its_end_and_back_or_from_its_head() {
    let here = fixture();
    let wanted = json!({
        "logGroupName": "/aws/lambda/echo", "logStreamName": "2026/11/20/[$LATEST]ab", "limit": 2,
    });
    let newest = here.ask("GetLogEvents", wanted.clone()).expect("the newest");
    assert_eq!(newest["events"][1]["message"], "ERROR no");
    let mut back = wanted.clone();
    back["nextToken"] = newest["nextBackwardToken"].clone();
    let older = here.ask("GetLogEvents", back).expect("older ones");
    assert_eq!(older["events"][0]["message"], "START");
    let mut head = wanted;
    head["startFromHead"] = true.into();
    let first = here.ask("GetLogEvents", head).expect("the first");
    assert_eq!(first["events"][0]["message"], "START");
}

#[test]
fn what_is_not_there_and_what_makes_no_sense_is_refused_in_awss_words() {
    let here = fixture();
    let code = |operation: &str, body: Value| {
        let err = here.ask(operation, body).expect_err("a refusal");
        (err.status.as_u16(), err.code.into_owned())
    };
    let missing = json!({ "logGroupName": "/aws/lambda/none" });
    assert_eq!(code("FilterLogEvents", missing), (400, "ResourceNotFoundException".into()));
    assert_eq!(code("FilterLogEvents", json!({})), (400, "InvalidParameterException".into()));
    let limit = json!({ "logGroupName": "/aws/lambda/echo", "limit": 0 });
    assert_eq!(code("FilterLogEvents", limit), (400, "InvalidParameterException".into()));
    let token = json!({ "logGroupName": "/aws/lambda/echo", "nextToken": "x" });
    assert_eq!(code("FilterLogEvents", token), (400, "InvalidParameterException".into()));
    assert_eq!(code("PutLogEvents", json!({})), (400, "UnknownOperationException".into()));
}
