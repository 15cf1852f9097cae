//! Event source mappings: what is refused without any source, and what one that plugs in gets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use lambda::types::{
    CreateEventSourceMappingRequest, EventSourceMappingConfiguration,
    UpdateEventSourceMappingRequest,
};
use serde_json::{Value, json};

use super::server::{ARN, Server};
use crate::{Access, EventSource, Mapped};

/// A queue.
pub(super) const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";
const PATH: &str = "/2015-03-31/event-source-mappings";
const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const TABLE: &str =
    "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2025-02-22T03:03:25.490";
const NO_QUEUE: &str = "Error occurred while ReceiveMessage. SQS Error Code: \
    AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.";

fn request(source: &str, members: Value) -> Value {
    let mut all = json!({ "FunctionName": "f", "EventSourceArn": source });
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

/// Queues that are there: what a source will be, without its records.
#[derive(Default)]
pub(super) struct Queues(Mutex<BTreeMap<String, (String, String, &'static str)>>);

fn shown(id: &str, of: &(String, String, &'static str)) -> EventSourceMappingConfiguration {
    EventSourceMappingConfiguration {
        uuid: Some(id.to_owned()),
        event_source_arn: Some(of.0.clone()),
        function_arn: Some(of.1.clone()),
        state: Some(of.2.to_owned()),
        ..EventSourceMappingConfiguration::default()
    }
}

impl EventSource for Queues {
    fn service(&self) -> &'static str {
        "sqs"
    }

    fn create(&self, request: CreateEventSourceMappingRequest, function: String) -> Mapped<'_> {
        Box::pin(async move {
            let mut all = self.0.lock().unwrap();
            let id = format!("00000000-0000-4000-8000-{:012}", all.len());
            let mapping = (request.event_source_arn.unwrap(), function, "Creating");
            let answer = shown(&id, &mapping);
            all.insert(id, (mapping.0, mapping.1, "Enabled"));
            Ok(answer)
        })
    }

    fn mappings(&self) -> BTreeMap<String, EventSourceMappingConfiguration> {
        let all = self.0.lock().unwrap();
        all.iter().map(|(id, mapping)| (id.clone(), shown(id, mapping))).collect()
    }

    fn update(&self, id: String, request: UpdateEventSourceMappingRequest) -> Mapped<'_> {
        Box::pin(async move {
            let mut all = self.0.lock().unwrap();
            let mapping = all.get_mut(&id).unwrap();
            mapping.1 = request.function_name.unwrap_or(mapping.1.clone());
            mapping.2 = if request.enabled == Some(false) { "Disabling" } else { "Enabled" };
            Ok(shown(&id, mapping))
        })
    }

    fn delete(&self, id: String) -> Mapped<'_> {
        Box::pin(async move {
            let mut mapping = self.0.lock().unwrap().remove(&id).unwrap();
            mapping.2 = "Deleting";
            Ok(shown(&id, &mapping))
        })
    }
}

#[tokio::test]
async fn sources_that_are_not_there_are_refused_in_aws_s_words() {
    let server = Server::open();
    server.create("f").await;
    let latest = json!({ "StartingPosition": "LATEST" });
    for (source, members, message) in [
        (QUEUE, json!({}), NO_QUEUE.to_owned()),
        (STREAM, latest.clone(), format!("Stream not found: {STREAM}")),
        (TABLE, latest, format!("Stream not found: {TABLE}")),
        ("arn:aws:s3:::bucket", json!({}), "Unrecognized event source.".to_owned()),
        (QUEUE, json!({ "EventSourceArn": null }), "Unrecognized event source.".to_owned()),
    ] {
        let refused = server.call("POST", PATH, request(source, members)).await;
        refused.refused(400, "InvalidParameterValueException", &message);
    }
    let servers = json!({ "Endpoints": { "KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"] } });
    let kafka = json!({ "EventSourceArn": null, "SelfManagedEventSource": servers });
    let refused = server.call("POST", PATH, request(QUEUE, kafka)).await;
    let message = "Required 'sourceAccessConfigurations' parameter is missing.";
    refused.refused(400, "InvalidParameterValueException", message);
    assert_eq!(server.get(PATH).await.json(), json!({ "EventSourceMappings": [] }));
}

