//! Provisioned concurrency.

use http::StatusCode;
use pool::{Provision, Shortfall};
use serde_json::{Value, json};

use super::server::{ARN, Reply, Server};

const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";

/// A function with as many versions.
async fn with_versions(count: usize) -> Server {
    let server = Server::open();
    server.create("f").await;
    for version in 1..=count {
        let body = json!({ "Description": version.to_string() });
        server.call("PUT", "/2015-03-31/functions/f/configuration", body).await;
        server.settled("f").await;
        let published = server.call("POST", "/2015-03-31/functions/f/versions", json!({})).await;
        assert_eq!(published.json()["Version"], version.to_string());
    }
    server
}

fn path(qualifier: &str) -> String {
    format!("/2019-09-30/functions/f/provisioned-concurrency?Qualifier={qualifier}")
}

async fn put(server: &Server, qualifier: &str, wanted: i64) -> Reply {
    let body = json!({ "ProvisionedConcurrentExecutions": wanted });
    server.call("PUT", &path(qualifier), body).await
}

async fn get(server: &Server, qualifier: &str) -> Value {
    let reply = server.get(&path(qualifier)).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply.json()
}

/// The number that the pool was told of each version, oldest first.
fn floors(server: &Server) -> Vec<(String, u32)> {
    let floors = server.pool.floors.lock().unwrap();
    let all = floors.values().flatten();
    all.map(|(runnable, wanted)| (runnable.version.text(), *wanted)).collect()
}

/// From now on the pool says that so many of the only floor are up.
fn stands(server: &Server, up: u32, shortfall: Option<Shortfall>) {
    let floors = server.pool.floors.lock().unwrap();
    let (runnable, wanted) = floors.values().flatten().next().expect("one floor");
    let provision = Provision { wanted: *wanted, up, shortfall };
    server.pool.standing.lock().unwrap().insert(runnable.generation, provision);
}

#[tokio::test]
async fn provisioned_concurrency_is_told_to_the_pool_and_is_ready_when_the_pool_says_so() {
    let server = with_versions(1).await;
    let put = put(&server, "1", 3).await;
    assert_eq!(put.status, StatusCode::ACCEPTED);
    let mut begun = put.json();
    let modified = begun["LastModified"].take();
    let modified = modified.as_str().unwrap();
    // Such as 2019-11-21T19:32:12+0000.
    assert_eq!((modified.len(), &modified[10..11], &modified[19..]), (24, "T", "+0000"));
    let expected = json!({
        "RequestedProvisionedConcurrentExecutions": 3,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
        "LastModified": null,
    });
    assert_eq!(begun, expected);
    assert_eq!(floors(&server), [("1".to_owned(), 3)]);

    stands(&server, 1, None);
    let shown = get(&server, "1").await;
    assert_eq!(
        (&shown["Status"], &shown["LastModified"]),
        (&json!("IN_PROGRESS"), &json!(modified))
    );
    assert_eq!(shown["AvailableProvisionedConcurrentExecutions"], 1);
    for (shortfall, reason) in [
        (Shortfall::Function, "FUNCTION_ERROR_INIT_FAILURE"),
        (Shortfall::Room, "This server has no room for as many instances."),
        (Shortfall::Sandbox, "No sandbox could be started; the server's log says more."),
    ] {
        stands(&server, 2, Some(shortfall));
        let shown = get(&server, "1").await;
        assert_eq!((&shown["Status"], &shown["StatusReason"]), (&json!("FAILED"), &json!(reason)));
        assert_eq!(shown["AllocatedProvisionedConcurrentExecutions"], 2);
    }
    stands(&server, 3, None);
    let shown = get(&server, "1").await;
    assert_eq!((&shown["Status"], shown.get("StatusReason")), (&json!("READY"), None));
    assert_eq!(shown["AvailableProvisionedConcurrentExecutions"], 3);

    let gone = server.call("DELETE", &path("1"), Value::Null).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(floors(&server), []);
    let message = "No Provisioned Concurrency Config found for this function";
    let none = server.get(&path("1")).await;
    none.refused(404, "ProvisionedConcurrencyConfigNotFoundException", message);
    assert_eq!(none.json()["Type"], "User");
    // Once more is as good as once.
    assert_eq!(server.call("DELETE", &path("1"), Value::Null).await.status, 204);
}

#[tokio::test]
async fn only_what_is_published_can_be_provisioned() {
    let server = with_versions(1).await;
    put(&server, "$LATEST", 1).await.refused(
        400,
        INVALID,
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    );
    let message = "The function resource provided must be an alias or a published version.";
    server.get(&path("$LATEST")).await.refused(400, INVALID, message);
    let delete = server.call("DELETE", &path("$LATEST"), Value::Null).await;
    delete.refused(400, INVALID, message);
    let missing = format!("Function not found: {ARN}:f:10");
    put(&server, "10", 1).await.refused(404, NOT_FOUND, &missing);
    server.get(&path("10")).await.refused(404, NOT_FOUND, &missing);
    let missing = format!("Cannot find alias arn: {ARN}:f:noalias");
    put(&server, "noalias", 1).await.refused(404, NOT_FOUND, &missing);
    server.get(&path("noalias")).await.refused(404, NOT_FOUND, &missing);
    let nowhere = path("1").replace("/f/", "/none/");
    let missing = format!("Function not found: {ARN}:none:1");
    server.get(&nowhere).await.refused(404, NOT_FOUND, &missing);
    let missing = format!("Function not found: {ARN}:none");
    let list = "/2019-09-30/functions/none/provisioned-concurrency?List=ALL";
    server.get(list).await.refused(404, NOT_FOUND, &missing);
}

