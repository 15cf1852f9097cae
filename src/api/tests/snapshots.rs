//! SnapStart: what is refused beside it, and the states of versions that have it.

use pool::NotTaken;
use serde_json::{Value, json};

use super::server::{Server, new_function_with};

const FUNCTIONS: &str = "/2015-03-31/functions";
const FUNCTION: &str = "/2015-03-31/functions/f";
const CONFIGURATION: &str = "/2015-03-31/functions/f/configuration";
const VERSIONS: &str = "/2015-03-31/functions/f/versions";
const VERSION: &str = "/2015-03-31/functions/f/configuration?Qualifier=1";
const INVALID: &str = "InvalidParameterValueException";

fn with_snap_start() -> Value {
    new_function_with("f", json!({ "SnapStart": { "ApplyOn": "PublishedVersions" } }))
}

async fn server() -> Server {
    let server = Server::open();
    let created = server.call("POST", FUNCTIONS, with_snap_start()).await;
    assert_eq!(created.status, 201, "{created:?}");
    server.settled("f").await;
    server
}

async fn prepared(server: &Server) -> Value {
    for _ in 0..500 {
        let shown = server.get(VERSION).await.json();
        if shown["State"] != "Pending" {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the version stays pending");
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn a_version_is_pending_until_there_is_a_snapshot_and_then_it_is_on() {
    let server = server().await;
    let latest = server.settled("f").await;
    let off = json!({ "ApplyOn": "PublishedVersions", "OptimizationStatus": "Off" });
    let on = json!({ "ApplyOn": "PublishedVersions", "OptimizationStatus": "On" });
    assert_eq!((&latest["State"], &latest["SnapStart"]), (&json!("Active"), &off));

    *server.pool.snapshots.lock().unwrap() = None;
    let published = server.call("POST", VERSIONS, json!({})).await;
    assert_eq!(published.status, 201);
    let published = published.json();
    assert_eq!((&published["State"], &published["SnapStart"]), (&json!("Pending"), &off));
    assert_eq!(published["StateReasonCode"], "Creating");
    let early =
        server.call("POST", &format!("{FUNCTION}/invocations?Qualifier=1"), json!({})).await;
    assert_eq!(early.status, 409);
    assert_eq!(early.headers["x-amzn-errortype"], "SnapStartNotReadyException");

    *server.pool.snapshots.lock().unwrap() = Some(Ok(()));
    let ready = prepared(&server).await;
    assert_eq!((&ready["State"], &ready["SnapStart"]), (&json!("Active"), &on));
    assert_eq!(ready.get("StateReason"), None);
    let called =
        server.call("POST", &format!("{FUNCTION}/invocations?Qualifier=1"), json!({})).await;
    assert_eq!(called.status, 200);
    assert_eq!(server.settled("f").await["SnapStart"], off);
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn where_no_snapshot_can_be_taken_the_version_is_active_and_says_why() {
    let server = server().await;
    let reason = "more than one thread".to_owned();
    *server.pool.snapshots.lock().unwrap() = Some(Err(NotTaken::Unfit { reason }));
    server.call("POST", VERSIONS, json!({})).await;
    let shown = prepared(&server).await;
    assert_eq!(shown["State"], "Active");
    assert_eq!(shown["SnapStart"]["OptimizationStatus"], "Off");
    assert_eq!(shown["StateReason"], "SnapStart is off for this version: more than one thread.");
    assert_eq!(shown.get("StateReasonCode"), None);
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn a_version_that_does_not_initialise_has_failed_in_awss_words() {
    for (not_taken, code) in [
        (NotTaken::Failed { reason: "no".to_owned() }, "FunctionError.RuntimeInitError"),
        (
            NotTaken::TimedOut { limit: std::time::Duration::from_secs(130) },
            "FunctionError.InitTimeout",
        ),
    ] {
        let server = server().await;
        *server.pool.snapshots.lock().unwrap() = Some(Err(not_taken));
        server.call("POST", VERSIONS, json!({})).await;
        let shown = prepared(&server).await;
        assert_eq!((&shown["State"], &shown["StateReasonCode"]), (&json!("Failed"), &json!(code)));
    }
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn what_does_not_go_with_it_is_refused_in_awss_words_on_both_sides() {
    let storage = |size: u32| json!({ "Size": size });
    let on = json!({ "ApplyOn": "PublishedVersions" });
    let too_much = "EphemeralStorage greater than 512 MB is not supported for SnapStart enabled \
                    functions.";
    let server = Server::open();
    let both = json!({ "SnapStart": on, "EphemeralStorage": storage(513) });
    let refused = server.call("POST", FUNCTIONS, new_function_with("f", both)).await;
    refused.refused(400, INVALID, too_much);
    let both = json!({ "SnapStart": on, "Runtime": "provided.al2023", "Handler": "h" });
    let refused = server.call("POST", FUNCTIONS, new_function_with("f", both)).await;
    let message = "provided.al2023 is not supported for SnapStart enabled functions.";
    refused.refused(400, INVALID, message);

    let both = json!({ "SnapStart": on, "EphemeralStorage": storage(512) });
    let created = server.call("POST", FUNCTIONS, new_function_with("f", both)).await;
    assert_eq!(created.status, 201);
    server.settled("f").await;
    let larger = json!({ "EphemeralStorage": storage(513) });
    server.call("PUT", CONFIGURATION, larger.clone()).await.refused(400, INVALID, too_much);
    let without = json!({ "SnapStart": { "ApplyOn": "None" }, "EphemeralStorage": storage(513) });
    assert_eq!(server.call("PUT", CONFIGURATION, without).await.status, 200);
    server.settled("f").await;
    let again = json!({ "SnapStart": on });
    server.call("PUT", CONFIGURATION, again).await.refused(400, INVALID, too_much);
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn the_next_process_is_told_of_what_there_were_snapshots() {
    let server = server().await;
    server.call("POST", VERSIONS, json!({})).await;
    prepared(&server).await;
    assert!(server.pool.expected.lock().unwrap().is_empty());
    let generation = server.api.store.snapshot().function("f").unwrap().versions[&1].generation;
    crate::recover(&server.api).await;
    assert_eq!(*server.pool.expected.lock().unwrap(), [generation]);
}
