//! Updates, revisions, versions, states.

use serde_json::{Value, json};
use store::{Publication, Update};

use super::server::{ARN, Server, new_function, new_function_with, package_text};

const FUNCTION: &str = "/2015-03-31/functions/f";
const CODE: &str = "/2015-03-31/functions/f/code";
const CONFIGURATION: &str = "/2015-03-31/functions/f/configuration";
const VERSIONS: &str = "/2015-03-31/functions/f/versions";

#[tokio::test]
async fn an_update_is_in_progress_and_then_successful_each_with_a_revision_of_its_own() {
    let server = Server::open();
    let created = server.create("f").await;
    let before = server.settled("f").await;
    let updated = server.call("PUT", CONFIGURATION, json!({ "MemorySize": 256 })).await;
    assert_eq!(updated.status, 200);
    let updated = updated.json();
    assert_eq!(updated["LastUpdateStatus"], "InProgress");
    assert_eq!(updated["LastUpdateStatusReason"], "The function is being created.");
    assert_eq!(updated["LastUpdateStatusReasonCode"], "Creating");
    assert_eq!((&updated["State"], &updated["MemorySize"]), (&json!("Active"), &json!(256)));
    let after = server.settled("f").await;
    assert_eq!(after["LastUpdateStatus"], "Successful");
    let published = server.call("POST", VERSIONS, json!({})).await.json();
    let latest = server.settled("f").await;
    let mut revisions: Vec<&str> = [&created, &before, &updated, &after, &published, &latest]
        .map(|shown| shown["RevisionId"].as_str().unwrap())
        .into();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 6);
}