#[tokio::test]
async fn a_request_has_a_qualifier_and_a_number_from_one() {
    let server = with_versions(1).await;
    put(&server, "1", 0).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to \
         satisfy constraint: Member must have value greater than or equal to 1",
    );
    let plain = "/2019-09-30/functions/f/provisioned-concurrency";
    let message = "1 validation error detected: Value null at 'qualifier' failed to satisfy \
                   constraint: Member must not be null";
    server.get(plain).await.refused(400, "ValidationException", message);
    let body = json!({ "ProvisionedConcurrentExecutions": 1 });
    let qualified = "/2019-09-30/functions/f:1/provisioned-concurrency";
    assert_eq!(server.call("PUT", qualified, body).await.status, 202, "in the name will do");
    let message = "1 validation error detected: Value '51' at 'maxItems' failed to satisfy \
                   constraint: Member must have value less than or equal to 50";
    let list = format!("{plain}?List=ALL&MaxItems=51");
    server.get(&list).await.refused(400, "ValidationException", message);
}

#[tokio::test]
async fn what_is_provisioned_counts_against_the_account_or_the_reservation() {
    let server = with_versions(2).await;
    let settings = || async {
        let settings = server.get("/2016-08-19/account-settings").await.json();
        settings["AccountLimit"]["UnreservedConcurrentExecutions"].clone()
    };
    let refused = put(&server, "1", 1001).await;
    refused.refused(
        400,
        INVALID,
        "Specified ConcurrentExecutions for function is greater than account's unreserved \
         concurrency [1000].",
    );
    assert_eq!(refused.json().get("Type"), None);
    let below = "Specified ConcurrentExecutions for function decreases account's \
                 UnreservedConcurrentExecution below its minimum value of [100].";
    put(&server, "1", 901).await.refused(400, INVALID, below);
    assert_eq!(put(&server, "1", 900).await.status, 202);
    assert_eq!(settings().await, 100);
    assert_eq!(*server.pool.reserved.lock().unwrap(), 900);
    put(&server, "2", 1).await.refused(400, INVALID, below);
    assert_eq!(put(&server, "1", 4).await.status, 202);
    assert_eq!(put(&server, "2", 2).await.status, 202);
    assert_eq!(settings().await, 994);
    assert_eq!(floors(&server), [("1".to_owned(), 4), ("2".to_owned(), 2)]);

    let concurrency = "/2017-10-31/functions/f/concurrency";
    let reserve = |wanted: u32| {
        let body = json!({ "ReservedConcurrentExecutions": wanted });
        server.call("PUT", concurrency, body)
    };
    // Two blanks, and one in front: AWS's own.
    let message = " ReservedConcurrentExecutions  5 should not be lower than function's total \
                   provisioned concurrency [6].";
    reserve(5).await.refused(400, INVALID, message);
    assert_eq!(reserve(6).await.status, 200);
    assert_eq!(settings().await, 994, "counted once");
    let message = "Requested Provisioned Concurrency should not be greater than the \
                   reservedConcurrentExecution for function";
    put(&server, "2", 3).await.refused(400, INVALID, message);
    assert_eq!(server.call("DELETE", concurrency, Value::Null).await.status, 204);
    assert_eq!(settings().await, 994, "still set aside");
    server.call("DELETE", "/2015-03-31/functions/f", Value::Null).await;
    assert_eq!(settings().await, 1000);
    assert_eq!((floors(&server).len(), *server.pool.reserved.lock().unwrap()), (0, 0));
}

#[tokio::test]
async fn what_is_provisioned_is_listed_page_by_page() {
    let server = with_versions(3).await;
    let list = "/2019-09-30/functions/f/provisioned-concurrency?List=ALL";
    let none = server.get(list).await.json();
    assert_eq!(none, json!({ "ProvisionedConcurrencyConfigs": [] }));
    for version in ["2", "1", "3"] {
        put(&server, version, 1).await;
    }
    let mut seen = Vec::new();
    let mut marker = String::new();
    for left in [true, false] {
        let page = server.get(&format!("{list}&MaxItems=2&Marker={marker}")).await.json();
        for config in page["ProvisionedConcurrencyConfigs"].as_array().unwrap() {
            assert_eq!(config["Status"], "IN_PROGRESS");
            seen.push(config["FunctionArn"].as_str().unwrap().to_owned());
        }
        assert_eq!(page["NextMarker"].is_string(), left, "{page}");
        marker = page["NextMarker"].as_str().unwrap_or_default().to_owned();
        // An entry that goes meanwhile takes nothing with it.
        server.call("DELETE", &path("2"), Value::Null).await;
    }
    let expected: Vec<String> = (1..=3).map(|version| format!("{ARN}:f:{version}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_version_that_is_deleted_is_provisioned_no_longer() {
    let server = with_versions(2).await;
    put(&server, "1", 2).await;
    put(&server, "2", 2).await;
    let deleted = server.call("DELETE", "/2015-03-31/functions/f?Qualifier=1", Value::Null).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert_eq!(floors(&server), [("2".to_owned(), 2)]);
    assert_eq!(*server.pool.reserved.lock().unwrap(), 2);
}

#[tokio::test]
async fn what_is_provisioned_is_told_again_after_a_restart() {
    let server = with_versions(1).await;
    put(&server, "1", 2).await;
    server.pool.floors.lock().unwrap().clear();
    *server.pool.reserved.lock().unwrap() = 0;
    crate::recover(&server.api).await;
    assert_eq!(floors(&server), [("1".to_owned(), 2)]);
    assert_eq!(*server.pool.reserved.lock().unwrap(), 2);
}
