//! Every answer against AWS's own model.
//!
//! An answer may leave members out that the model does not require; it may not invent any, nor give one
//! another type. What is not served is refused in AWS's form.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode};
use httpd::AwsError;
use lambda::operation::Row;
use lambda::shape::{Kind, Place, Shape};
use serde_json::{Value, json};

use super::event_sources::{QUEUE, Queues};
use super::server::{Server, new_function, package_text};
use crate::Access;
use crate::operation::{Operation, Route};

/// Where a value is not what the model says, if anywhere.
fn mismatch(at: &str, value: &Value, shape: &Shape) -> Option<String> {
    let wrong = || Some(format!("{at}: {value} is no {}", shape.name));
    let fits = match (&shape.kind, value) {
        (Kind::Structure(members), Value::Object(given)) => {
            let body = members.iter().filter(|member| member.place == Place::Body);
            let mut required = body.clone().filter(|member| member.required);
            // A function without one is answered with its name alone, as recorded; Terraform asks all
            // the time.
            let without = |name: &str| {
                name == "CodeSigningConfigArn"
                    && shape.name == "GetFunctionCodeSigningConfigResponse"
            };
            let absent = |name: &str| !given.contains_key(name) && !without(name);
            if let Some(absent) = required.find(|member| absent(member.name)) {
                return Some(format!("{at}.{} is missing", absent.name));
            }
            return given.iter().find_map(|(name, value)| {
                let at = format!("{at}.{name}");
                match body.clone().find(|member| member.name == name) {
                    Some(member) => mismatch(&at, value, member.shape),
                    None => Some(format!("{at} is no member")),
                }
            });
        }
        (Kind::List { of, .. }, Value::Array(given)) => {
            return given.iter().find_map(|value| mismatch(at, value, of));
        }
        (Kind::Map { value: of, .. }, Value::Object(given)) => {
            return given.values().find_map(|value| mismatch(at, value, of));
        }
        (Kind::Text { set, .. }, Value::String(text)) => {
            // AWS says "Creating" of updates, too, which its own model does not have.
            let as_recorded = shape.name == "LastUpdateStatusReasonCode" && text == "Creating";
            set.is_empty() || set.contains(&text.as_str()) || as_recorded
        }
        (Kind::Blob, Value::String(_)) | (Kind::Boolean, Value::Bool(_)) => true,
        (Kind::Integer { .. }, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (Kind::Double { .. } | Kind::Timestamp, Value::Number(_)) => true,
        _ => false,
    };
    if fits { None } else { wrong() }
}

/// The path of an operation with something in place of every name.
fn path_of(row: &Row) -> String {
    let arn = "arn:aws:lambda:us-east-1:000000000000";
    let path = row.path.replace("{FunctionName}", "f").replace("{StatementId}", "s");
    let path = path.replace("{Resource}", &format!("{arn}:function:f"));
    let mut filled = String::new();
    let mut rest = path.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (_, after) = after.split_once('}').expect("names end");
        filled.push_str(before);
        filled.push('1');
        rest = after;
    }
    filled + rest
}

#[test]
fn every_path_of_the_model_leads_to_its_operation() {
    for operation in lambda::Operation::all() {
        let row = operation.row();
        let path = path_of(row);
        let method: Method = row.method.parse().unwrap();
        let (path, query) = path.split_once('?').map_or((&*path, None), |(p, q)| (p, Some(q)));
        let route = Route::parse(&method, path, query);
        assert_eq!(route.operation, Operation::Lambda(operation), "{method} {path}");
    }
    assert_eq!(Route::parse(&Method::GET, "/x", None).operation, Operation::Unknown);
    // IAM's name for Invoke, which is the one that refusals print, is another.
    assert_eq!(Operation::Lambda(lambda::Operation::Invoke).name(), "InvokeFunction");
}