#[tokio::test]
async fn what_a_request_cannot_say_is_told_before_the_source_is_looked_for() {
    let server = Server::open();
    server.create("f").await;
    let null = "1 validation error detected: Value null at 'startingPosition' failed to satisfy \
                constraint: Member must not be null.";
    let position = format!("Unsupported starting position for arn type: {TABLE}");
    let window = "Maximum batch window in seconds must be greater than 0 if maximum batch size is \
                  greater than 10";
    let destination =
        "Unsupported DestinationConfig parameter for given event source mapping type.";
    let filter = "Invalid filter pattern definition.";
    let filtered =
        |pattern: &str| json!({ "FilterCriteria": { "Filters": [{ "Pattern": pattern }] } });
    for (source, members, message) in [
        (STREAM, json!({}), null),
        (TABLE, json!({}), null),
        (TABLE, json!({ "StartingPosition": "AT_TIMESTAMP" }), position.as_str()),
        (QUEUE, json!({ "BatchSize": 11 }), window),
        (
            QUEUE,
            json!({ "DestinationConfig": { "OnFailure": { "Destination": QUEUE } } }),
            destination,
        ),
        (QUEUE, filtered("[]"), filter),
        (QUEUE, filtered("{"), filter),
        (QUEUE, filtered("{\"a\": 1}"), filter),
        (QUEUE, filtered("{\"a\": []}"), filter),
        (QUEUE, json!({ "FunctionName": "none" }), "Function does not exist"),
        (QUEUE, json!({ "FunctionName": "f:7" }), "Function does not exist"),
        // From the other side.
        (QUEUE, json!({ "BatchSize": 10 }), NO_QUEUE),
        (QUEUE, json!({ "BatchSize": 11, "MaximumBatchingWindowInSeconds": 1 }), NO_QUEUE),
        (QUEUE, filtered("{\"a\": {\"b\": [1]}}"), NO_QUEUE),
        (QUEUE, json!({ "FunctionName": format!("{ARN}:f") }), NO_QUEUE),
    ] {
        let refused = server.call("POST", PATH, request(source, members)).await;
        refused.refused(400, "InvalidParameterValueException", message);
    }
    for (members, at) in [
        (json!({ "StartingPosition": "invalid" }), "startingPosition"),
        (json!({ "BatchSize": 0 }), "batchSize"),
        (json!({ "BatchSize": 10001 }), "batchSize"),
        (json!({ "ParallelizationFactor": 11 }), "parallelizationFactor"),
        (json!({ "FunctionName": null }), "functionName"),
    ] {
        let refused = server.call("POST", PATH, request(QUEUE, members)).await.error();
        assert_eq!(refused.1, "ValidationException", "{at}");
        assert!(refused.2.contains(&format!("at '{at}'")), "{}", refused.2);
    }
}

#[tokio::test]
async fn a_mapping_that_is_not_there_is_not_found() {
    let server = Server::open();
    let path = format!("{PATH}/00000000-0000-4000-8000-000000000000");
    for (method, body) in [("GET", Value::Null), ("PUT", json!({})), ("DELETE", Value::Null)] {
        let none = server.call(method, &path, body).await;
        let message = "The resource you requested does not exist.";
        none.refused(404, "ResourceNotFoundException", message);
    }
}

#[tokio::test]
async fn a_source_that_plugs_in_has_mappings_with_a_life() {
    let access = Access::Open { hosts: Vec::new() };
    let server = Server::reading(access, vec![Arc::new(Queues::default())]);
    server.create("f").await;
    server.create("g").await;
    let made = server.call("POST", PATH, request(QUEUE, json!({}))).await;
    assert_eq!(made.status, StatusCode::ACCEPTED);
    let made = made.json();
    assert_eq!((&made["State"], &made["EventSourceArn"]), (&json!("Creating"), &json!(QUEUE)));
    assert_eq!(made["FunctionArn"], format!("{ARN}:f"));
    let path = format!("{PATH}/{}", made["UUID"].as_str().unwrap());
    assert_eq!(server.get(&path).await.json()["State"], "Enabled");
    let other = json!({ "FunctionName": "g" });
    assert_eq!(server.call("PUT", &path, json!({ "FunctionName": "h" })).await.error().0, 400);
    let updated = server.call("PUT", &path, other).await;
    assert_eq!(updated.status, StatusCode::ACCEPTED);
    assert_eq!(updated.json()["FunctionArn"], format!("{ARN}:g"));

    server.call("POST", PATH, request(QUEUE, json!({}))).await;
    let count = async |query: &str| {
        let listed = server.get(&format!("{PATH}{query}")).await.json();
        listed["EventSourceMappings"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("?FunctionName=g").await, 1);
    assert_eq!(count(&format!("?EventSourceArn={QUEUE}")).await, 2);
    assert_eq!(count(&format!("?EventSourceArn={STREAM}")).await, 0);
    let first = server.get(&format!("{PATH}?MaxItems=1")).await.json();
    let next = first["NextMarker"].as_str().unwrap();
    let rest = server.get(&format!("{PATH}?Marker={next}")).await.json();
    assert_ne!(rest["EventSourceMappings"][0]["UUID"], first["EventSourceMappings"][0]["UUID"]);
    assert_eq!(rest.get("NextMarker"), None);

    let deleted = server.call("DELETE", &path, Value::Null).await;
    assert_eq!(
        (deleted.status, &deleted.json()["State"]),
        (StatusCode::ACCEPTED, &json!("Deleting"))
    );
    assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND);
}
