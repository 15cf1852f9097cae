//! Aliases, and what is done through them.

use http::StatusCode;
use pool::Provision;
use serde_json::{Value, json};

use super::server::{ARN, Reply, Server};

const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const CONFLICT: &str = "ResourceConflictException";
const VALIDATION: &str = "ValidationException";
const ALIASES: &str = "/2015-03-31/functions/f/aliases";

/// A function with three versions.
async fn with_versions() -> Server {
    let server = Server::open();
    server.create("f").await;
    for version in 1..=3 {
        let body = json!({ "Description": version.to_string() });
        server.call("PUT", "/2015-03-31/functions/f/configuration", body).await;
        server.settled("f").await;
        server.call("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    }
    server
}

async fn create(server: &Server, name: &str, version: &str, weights: Value) -> Reply {
    let mut body = json!({ "Name": name, "FunctionVersion": version });
    if weights.is_object() {
        body["RoutingConfig"] = json!({ "AdditionalVersionWeights": weights });
    }
    server.call("POST", ALIASES, body).await
}

async fn update(server: &Server, name: &str, body: Value) -> Reply {
    server.call("PUT", &format!("{ALIASES}/{name}"), body).await
}

/// Calls, and says which version answered.
async fn executed(server: &Server, path: &str) -> String {
    let reply = server.call("POST", path, json!({})).await;
    reply.header("x-amz-executed-version").unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

#[tokio::test]
async fn an_alias_is_created_looked_at_changed_and_deleted() {
    let server = with_versions().await;
    let created = create(&server, "live", "1", json!({ "2": 0.25 })).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let mut created = created.json();
    let revision = created["RevisionId"].take();
    let expected = json!({
        "AliasArn": format!("{ARN}:f:live"),
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "",
        "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.25 } },
        "RevisionId": null,
    });
    assert_eq!(created, expected);
    let path = format!("{ALIASES}/live");
    assert_eq!(server.get(&path).await.json()["RevisionId"], revision);

    let body = json!({ "Description": "what for", "RevisionId": revision });
    let described = update(&server, "live", body.clone()).await;
    assert_eq!(described.status, 200);
    let described = described.json();
    assert_eq!(
        (&described["Description"], &described["FunctionVersion"]),
        (&json!("what for"), &json!("1"))
    );
    assert_eq!(described["RoutingConfig"], expected["RoutingConfig"], "what is not given stays");
    assert_ne!(described["RevisionId"], revision);
    update(&server, "live", body).await.refused(
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the \
         GetFunction/GetAlias API to retrieve the latest Revision Id",
    );
    let body = json!({ "FunctionVersion": "2", "RoutingConfig": {}, "Description": "" });
    let moved = update(&server, "live", body).await.json();
    assert_eq!((&moved["FunctionVersion"], moved.get("RoutingConfig")), (&json!("2"), None));
    assert_eq!(moved["Description"], "");

    let gone = server.call("DELETE", &path, Value::Null).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(server.call("DELETE", &path, Value::Null).await.status, 204, "as good as once");
    let missing = server.get(&path).await;
    missing.refused(404, NOT_FOUND, &format!("Cannot find alias arn: {ARN}:f:live"));
    assert_eq!(missing.json()["Type"], "User");
}

#[tokio::test]
async fn what_an_alias_cannot_point_to_is_refused_in_aws_words() {
    let server = with_versions().await;
    assert_eq!(create(&server, "live", "1", Value::Null).await.status, 201);
    let again = create(&server, "live", "1", Value::Null).await;
    again.refused(409, CONFLICT, &format!("Alias already exists: {ARN}:f:live"));
    for version in ["4", "0", "01", "99999999999999999999", "$LATEST.PUBLISHED"] {
        let message = format!("Function not found: {ARN}:f:{version}");
        create(&server, "a", version, Value::Null).await.refused(404, NOT_FOUND, &message);
        update(&server, "live", json!({ "FunctionVersion": version }))
            .await
            .refused(404, NOT_FOUND, &message);
    }
    let missing = format!("Function not found: {ARN}:f:4");
    create(&server, "a", "1", json!({ "4": 0.5 })).await.refused(404, NOT_FOUND, &missing);
    let message = "Number of items in AdditionalVersionWeights cannot be greater than 1";
    let three = json!({ "2": 0.1, "3": 0.1 });
    create(&server, "a", "1", three).await.refused(400, INVALID, message);
    let message = "Invalid function version 1. Function version 1 is already included in routing \
                   configuration.";
    create(&server, "a", "1", json!({ "1": 0.5 })).await.refused(400, INVALID, message);
    let latest = create(&server, "a", "$LATEST", json!({ "1": 0.5 })).await;
    let message = "$LATEST is not supported for an alias pointing to more than 1 version";
    latest.refused(400, INVALID, message);
    assert_eq!(latest.json().get("Type"), None);
    assert_eq!(create(&server, "latest", "$LATEST", json!({})).await.status, 201);

    let role = json!({ "Role": "arn:aws:iam::000000000000:role/other" });
    server.call("PUT", "/2015-03-31/functions/f/configuration", role).await;
    server.settled("f").await;
    server.call("POST", "/2015-03-31/functions/f/versions", json!({})).await;
    let message = "Specified versions must be associated with the same execution role";
    create(&server, "a", "1", json!({ "4": 0.5 })).await.refused(400, INVALID, message);
}

#[tokio::test]
async fn an_alias_of_the_wrong_shape_is_refused_with_all_that_is_wrong() {
    let server = with_versions().await;
    let weights = "'routingConfig.additionalVersionWeights' failed to satisfy constraint:";
    for (weight, printed) in
        [(json!(2.0), "2.0"), (json!(2), "2.0"), (json!(-1), "-1.0"), (json!(1.01), "1.01")]
    {
        let message = format!(
            "1 validation error detected: Value '{{2={printed}}}' at {weights} Map value must \
             satisfy constraint: [Member must have value less than or equal to 1.0, Member must \
             have value greater than or equal to 0.0, Member must not be null]"
        );
        let refused = create(&server, "a", "1", json!({ "2": weight })).await;
        refused.refused(400, VALIDATION, &message);
        assert_eq!(refused.json().get("Type"), None);
    }
    for weight in [0.0, 1.0] {
        let name = format!("whole{weight}");
        assert_eq!(create(&server, &name, "1", json!({ "2": weight })).await.status, 201);
    }
    let message = format!(
        "1 validation error detected: Value '{{$LATEST=0.5}}' at {weights} Map keys must satisfy \
         constraint: [Member must have length less than or equal to 1024, Member must have length \
         greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, \
         Member must not be null]"
    );
    create(&server, "a", "1", json!({ "$LATEST": 0.5 })).await.refused(400, VALIDATION, &message);
    let form = "failed to satisfy constraint: Member must satisfy regular expression pattern: \
                (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
    let message = format!("1 validation error detected: Value '2024' at 'name' {form}");
    create(&server, "2024", "1", Value::Null).await.refused(400, VALIDATION, &message);
    server.get(&format!("{ALIASES}/2024")).await.refused(400, VALIDATION, &message);
    let long = "a".repeat(129);
    let message = format!(
        "1 validation error detected: Value '{long}' at 'name' failed to satisfy constraint: \
         Member must have length less than or equal to 128"
    );
    create(&server, &long, "1", Value::Null).await.refused(400, VALIDATION, &message);
    assert_eq!(create(&server, &long[1..], "1", Value::Null).await.status, 201);
    let nothing = server.call("POST", ALIASES, json!({ "Description": "d".repeat(257) })).await;
    let (status, code, message) = nothing.error();
    assert_eq!((status, code.as_str()), (400, VALIDATION));
    assert!(message.starts_with("3 validation errors detected: "), "{message}");
    let version = create(&server, "a", "one", Value::Null).await;
    version.refused(
        400,
        VALIDATION,
        "1 validation error detected: Value 'one' at 'functionVersion' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: (\\$LATEST(\\.PUBLISHED)?|[0-9]+)",
    );
    let text = json!({ "Name": "a", "FunctionVersion": "1", "RoutingConfig": { "AdditionalVersionWeights": { "2": "half" } } });
    let (status, code, _) = server.call("POST", ALIASES, text).await.error();
    assert_eq!((status, code.as_str()), (400, "SerializationException"));
}

#[tokio::test]
async fn what_is_not_there_has_no_aliases() {
    let server = with_versions().await;
    let none = "/2015-03-31/functions/none/aliases";
    let missing = format!("Function not found: {ARN}:none");
    server.get(none).await.refused(404, NOT_FOUND, &missing);
    let body = json!({ "Name": "live", "FunctionVersion": "1" });
    server.call("POST", none, body).await.refused(404, NOT_FOUND, &missing);
    let one = format!("{none}/live");
    server.get(&one).await.refused(
        404,
        NOT_FOUND,
        &format!("Cannot find alias arn: {ARN}:none:live"),
    );
    server.call("PUT", &one, json!({})).await.refused(404, NOT_FOUND, &missing);
    let missing = format!("Alias not found: {ARN}:f:live");
    update(&server, "live", json!({ "FunctionVersion": "1" }))
        .await
        .refused(404, NOT_FOUND, &missing);
    let message = "This operation is permitted on Lambda functions only. Aliases and versions do \
                   not support this operation. Please specify either a function name or an \
                   unqualified function ARN.";
    server.get("/2015-03-31/functions/f:1/aliases").await.refused(400, INVALID, message);
}

#[tokio::test]
async fn aliases_are_listed_by_name_by_page_and_by_version() {
    let server = with_versions().await;
    assert_eq!(server.get(ALIASES).await.json(), json!({ "Aliases": [] }));
    for (name, version) in [("b", "1"), ("a", "2"), ("c", "3")] {
        create(&server, name, version, Value::Null).await;
    }
    create(&server, "d", "1", json!({ "3": 0.1 })).await;
    let names = |page: &Value| -> Vec<String> {
        let all = page["Aliases"].as_array().unwrap().iter();
        all.map(|alias| alias["Name"].as_str().unwrap().to_owned()).collect()
    };
    let first = server.get(&format!("{ALIASES}?MaxItems=3")).await.json();
    assert_eq!(names(&first), ["a", "b", "c"]);
    let marker = first["NextMarker"].as_str().unwrap();
    // An entry that goes meanwhile takes nothing with it.
    server.call("DELETE", &format!("{ALIASES}/c"), Value::Null).await;
    let second = server.get(&format!("{ALIASES}?MaxItems=3&Marker={marker}")).await.json();
    assert_eq!((names(&second), second.get("NextMarker")), (vec!["d".to_owned()], None));
    for (version, expected) in
        [("1", vec!["b", "d"]), ("2", vec!["a"]), ("3", vec!["d"]), ("9", vec![])]
    {
        let page = server.get(&format!("{ALIASES}?FunctionVersion={version}")).await.json();
        assert_eq!(names(&page), expected, "{version}");
    }
    let message = "1 validation error detected: Value '10001' at 'maxItems' failed to satisfy \
                   constraint: Member must have value less than or equal to 10000";
    server.get(&format!("{ALIASES}?MaxItems=10001")).await.refused(400, VALIDATION, message);
    let (status, code, _) = server.get(&format!("{ALIASES}?FunctionVersion=x")).await.error();
    assert_eq!((status, code.as_str()), (400, VALIDATION));
}

#[tokio::test]
async fn an_alias_is_called_by_every_way_to_qualify() {
    let server = with_versions().await;
    create(&server, "live", "2", Value::Null).await;
    for path in [
        "/2015-03-31/functions/f/invocations?Qualifier=live".to_owned(),
        "/2015-03-31/functions/f:live/invocations".to_owned(),
        format!("/2015-03-31/functions/{ARN}:f:live/invocations"),
        format!("/2015-03-31/functions/{ARN}:f:live/invocations?Qualifier=live"),
    ] {
        assert_eq!(executed(&server, &path).await, "2", "{path}");
        let calls = server.pool.calls.lock().unwrap();
        assert_eq!(&*calls.last().unwrap().invoked_arn, format!("{ARN}:f:live"), "as invoked");
    }
    let missing = server.call("POST", "/2015-03-31/functions/f:none/invocations", json!({})).await;
    missing.refused(404, NOT_FOUND, &format!("Function not found: {ARN}:f:none"));
    let two = "/2015-03-31/functions/f:live/invocations?Qualifier=2";
    let message =
        "The derived qualifier from the function name does not match the specified qualifier.";
    server.call("POST", two, json!({})).await.refused(400, INVALID, message);
}

#[tokio::test]
async fn calls_are_divided_by_the_weight() {
    let server = with_versions().await;
    let invoke = "/2015-03-31/functions/f/invocations?Qualifier=live";
    create(&server, "live", "1", json!({ "2": 0.0 })).await;
    let weigh = async |weight: f64| {
        let routing = json!({ "AdditionalVersionWeights": { "2": weight } });
        update(&server, "live", json!({ "RoutingConfig": routing })).await
    };
    for _ in 0..20 {
        assert_eq!(executed(&server, invoke).await, "1");
    }
    weigh(1.0).await;
    for _ in 0..20 {
        assert_eq!(executed(&server, invoke).await, "2");
    }
    weigh(0.5).await;
    let mut both = std::collections::BTreeSet::new();
    // A fair coin that falls on one side this often would be a surprise to the end of time.
    for _ in 0..200 {
        both.insert(executed(&server, invoke).await);
    }
    assert_eq!(both.into_iter().collect::<Vec<_>>(), ["1", "2"]);
    let calls = server.pool.calls.lock().unwrap();
    for call in calls.iter().skip(40) {
        let first = call.request_id.as_str().as_bytes()[0];
        let low = matches!(first, b'0'..=b'7');
        assert_eq!(call.function.version.text(), if low { "2" } else { "1" }, "by its identifier");
    }
}

#[tokio::test]
async fn a_version_is_looked_at_by_its_alias_and_shown_under_its_name() {
    let server = with_versions().await;
    create(&server, "live", "2", Value::Null).await;
    let path = "/2015-03-31/functions/f/configuration?Qualifier=live";
    let shown = server.get(path).await.json();
    assert_eq!(shown["FunctionArn"], format!("{ARN}:f:live"));
    assert_eq!((&shown["Version"], &shown["Description"]), (&json!("2"), &json!("2")));
    let whole = server.get("/2015-03-31/functions/f:live").await.json();
    assert_eq!(whole["Configuration"], shown);
}

#[tokio::test]
async fn a_version_stays_while_an_alias_points_to_it_and_aliases_go_with_their_function() {
    let server = with_versions().await;
    create(&server, "live", "1", json!({ "2": 0.5 })).await;
    create(&server, "beta", "2", Value::Null).await;
    let delete = async |version: &str| {
        let path = format!("/2015-03-31/functions/f?Qualifier={version}");
        server.call("DELETE", &path, Value::Null).await
    };
    let message =
        "Unable to delete version because the following aliases reference it: [beta, live]";
    delete("2").await.refused(409, CONFLICT, message);
    assert_eq!(delete("3").await.status, 204);
    let message = "Deletion of aliases is not currently supported.";
    delete("live").await.refused(400, INVALID, message);
    server.call("DELETE", "/2015-03-31/functions/f", Value::Null).await;
    server.create("f").await;
    assert_eq!(server.get(ALIASES).await.json(), json!({ "Aliases": [] }));
}

#[tokio::test]
async fn an_alias_has_a_policy_and_a_url_of_its_own() {
    let server = with_versions().await;
    create(&server, "live", "1", Value::Null).await;
    let policy = "/2015-03-31/functions/f/policy?Qualifier=live";
    let statement = json!({
        "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com",
    });
    let stale = {
        let mut statement = statement.clone();
        statement["RevisionId"] = json!("stale");
        statement
    };
    assert_eq!(server.call("POST", policy, stale).await.status, 412);
    let seen = server.get(&format!("{ALIASES}/live")).await.json()["RevisionId"].take();
    let mut fresh = statement;
    fresh["RevisionId"] = seen;
    let added = server.call("POST", policy, fresh).await;
    assert_eq!(added.status, 201, "{added:?}");
    let added = added.json();
    let resource = format!("\"Resource\":\"{ARN}:f:live\"");
    assert!(added["Statement"].as_str().unwrap().contains(&resource), "{added}");
    let shown = server.get(policy).await.json();
    assert!(shown["Policy"].as_str().unwrap().contains(&resource), "{shown}");
    assert_eq!(server.get("/2015-03-31/functions/f/policy").await.status, 404);

    let url = "/2021-10-31/functions/f/url?Qualifier=live";
    let created = server.call("POST", url, json!({ "AuthType": "NONE" })).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["FunctionArn"], format!("{ARN}:f:live"));
    let again = server.call("POST", url, json!({ "AuthType": "NONE" })).await;
    let message = format!(
        "Failed to create function url config for [functionArn = {ARN}:f:live]. Error message:  \
         FunctionUrlConfig exists for this Lambda function"
    );
    again.refused(409, CONFLICT, &message);
    let none = url.replace("live", "none");
    let refused = server.call("POST", &none, json!({ "AuthType": "NONE" })).await;
    refused.refused(404, NOT_FOUND, "Function does not exist");

    server.call("DELETE", &format!("{ALIASES}/live"), Value::Null).await;
    create(&server, "live", "2", Value::Null).await;
    assert_eq!(server.get(policy).await.status, 404, "who was let in before is not let in again");
    assert_eq!(server.get(url).await.status, 200, "as on AWS, the URL is still there");
}

fn provisioned(qualifier: &str) -> String {
    format!("/2019-09-30/functions/f/provisioned-concurrency?Qualifier={qualifier}")
}

async fn provision(server: &Server, qualifier: &str, wanted: u32) -> Reply {
    let body = json!({ "ProvisionedConcurrentExecutions": wanted });
    server.call("PUT", &provisioned(qualifier), body).await
}

/// The number that the pool was told of each version, oldest first.
fn floors(server: &Server) -> Vec<(String, u32)> {
    let floors = server.pool.floors.lock().unwrap();
    let all = floors.values().flatten();
    all.map(|(runnable, wanted)| (runnable.version.text(), *wanted)).collect()
}

/// From now on the pool says that so many of each version are up.
fn stands(server: &Server, ups: &[(&str, u32)]) {
    let floors = server.pool.floors.lock().unwrap();
    for (runnable, wanted) in floors.values().flatten() {
        let up = ups.iter().find(|(version, _)| *version == runnable.version.text());
        let up = up.map_or(0, |(_, up)| *up);
        let provision = Provision { wanted: *wanted, up, shortfall: None };
        server.pool.standing.lock().unwrap().insert(runnable.generation, provision);
    }
}

#[tokio::test]
async fn what_is_provisioned_for_an_alias_follows_it() {
    let server = with_versions().await;
    create(&server, "live", "1", Value::Null).await;
    let put = provision(&server, "live", 4).await;
    assert_eq!((put.status, &put.json()["Status"]), (StatusCode::ACCEPTED, &json!("IN_PROGRESS")));
    assert_eq!(floors(&server), [("1".to_owned(), 4)]);
    stands(&server, &[("1", 4)]);
    let shown = async || server.get(&provisioned("live")).await.json();
    assert_eq!(shown().await["Status"], "READY");

    let routing = json!({ "AdditionalVersionWeights": { "2": 0.25 } });
    update(&server, "live", json!({ "RoutingConfig": routing })).await;
    assert_eq!(floors(&server), [("1".to_owned(), 3), ("2".to_owned(), 1)]);
    stands(&server, &[("1", 3)]);
    let divided = shown().await;
    assert_eq!(divided["AvailableProvisionedConcurrentExecutions"], 3);
    assert_eq!(divided["Status"], "IN_PROGRESS");
    stands(&server, &[("1", 3), ("2", 1)]);
    assert_eq!(shown().await["Status"], "READY");
    let message = "Alias with weights can not be used with Provisioned Concurrency";
    provision(&server, "live", 5).await.refused(400, INVALID, message);

    update(&server, "live", json!({ "FunctionVersion": "2", "RoutingConfig": {} })).await;
    assert_eq!(floors(&server), [("2".to_owned(), 4)]);
    let list = "/2019-09-30/functions/f/provisioned-concurrency?List=ALL";
    let listed = server.get(list).await.json();
    let configs = listed["ProvisionedConcurrencyConfigs"].as_array().unwrap();
    assert_eq!(configs.len(), 1);
    assert_eq!(configs[0]["FunctionArn"], format!("{ARN}:f:live"));

    assert_eq!(*server.pool.reserved.lock().unwrap(), 4);
    server.call("DELETE", &format!("{ALIASES}/live"), Value::Null).await;
    assert_eq!((floors(&server).len(), *server.pool.reserved.lock().unwrap()), (0, 0));
}

#[tokio::test]
async fn a_version_is_provisioned_itself_or_by_its_aliases() {
    let server = with_versions().await;
    create(&server, "live", "1", Value::Null).await;
    create(&server, "latest", "$LATEST", Value::Null).await;
    let message =
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
    provision(&server, "latest", 1).await.refused(400, INVALID, message);
    provision(&server, "live", 1).await;
    let message = "Version is pointed by a Provisioned Concurrency alias";
    provision(&server, "1", 1).await.refused(409, CONFLICT, message);
    assert_eq!(provision(&server, "2", 1).await.status, 202);
    let message = "Alias can't be used for Provisioned Concurrency configuration on an already \
                   Provisioned version";
    create(&server, "beta", "2", Value::Null).await;
    provision(&server, "beta", 1).await.refused(409, CONFLICT, message);
    let moved = update(&server, "live", json!({ "FunctionVersion": "2" })).await;
    moved.refused(409, CONFLICT, message);
    // Two aliases of one version each have their part of what it has.
    create(&server, "also", "1", Value::Null).await;
    assert_eq!(provision(&server, "also", 2).await.status, 202);
    stands(&server, &[("1", 2)]);
    let status =
        async |qualifier: &str| server.get(&provisioned(qualifier)).await.json()["Status"].take();
    assert_eq!(
        (status("also").await, status("live").await),
        (json!("READY"), json!("IN_PROGRESS"))
    );
}

#[tokio::test]
async fn an_alias_for_which_nothing_is_provisioned_is_moved_without_the_pool() {
    let server = with_versions().await;
    create(&server, "live", "1", Value::Null).await;
    provision(&server, "3", 1).await;
    server.pool.floors.lock().unwrap().clear();
    update(&server, "live", json!({ "FunctionVersion": "2" })).await;
    assert_eq!(floors(&server), [], "a start that failed keeps its pause");
}