#[tokio::test]
async fn every_answer_has_the_status_and_only_the_members_of_the_model() {
    let queues = Arc::new(Queues::default());
    let server = Server::reading(Access::Open { hosts: Vec::new() }, vec![queues]);
    let tags = "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f";
    let untag = "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f?tagKeys=c";
    let function = {
        let mut new = new_function("f");
        new["Environment"] = json!({ "Variables": { "KEY": "value" } });
        new["Tags"] = json!({ "a": "b" });
        new["Description"] = json!("d");
        new
    };
    let cors = json!({
        "AllowCredentials": true, "AllowHeaders": ["*"], "AllowMethods": ["GET"],
        "AllowOrigins": ["*"], "ExposeHeaders": ["x"], "MaxAge": 1,
    });
    let permission =
        json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
    let provisioned = "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1";
    let two = json!({ "ProvisionedConcurrentExecutions": 2 });
    let live = "/2015-03-31/functions/f/aliases/live";
    let alias = json!({
        "Name": "live", "FunctionVersion": "1", "Description": "d",
        "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.5 } },
    });
    let signing = super::settings::signing("Warn");
    let made = server.call("POST", super::settings::CONFIGS, signing.clone()).await.json();
    let arn = made["CodeSigningConfig"]["CodeSigningConfigArn"].as_str().expect("it has one");
    let signed = &format!("{}/{arn}", super::settings::CONFIGS);
    let signs = &format!("{signed}/functions");
    let layer = "arn:aws:lambda:us-east-1:000000000000:layer:1:1";
    let by_arn =
        "/2018-10-31/layers?find=LayerVersion&Arn=arn:aws:lambda:us-east-1:000000000000:layer:1:1";
    let layer_permission =
        json!({ "StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "*" });
    let mapping = "/2015-03-31/event-source-mappings/00000000-0000-4000-8000-000000000000";
    let from_queue = json!({ "FunctionName": "f", "EventSourceArn": QUEUE });
    let calls: Vec<(&str, &str, Value)> = vec![
        ("CreateFunction", "", function),
        ("GetFunction", "", Value::Null),
        ("GetFunctionConfiguration", "", Value::Null),
        ("UpdateFunctionCode", "", json!({ "ZipFile": package_text("two") })),
        ("UpdateFunctionConfiguration", "", json!({ "Timeout": 5 })),
        ("PublishVersion", "", json!({})),
        ("UpdateFunctionConfiguration", "", json!({ "Timeout": 6 })),
        ("PublishVersion", "", json!({})),
        ("ListVersionsByFunction", "", Value::Null),
        ("ListFunctions", "", Value::Null),
        ("GetFunctionCodeSigningConfig", "", Value::Null),
        ("PutFunctionConcurrency", "", json!({ "ReservedConcurrentExecutions": 1 })),
        ("GetFunctionConcurrency", "", Value::Null),
        ("GetFunction", "", Value::Null),
        ("DeleteFunctionConcurrency", "", Value::Null),
        ("PutProvisionedConcurrencyConfig", provisioned, two),
        ("GetProvisionedConcurrencyConfig", provisioned, Value::Null),
        ("ListProvisionedConcurrencyConfigs", "", Value::Null),
        ("DeleteProvisionedConcurrencyConfig", provisioned, Value::Null),
        ("CreateAlias", "", alias),
        ("GetAlias", live, Value::Null),
        ("UpdateAlias", live, json!({ "Description": "d" })),
        ("ListAliases", "", Value::Null),
        ("DeleteAlias", live, Value::Null),
        ("PutFunctionEventInvokeConfig", "", json!({ "MaximumRetryAttempts": 0 })),
        ("GetFunctionEventInvokeConfig", "", Value::Null),
        ("UpdateFunctionEventInvokeConfig", "", json!({ "MaximumEventAgeInSeconds": 60 })),
        ("ListFunctionEventInvokeConfigs", "", Value::Null),
        ("DeleteFunctionEventInvokeConfig", "", Value::Null),
        ("InvokeAsync", "", json!({})),
        ("CreateEventSourceMapping", "", from_queue),
        ("GetEventSourceMapping", mapping, Value::Null),
        ("UpdateEventSourceMapping", mapping, json!({ "Enabled": false })),
        ("ListEventSourceMappings", "", Value::Null),
        ("DeleteEventSourceMapping", mapping, Value::Null),
        ("CreateFunctionUrlConfig", "", json!({ "AuthType": "NONE", "Cors": cors })),
        ("GetFunctionUrlConfig", "", Value::Null),
        ("UpdateFunctionUrlConfig", "", json!({ "InvokeMode": "BUFFERED" })),
        ("ListFunctionUrlConfigs", "", Value::Null),
        ("DeleteFunctionUrlConfig", "", Value::Null),
        ("AddPermission", "", permission),
        ("GetPolicy", "", Value::Null),
        ("RemovePermission", "", Value::Null),
        ("PutFunctionRecursionConfig", "", json!({ "RecursiveLoop": "Allow" })),
        ("GetFunctionRecursionConfig", "", Value::Null),
        ("PutRuntimeManagementConfig", "", json!({ "UpdateRuntimeOn": "FunctionUpdate" })),
        ("GetRuntimeManagementConfig", "", Value::Null),
        ("CreateCodeSigningConfig", "", signing.clone()),
        ("ListCodeSigningConfigs", "", Value::Null),
        ("GetCodeSigningConfig", signed, Value::Null),
        ("UpdateCodeSigningConfig", signed, signing),
        ("PutFunctionCodeSigningConfig", "", json!({ "CodeSigningConfigArn": arn })),
        ("GetFunctionCodeSigningConfig", "", Value::Null),
        ("ListFunctionsByCodeSigningConfig", signs, Value::Null),
        ("DeleteFunctionCodeSigningConfig", "", Value::Null),
        ("DeleteCodeSigningConfig", signed, Value::Null),
        ("TagResource", tags, json!({ "Tags": { "c": "d" } })),
        ("ListTags", tags, Value::Null),
        ("UntagResource", untag, Value::Null),
        (
            "PublishLayerVersion",
            "",
            json!({
                "Content": { "ZipFile": package_text("layer") }, "LicenseInfo": "MIT",
                "CompatibleRuntimes": ["python3.11"], "CompatibleArchitectures": ["x86_64"],
            }),
        ),
        ("GetLayerVersion", "", Value::Null),
        ("GetLayerVersionByArn", by_arn, Value::Null),
        ("ListLayers", "", Value::Null),
        ("ListLayerVersions", "", Value::Null),
        ("AddLayerVersionPermission", "", layer_permission),
        ("GetLayerVersionPolicy", "", Value::Null),
        ("RemoveLayerVersionPermission", "", Value::Null),
        ("UpdateFunctionConfiguration", "", json!({ "Layers": [layer] })),
        ("GetFunction", "", Value::Null),
        ("DeleteLayerVersion", "", Value::Null),
        ("GetAccountSettings", "", Value::Null),
        ("Invoke", "", json!({})),
        ("InvokeWithResponseStream", "", json!({})),
        ("DeleteFunction", "", Value::Null),
    ];
    let mut seen = BTreeSet::new();
    for (name, path, body) in calls {
        let operation = lambda::Operation::all().find(|operation| operation.row().name == name);
        let operation = operation.expect("it is in the model");
        let row = operation.row();
        let path = if path.is_empty() { path_of(row) } else { path.to_owned() };
        let reply = server.call(row.method, &path, body).await;
        // The one operation whose modelled status AWS does not answer with.
        let status = if name == "DeleteFunction" { 204 } else { row.status };
        assert_eq!(reply.status.as_u16(), status, "{name}: {reply:?}");
        let in_body = |shape: &&Shape| shape.members().iter().any(|m| m.place == Place::Body);
        match row.output.filter(in_body) {
            Some(shape) => assert_eq!(mismatch(name, &reply.json(), shape), None),
            None if name.starts_with("Invoke") => {}
            None => assert!(reply.body.is_empty(), "{name}"),
        }
        seen.insert(operation);
        if name != "DeleteFunction" {
            server.settled("f").await;
        }
    }
    for operation in lambda::Operation::all().filter(|operation| !seen.contains(operation)) {
        let row = operation.row();
        let reply = server.call(row.method, &path_of(row), json!({})).await;
        let (status, code, message) = reply.error();
        assert_eq!(status, 400, "{operation}: every operation that is served is tried: {reply:?}");
        let codes = ["ValidationException", "InvalidParameterValueException"];
        assert!(codes.contains(&code.as_str()) && !message.is_empty(), "{operation}: {reply:?}");
    }
}

#[test]
fn every_error_spells_its_message_as_the_model_does() {
    for fault in &lambda::FAULTS {
        let status = StatusCode::from_u16(fault.status).expect("a status");
        let body = AwsError::user(status, fault.code, "text").to_json();
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        if let Some(member) = fault.message {
            assert_eq!(body.get(member), Some(&json!("text")), "{}: {body}", fault.code);
        }
    }
}

#[tokio::test]
async fn errors_have_the_status_of_the_model() {
    let server = Server::open();
    server.create("f").await;
    let body = json!({ "RevisionId": "stale" });
    let replies = [
        server.get("/2015-03-31/functions/none").await,
        server.call("POST", "/2015-03-31/functions", new_function("f")).await,
        server.call("PUT", "/2015-03-31/functions/f/configuration", body).await,
        server.call("PUT", "/2015-03-31/functions/f/code", json!({})).await,
        server
            .call("POST", "/2015-03-31/functions/f/invocations", Value::String("\u{1}".into()))
            .await,
    ];
    for reply in replies {
        let code = reply.header("x-amzn-errortype").unwrap_or_default();
        let Some(fault) = lambda::FAULTS.iter().find(|fault| fault.code == code) else {
            continue;
        };
        assert_eq!(reply.status.as_u16(), fault.status, "{reply:?}");
        let member = fault.message.expect("all that are answered here have one");
        assert!(reply.json().get(member).is_some(), "{code:?} has {member}: {reply:?}");
    }
}
