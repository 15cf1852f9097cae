//! Every answer against AWS's own model.
//!
//! `model.json` is the part of the published service model that concerns the operations that are
//! served: method, path, status, members of requests and responses, and how errors spell their
//! message. An answer may leave members out; it may not invent any, nor give one another type.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::server::{Server, new_function, package_text};
use crate::operation::{Operation, Route};

fn model() -> Value {
    serde_json::from_str(include_str!("model.json")).unwrap()
}

/// Where a value is not what the model says, if anywhere.
fn mismatch(at: &str, value: &Value, shape: &Value) -> Option<String> {
    let wrong = || Some(format!("{at}: {value} is not {shape}"));
    match (shape, value) {
        (Value::Object(members), Value::Object(given)) => {
            given.iter().find_map(|(name, value)| match members.get(name) {
                Some(shape) => mismatch(&format!("{at}.{name}"), value, shape),
                None => Some(format!("{at}.{name} is no member")),
            })
        }
        (Value::Array(of), Value::Array(given)) => {
            given.iter().find_map(|value| mismatch(at, value, &of[0]))
        }
        (Value::String(kind), value) => {
            let fits = match kind.as_str() {
                "string" => value.is_string(),
                "integer" | "long" => value.is_u64() || value.is_i64(),
                "boolean" => value.is_boolean(),
                "map" => value.is_object(),
                _ => false,
            };
            if fits { None } else { wrong() }
        }
        _ => wrong(),
    }
}

#[test]
fn every_path_of_the_model_leads_to_its_operation() {
    let model = model();
    for (name, operation) in model["operations"].as_object().unwrap() {
        let path = operation["path"].as_str().unwrap();
        let path = path
            .replace("{FunctionName}", "f")
            .replace("{StatementId}", "s")
            .replace("{Resource}", "arn:aws:lambda:us-east-1:000000000000:function:f");
        let method: Method = operation["method"].as_str().unwrap().parse().unwrap();
        let (path, query) = path.split_once('?').map_or((&*path, None), |(p, q)| (p, Some(q)));
        let route = Route::parse(&method, path, query);
        // IAM's name for Invoke, which is the one that refusals print, is another.
        let expected = if name == "Invoke" { "InvokeFunction" } else { name };
        assert_eq!(route.operation.name(), expected, "{method} {path}");
    }
    assert_eq!(Route::parse(&Method::GET, "/x", None).operation, Operation::Unknown);
}

#[tokio::test]
async fn every_answer_has_the_status_and_only_the_members_of_the_model() {
    let model = model();
    let server = Server::open();
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
    let calls: Vec<(&str, &str, Value)> = vec![
        ("CreateFunction", "", function),
        ("GetFunction", "", Value::Null),
        ("GetFunctionConfiguration", "", Value::Null),
        ("UpdateFunctionCode", "", json!({ "ZipFile": package_text("two") })),
        ("UpdateFunctionConfiguration", "", json!({ "Timeout": 5 })),
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
        ("CreateFunctionUrlConfig", "", json!({ "AuthType": "NONE", "Cors": cors })),
        ("GetFunctionUrlConfig", "", Value::Null),
        ("UpdateFunctionUrlConfig", "", json!({ "InvokeMode": "BUFFERED" })),
        ("ListFunctionUrlConfigs", "", Value::Null),
        ("DeleteFunctionUrlConfig", "", Value::Null),
        ("AddPermission", "", permission),
        ("GetPolicy", "", Value::Null),
        ("RemovePermission", "", Value::Null),
        ("TagResource", tags, json!({ "Tags": { "c": "d" } })),
        ("ListTags", tags, Value::Null),
        ("UntagResource", untag, Value::Null),
        ("GetAccountSettings", "", Value::Null),
        ("Invoke", "", json!({})),
        ("DeleteFunction", "", Value::Null),
    ];
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, path, body) in calls {
        let operation = &model["operations"][name];
        let plain = operation["path"].as_str().unwrap();
        let plain = plain.replace("{FunctionName}", "f").replace("{StatementId}", "s");
        let path = if path.is_empty() { plain } else { path.to_owned() };
        if let Value::Object(_) = &body {
            assert_eq!(mismatch(name, &body, &request_shape(operation)), None, "the test itself");
        }
        let method = operation["method"].as_str().unwrap();
        let reply = server.call(method, &path, body).await;
        // The one operation whose modelled status AWS does not answer with.
        let status = if name == "DeleteFunction" { 204 } else { status_of(operation) };
        assert_eq!(reply.status.as_u16(), status, "{name}: {reply:?}");
        match operation.get("response") {
            Some(shape) if name != "Invoke" && name != "DeleteFunction" => {
                assert_eq!(mismatch(name, &reply.json(), shape), None);
            }
            _ if name != "Invoke" => assert!(reply.body.is_empty(), "{name}"),
            _ => {}
        }
        *seen.entry(name).or_default() += 1;
        if name != "DeleteFunction" {
            server.settled("f").await;
        }
    }
    let all: Vec<&str> =
        model["operations"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), all, "every operation is tried");
}

#[tokio::test]
async fn every_error_spells_its_message_as_the_model_does() {
    let model = model();
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
        let code = reply.header("x-amzn-errortype").map(str::to_owned);
        let Some(shape) = code.as_deref().and_then(|code| model["errors"].get(code)) else {
            continue;
        };
        assert_eq!(reply.status.as_u16(), status_of(shape), "{reply:?}");
        let member = shape["message"].as_str().unwrap();
        assert!(reply.json().get(member).is_some(), "{code:?} has {member}: {reply:?}");
    }
}

fn status_of(shape: &Value) -> u16 {
    u16::try_from(shape["status"].as_u64().unwrap()).unwrap()
}

/// Members of a request; packages are bytes in the model and text on the wire.
fn request_shape(operation: &Value) -> Value {
    let text = operation["request"].to_string().replace("\"blob\"", "\"string\"");
    serde_json::from_str(&text).unwrap()
}
