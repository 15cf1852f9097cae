//! Functions created, looked at, listed, deleted.

use http::Request;
use serde_json::{Value, json};

use super::server::{ARN, Server, new_function, new_function_with, package};

#[tokio::test]
async fn creating_answers_pending_without_an_update_status_and_soon_it_is_active() {
    let server = Server::open();
    let created = server.call("POST", "/2015-03-31/functions", new_function("f")).await;
    assert_eq!(created.status, 201);
    let created = created.json();
    assert_eq!(created["State"], "Pending");
    assert_eq!(created["StateReason"], "The function is being created.");
    assert_eq!(created["StateReasonCode"], "Creating");
    assert_eq!(created.get("LastUpdateStatus"), None);
    let settled = server.settled("f").await;
    assert_eq!(settled["State"], "Active");
    assert_eq!(settled["LastUpdateStatus"], "Successful");
    assert_eq!(settled.get("StateReason"), None);
    assert_ne!(settled["RevisionId"], created["RevisionId"]);
}

#[tokio::test]
async fn a_function_has_every_member_that_clients_compare() {
    let server = Server::open();
    server.create("f").await;
    let shown = server.settled("f").await;
    let expected = json!({
        "Architectures": [model::configuration::Architecture::HOST.as_str()],
        "Description": "",
        "EphemeralStorage": { "Size": 512 },
        "FunctionArn": format!("{ARN}:f"),
        "FunctionName": "f",
        "Handler": "app.handler",
        "LoggingConfig": { "LogFormat": "Text", "LogGroup": "/aws/lambda/f" },
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": super::server::ROLE,
        "Runtime": "python3.11",
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "Timeout": 3,
        "TracingConfig": { "Mode": "PassThrough" },
        "Version": "$LATEST",
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(shown[member], *value, "{member}");
    }
    assert_eq!(shown.get("Environment"), None, "never given");
    let code = package("one");
    assert_eq!(shown["CodeSize"], code.len());
    let modified = shown["LastModified"].as_str().unwrap();
    assert!(modified.len() == 28 && modified.ends_with("+0000"), "{modified}");
    let runtime = shown["RuntimeVersionConfig"]["RuntimeVersionArn"].as_str().unwrap();
    assert!(runtime.starts_with("arn:aws:lambda:us-east-1::runtime:"), "{runtime}");
}

#[tokio::test]
async fn an_environment_that_was_given_empty_is_shown_empty() {
    let server = Server::open();
    let with = json!({ "Environment": {} });
    server.call("POST", "/2015-03-31/functions", new_function_with("f", with)).await;
    let shown = server.settled("f").await;
    assert_eq!(shown["Environment"], json!({ "Variables": {} }));
}

#[tokio::test]
async fn every_form_of_a_name_finds_the_function() {
    let server = Server::open();
    server.create("f").await;
    for name in [
        "f".to_owned(),
        "f:$LATEST".to_owned(),
        "function:f".to_owned(),
        "000000000000:function:f".to_owned(),
        format!("{ARN}:f"),
        format!("{ARN}:f:$LATEST"),
        format!("{ARN}:f").replace(':', "%3A"),
        format!("{ARN}:f:%24LATEST"),
    ] {
        let found = server.get(&format!("/2015-03-31/functions/{name}/configuration")).await;
        assert_eq!(found.status, 200, "{name}: {found:?}");
        assert_eq!(found.json()["FunctionName"], "f");
    }
}

#[tokio::test]
async fn the_arn_is_qualified_if_and_only_if_the_request_was() {
    let server = Server::open();
    server.create("f").await;
    let plain = server.get("/2015-03-31/functions/f").await.json();
    assert_eq!(plain["Configuration"]["FunctionArn"], format!("{ARN}:f"));
    let qualified = server.get("/2015-03-31/functions/f?Qualifier=%24LATEST").await.json();
    assert_eq!(qualified["Configuration"]["FunctionArn"], format!("{ARN}:f:$LATEST"));
    let both = format!("/2015-03-31/functions/{ARN}:f:$LATEST?Qualifier=%24LATEST");
    assert_eq!(server.get(&both).await.status, 200);
}

#[tokio::test]
async fn the_code_location_leads_to_the_package_without_credentials() {
    let server = Server::with(crate::Access::Open { hosts: Vec::new() });
    server.create("f").await;
    let found = server.get("/2015-03-31/functions/f").await.json();
    assert_eq!(found["Code"]["RepositoryType"], "S3");
    let location = found["Code"]["Location"].as_str().unwrap();
    let rest = location.strip_prefix("http://localhost:9000").unwrap();
    let fetch = |path: &str| {
        let request = Request::builder().uri(path).header("host", "localhost:9000");
        request.body(axum::body::Body::empty()).unwrap()
    };
    let fetched = server.send(fetch(rest)).await;
    assert_eq!(fetched.status, 200, "{fetched:?}");
    assert_eq!(fetched.body, package("one"));
    assert_eq!(fetched.header("content-length"), Some(&*package("one").len().to_string()));

    let tampered = rest.replace("X-Amz-Expires=600", "X-Amz-Expires=601");
    assert_eq!(server.send(fetch(&tampered)).await.status, 403);
    let (path, query) = rest.split_once('?').unwrap();
    let other = format!("{}?{query}", path.replace("/f/", "/g/"));
    assert_eq!(server.send(fetch(&other)).await.status, 403);
    assert_eq!(server.send(fetch(path)).await.status, 403);
}

#[tokio::test]
async fn tags_and_a_reservation_are_shown_with_the_function_only_if_there_are_any() {
    let server = Server::open();
    server.create("plain").await;
    let plain = server.get("/2015-03-31/functions/plain").await.json();
    assert_eq!((plain.get("Tags"), plain.get("Concurrency")), (None, None));
    let with = json!({ "Tags": { "team": "a" } });
    server.call("POST", "/2015-03-31/functions", new_function_with("f", with)).await;
    let body = json!({ "ReservedConcurrentExecutions": 5 });
    server.call("PUT", "/2017-10-31/functions/f/concurrency", body).await;
    let found = server.get("/2015-03-31/functions/f").await.json();
    assert_eq!(found["Tags"], json!({ "team": "a" }));
    assert_eq!(found["Concurrency"], json!({ "ReservedConcurrentExecutions": 5 }));
}

#[tokio::test]
async fn functions_are_listed_in_pages_of_at_most_fifty_and_none_is_missed() {
    let server = Server::open();
    for index in 0..53 {
        let created = new_function(&format!("f{index:02}"));
        server.call("POST", "/2015-03-31/functions", created).await;
    }
    let first = server.get("/2015-03-31/functions?MaxItems=10000").await.json();
    assert_eq!(first["Functions"].as_array().unwrap().len(), 50);
    let marker = first["NextMarker"].as_str().unwrap();
    let rest = server.get(&format!("/2015-03-31/functions/?Marker={marker}")).await.json();
    assert_eq!(rest.get("NextMarker"), None);
    let names = |page: &Value| -> Vec<String> {
        let all = page["Functions"].as_array().unwrap().iter();
        all.map(|function| function["FunctionName"].as_str().unwrap().to_owned()).collect()
    };
    let all = [names(&first), names(&rest)].concat();
    let expected: Vec<String> = (0..53).map(|index| format!("f{index:02}")).collect();
    assert_eq!(all, expected);
    for left_out in ["State", "LastUpdateStatus", "RuntimeVersionConfig"] {
        assert_eq!(first["Functions"][0].get(left_out), None, "lists leave it out");
    }
}

#[tokio::test]
async fn all_versions_are_listed_across_pages() {
    let server = Server::open();
    for name in ["a", "b"] {
        server.create(name).await;
        let path = format!("/2015-03-31/functions/{name}/versions");
        assert_eq!(server.call("POST", &path, json!({})).await.status, 201);
    }
    let mut seen = Vec::new();
    let mut path = "/2015-03-31/functions?FunctionVersion=ALL&MaxItems=1".to_owned();
    loop {
        let page = server.get(&path).await.json();
        let function = &page["Functions"][0];
        seen.push(function["FunctionArn"].as_str().unwrap().to_owned());
        let Some(marker) = page.get("NextMarker").and_then(Value::as_str) else { break };
        path = format!("/2015-03-31/functions?FunctionVersion=ALL&MaxItems=1&Marker={marker}");
    }
    let expected = ["a:$LATEST", "a:1", "b:$LATEST", "b:1"].map(|end| format!("{ARN}:{end}"));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_deleted_function_is_gone_its_name_is_free_and_its_instances_are_retired() {
    let server = Server::open();
    server.create("f").await;
    let function = server.api.store.snapshot().function("f").cloned().unwrap();
    let deleted = server.call("DELETE", "/2015-03-31/functions/f", Value::Null).await;
    assert_eq!(deleted.status, 204);
    assert!(deleted.body.is_empty());
    assert_eq!(*server.pool.retired.lock().unwrap(), function.generations());
    assert_eq!(server.get("/2015-03-31/functions/f").await.status, 404);
    server.create("f").await;
}

#[tokio::test]
async fn a_version_is_deleted_by_its_number_and_latest_is_not() {
    let server = Server::open();
    server.create("f").await;
    server.call("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    for _ in 0..2 {
        let deleted = server.call("DELETE", "/2015-03-31/functions/f?Qualifier=1", Value::Null);
        assert_eq!(deleted.await.status, 204, "the second time, too");
    }
    assert_eq!(server.get("/2015-03-31/functions/f?Qualifier=1").await.status, 404);
    let latest = server.call("DELETE", "/2015-03-31/functions/f?Qualifier=%24LATEST", Value::Null);
    latest.await.refused(
        400,
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    );
}

#[tokio::test]
async fn terraform_is_told_that_there_is_no_code_signing() {
    let server = Server::open();
    server.create("f").await;
    let answer = server.get("/2020-06-30/functions/f/code-signing-config").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({ "FunctionName": "f" }));
}

#[tokio::test]
async fn account_settings_count_what_there_is() {
    let server = Server::open();
    server.create("f").await;
    let body = json!({ "ReservedConcurrentExecutions": 5 });
    server.call("PUT", "/2017-10-31/functions/f/concurrency", body).await;
    let settings = server.get("/2016-08-19/account-settings").await.json();
    assert_eq!(settings["AccountLimit"]["ConcurrentExecutions"], 1000);
    assert_eq!(settings["AccountLimit"]["UnreservedConcurrentExecutions"], 995);
    assert_eq!(settings["AccountLimit"]["CodeSizeZipped"], 52_428_800);
    assert_eq!(settings["AccountLimit"]["CodeSizeUnzipped"], 262_144_000);
    assert_eq!(settings["AccountUsage"]["FunctionCount"], 1);
    assert_eq!(settings["AccountUsage"]["TotalCodeSize"], package("one").len());
}
