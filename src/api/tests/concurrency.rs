//! Reserved concurrency.

use serde_json::{Value, json};

use super::server::Server;

const CONCURRENCY: &str = "/2017-10-31/functions/f/concurrency";
const INVALID: &str = "InvalidParameterValueException";
const BELOW_MINIMUM: &str = "Specified ReservedConcurrentExecutions for function decreases account's \
                             UnreservedConcurrentExecution below its minimum value of [100].";

async fn with_function() -> Server {
    let server = Server::open();
    server.create("f").await;
    server
}

/// Reserves, whatever comes of it.
async fn reserve(server: &Server, function: &str, wanted: i64) -> super::server::Reply {
    let path = format!("/2017-10-31/functions/{function}/concurrency");
    server.call("PUT", &path, json!({ "ReservedConcurrentExecutions": wanted })).await
}

/// What of the account's concurrency nobody has reserved.
async fn unreserved(server: &Server) -> Value {
    let settings = server.get("/2016-08-19/account-settings").await.json();
    settings["AccountLimit"]["UnreservedConcurrentExecutions"].clone()
}

#[tokio::test]
async fn concurrency_is_reserved_shown_told_to_the_pool_and_given_back() {
    let server = with_function().await;
    assert_eq!(server.get("/2019-09-30/functions/f/concurrency").await.json(), json!({}));
    let body = json!({ "ReservedConcurrentExecutions": 7 });
    let put = server.call("PUT", CONCURRENCY, body.clone()).await;
    assert_eq!((put.status.as_u16(), put.json()), (200, body.clone()));
    assert_eq!(server.get("/2019-09-30/functions/f/concurrency").await.json(), body);
    assert_eq!(*server.pool.reserved.lock().unwrap(), 7);
    server.call("POST", "/2015-03-31/functions/f/invocations", json!({})).await;
    let reserved = server.pool.calls.lock().unwrap()[0].function.reserved_concurrency;
    assert_eq!(reserved, Some(7));
    assert_eq!(server.call("DELETE", CONCURRENCY, Value::Null).await.status, 204);
    assert_eq!(*server.pool.reserved.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_reservation_leaves_a_hundred_for_everybody_else() {
    let server = with_function().await;
    let body = json!({ "ReservedConcurrentExecutions": 901 });
    let refused = server.call("PUT", CONCURRENCY, body).await;
    refused.refused(
        400,
        INVALID,
        "Specified ReservedConcurrentExecutions for function decreases account's \
         UnreservedConcurrentExecution below its minimum value of [100].",
    );
    assert_eq!(refused.json().get("Type"), None);
    server.call("PUT", CONCURRENCY, json!({})).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value null at 'reservedConcurrentExecutions' failed to \
         satisfy constraint: Member must not be null",
    );
}

#[tokio::test]
async fn both_sides_of_the_minimum_that_stays_unreserved() {
    let server = with_function().await;
    server.create("g").await;
    assert_eq!(unreserved(&server).await, 1000);
    reserve(&server, "f", 901).await.refused(400, INVALID, BELOW_MINIMUM);
    assert_eq!(reserve(&server, "f", 900).await.status, 200);
    assert_eq!(unreserved(&server).await, 100);
    reserve(&server, "g", 1).await.refused(400, INVALID, BELOW_MINIMUM);
    // None at all takes nothing from anybody.
    assert_eq!(reserve(&server, "g", 0).await.status, 200);
    // Only the difference counts when a reservation changes.
    assert_eq!(reserve(&server, "f", 899).await.status, 200);
    assert_eq!(reserve(&server, "f", 900).await.status, 200);
    assert_eq!(reserve(&server, "f", 400).await.status, 200);
    assert_eq!(reserve(&server, "g", 500).await.status, 200);
    reserve(&server, "g", 501).await.refused(400, INVALID, BELOW_MINIMUM);
    assert_eq!(unreserved(&server).await, 100);
    assert_eq!(*server.pool.reserved.lock().unwrap(), 900);
    server.call("DELETE", "/2015-03-31/functions/g", Value::Null).await;
    assert_eq!(unreserved(&server).await, 600);
    assert_eq!(*server.pool.reserved.lock().unwrap(), 400);
}

#[tokio::test]
async fn a_reservation_is_a_number_from_nought() {
    let server = with_function().await;
    reserve(&server, "f", -1).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to \
         satisfy constraint: Member must have value greater than or equal to 0",
    );
    // A list is no object whose members stand in order.
    for body in [json!({ "ReservedConcurrentExecutions": "many" }), json!([2])] {
        let (status, code, _) = server.call("PUT", CONCURRENCY, body).await.error();
        assert_eq!((status, code.as_str()), (400, "SerializationException"));
    }
    reserve(&server, "f", i64::from(i32::MAX)).await.refused(400, INVALID, BELOW_MINIMUM);
    assert_eq!(reserve(&server, "f", 0).await.json()["ReservedConcurrentExecutions"], 0);
    let shown = server.get("/2015-03-31/functions/f").await.json();
    assert_eq!(shown["Concurrency"], json!({ "ReservedConcurrentExecutions": 0 }));
    let missing = format!("Function not found: {}:none", super::server::ARN);
    reserve(&server, "none", 1).await.refused(404, "ResourceNotFoundException", &missing);
    let get = server.get("/2019-09-30/functions/none/concurrency").await;
    get.refused(404, "ResourceNotFoundException", &missing);
    let path = "/2017-10-31/functions/none/concurrency";
    let delete = server.call("DELETE", path, Value::Null).await;
    delete.refused(404, "ResourceNotFoundException", &missing);
}