#[tokio::test]
async fn what_an_update_does_not_mention_stays() {
    let server = Server::open();
    let with = json!({
        "Description": "d", "Timeout": 30, "Environment": { "Variables": { "KEY": "value" } },
    });
    server.call("POST", "/2015-03-31/functions", new_function_with("f", with)).await;
    let before = server.settled("f").await;
    server.call("PUT", CONFIGURATION, json!({ "MemorySize": 512 })).await;
    let after = server.settled("f").await;
    for member in ["Description", "Timeout", "Environment", "Handler", "Runtime", "CodeSha256"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    let emptied = json!({ "Environment": { "Variables": {} }, "Description": "" });
    server.call("PUT", CONFIGURATION, emptied).await;
    let emptied = server.settled("f").await;
    assert_eq!(emptied["Environment"], json!({ "Variables": {} }));
    assert_eq!(emptied["Description"], "");
}

#[tokio::test]
async fn what_ran_before_an_update_is_retired_after_it() {
    let server = Server::open();
    server.create("f").await;
    let before = server.api.store.snapshot().function("f").unwrap().latest.generation;
    server.call("PUT", CODE, json!({ "ZipFile": package_text("two") })).await;
    server.settled("f").await;
    for _ in 0..500 {
        if server.pool.retired.lock().unwrap().contains(&before) {
            return;
        }
        // The answer does not wait for the retirement.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the old generation was not retired");
}

#[tokio::test]
async fn a_second_update_is_refused_while_one_is_in_progress() {
    let server = Server::open();
    server.create("f").await;
    let name = model::FunctionName::parse("f").unwrap();
    // Begun beneath the API, so that nothing settles it.
    server.api.store.update_function(&name, Update::default()).await.unwrap();
    let message = format!(
        "The operation cannot be performed at this time. An update is in progress for resource: \
         {ARN}:f"
    );
    for (method, path, body) in [
        ("PUT", CONFIGURATION, json!({ "Timeout": 9 })),
        ("PUT", CODE, json!({ "ZipFile": package_text("two") })),
        ("POST", VERSIONS, json!({})),
    ] {
        let refused = server.call(method, path, body).await;
        refused.refused(409, "ResourceConflictException", &message);
    }
}

#[tokio::test]
async fn a_pending_function_is_neither_called_nor_updated_nor_published() {
    let server = Server::open();
    let name = model::FunctionName::parse("f").unwrap();
    let mut new = template(&server).await;
    new.name = name;
    server.api.store.create_function(new).await.unwrap();
    let message = "The operation cannot be performed at this time. The function is currently in \
                   the following state: Pending";
    for (method, path, body) in [
        ("PUT", CONFIGURATION, json!({ "Timeout": 9 })),
        ("PUT", CODE, json!({ "ZipFile": package_text("two") })),
        ("POST", VERSIONS, json!({})),
        ("POST", "/2015-03-31/functions/f/invocations", json!({})),
    ] {
        let refused = server.call(method, path, body).await;
        refused.refused(409, "ResourceConflictException", message);
    }
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_finished_at_the_next_start() {
    let server = Server::open();
    let mut whole = template(&server).await;
    whole.name = model::FunctionName::parse("whole").unwrap();
    let mut lost = whole.clone();
    lost.name = model::FunctionName::parse("lost").unwrap();
    lost.code.digest = model::Digest([9; 32]);
    server.api.store.create_function(whole).await.unwrap();
    server.api.store.create_function(lost).await.unwrap();
    crate::recover(&server.api).await;
    assert_eq!(server.settled("whole").await["State"], "Active");
    let lost = server.settled("lost").await;
    assert_eq!(lost["State"], "Failed");
    assert_eq!(lost["StateReasonCode"], "InvalidZipFileException");
}

#[tokio::test]
async fn a_stale_revision_is_refused_and_the_current_one_accepted() {
    let server = Server::open();
    let created = server.create("f").await;
    let stale = created["RevisionId"].clone();
    let message = "The Revision Id provided does not match the latest Revision Id. Call the \
                   GetFunction/GetAlias API to retrieve the latest Revision Id";
    for (method, path, body) in [
        ("PUT", CONFIGURATION, json!({ "Timeout": 9, "RevisionId": stale })),
        ("PUT", CODE, json!({ "ZipFile": package_text("two"), "RevisionId": stale })),
        ("POST", VERSIONS, json!({ "RevisionId": stale })),
    ] {
        let refused = server.call(method, path, body).await;
        refused.refused(412, "PreconditionFailedException", message);
    }
    let current = server.settled("f").await["RevisionId"].clone();
    let body = json!({ "Timeout": 9, "RevisionId": current });
    assert_eq!(server.call("PUT", CONFIGURATION, body).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_shows_the_code_that_would_be_and_changes_nothing() {
    let server = Server::open();
    server.create("f").await;
    let before = server.settled("f").await;
    let body = json!({ "ZipFile": package_text("two"), "DryRun": true });
    let shown = server.call("PUT", CODE, body).await;
    assert_eq!(shown.status, 200);
    assert_ne!(shown.json()["CodeSha256"], before["CodeSha256"]);
    assert_eq!(server.settled("f").await, before);
}

#[tokio::test]
async fn publishing_twice_without_a_change_gives_the_same_version() {
    let server = Server::open();
    server.create("f").await;
    let first = server.call("POST", VERSIONS, json!({ "Description": "first" })).await;
    assert_eq!(first.status, 201);
    let first = first.json();
    assert_eq!((&first["Version"], &first["Description"]), (&json!("1"), &json!("first")));
    assert_eq!(first["FunctionArn"], format!("{ARN}:f:1"));
    let second = server.call("POST", VERSIONS, Value::Null).await.json();
    assert_eq!(second, first);
}

#[tokio::test]
async fn publishing_names_the_code_it_means() {
    let server = Server::open();
    let created = server.create("f").await;
    let current = created["CodeSha256"].as_str().unwrap();
    let refused = server.call("POST", VERSIONS, json!({ "CodeSha256": "somethingelse" })).await;
    refused.refused(
        400,
        "InvalidParameterValueException",
        &format!(
            "CodeSHA256 (somethingelse) is different from current CodeSHA256 in $LATEST \
             ({current}). Please try again with the CodeSHA256 in $LATEST."
        ),
    );
    let accepted = server.call("POST", VERSIONS, json!({ "CodeSha256": current })).await;
    assert_eq!(accepted.status, 201);
}

#[tokio::test]
async fn create_and_update_publish_if_asked_to() {
    let server = Server::open();
    let with = json!({ "Publish": true });
    let created =
        server.call("POST", "/2015-03-31/functions", new_function_with("f", with)).await.json();
    assert_eq!(created["Version"], "1");
    assert_eq!(created["FunctionArn"], format!("{ARN}:f"));
    server.settled("f").await;
    let body = json!({ "ZipFile": package_text("two"), "Publish": true });
    let updated = server.call("PUT", CODE, body.clone()).await.json();
    assert_eq!(updated["Version"], "2");
    assert_eq!(updated["FunctionArn"], format!("{ARN}:f:2"));
    server.settled("f").await;
    let version = server.get(&format!("{FUNCTION}?Qualifier=2")).await.json();
    assert_eq!(version["Configuration"]["State"], "Active");
    let again = server.call("PUT", CODE, body).await.json();
    assert_eq!(again["Version"], "2", "the same code is not published twice");
}

#[tokio::test]
async fn versions_are_listed_with_latest_first_and_qualified() {
    let server = Server::open();
    server.create("f").await;
    server.call("POST", VERSIONS, json!({})).await;
    server.call("PUT", CODE, json!({ "ZipFile": package_text("two") })).await;
    server.settled("f").await;
    server.call("POST", VERSIONS, json!({})).await;
    let listed = server.get(&format!("{VERSIONS}?MaxItems=2")).await.json();
    let arns = |page: &Value| -> Vec<String> {
        let all = page["Versions"].as_array().unwrap().iter();
        all.map(|version| version["FunctionArn"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(arns(&listed), [format!("{ARN}:f:$LATEST"), format!("{ARN}:f:1")]);
    let marker = listed["NextMarker"].as_str().unwrap();
    let rest = server.get(&format!("{VERSIONS}?Marker={marker}")).await.json();
    assert_eq!(arns(&rest), [format!("{ARN}:f:2")]);
    assert_eq!(rest.get("NextMarker"), None);
}

#[tokio::test]
async fn publishing_waits_for_nobody_and_two_at_once_give_one_version() {
    let server = Server::open();
    server.create("f").await;
    let name = model::FunctionName::parse("f").unwrap();
    let publish = || server.api.store.publish_version(&name, Publication::default());
    let (first, second) = tokio::join!(publish(), publish());
    assert_eq!(first.unwrap().1, second.unwrap().1);
}

/// What the store was told to create when a function was created.
async fn template(server: &Server) -> store::NewFunction {
    server.call("POST", "/2015-03-31/functions", new_function("template")).await;
    let snapshot = server.api.store.snapshot();
    let latest = &snapshot.function("template").unwrap().latest;
    store::NewFunction {
        name: model::FunctionName::parse("template").unwrap(),
        code: latest.code,
        configuration: latest.configuration.clone(),
        tags: Default::default(),
        publish: false,
        at_ms: 0,
    }
}
