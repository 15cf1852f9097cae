//! Tags, URLs, policies.

use serde_json::{Value, json};

use super::server::{ARN, Server};

const TAGS: &str = "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f";
const URL: &str = "/2021-10-31/functions/f/url";
const POLICY: &str = "/2015-03-31/functions/f/policy";
const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";

async fn with_function() -> Server {
    let server = Server::open();
    server.create("f").await;
    server
}

#[tokio::test]
async fn tags_are_added_changed_listed_and_taken_away() {
    let server = with_function().await;
    let body = json!({ "Tags": { "a": "1", "b": "2" } });
    assert_eq!(server.call("POST", TAGS, body).await.status, 204);
    let encoded = TAGS.replace("arn:aws", "arn%3Aaws");
    server.call("POST", &encoded, json!({ "Tags": { "b": "3", "c": "" } })).await;
    let listed = server.get(TAGS).await.json();
    assert_eq!(listed, json!({ "Tags": { "a": "1", "b": "3", "c": "" } }));
    let path = format!("{TAGS}?tagKeys=a&tagKeys=c&tagKeys=none");
    assert_eq!(server.call("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(server.get(TAGS).await.json(), json!({ "Tags": { "b": "3" } }));
}

#[tokio::test]
async fn tags_are_refused_in_aws_words() {
    let server = with_function().await;
    let many: serde_json::Map<String, Value> =
        (0..51).map(|index| (format!("k{index}"), json!("v"))).collect();
    let refused = server.call("POST", TAGS, json!({ "Tags": many })).await;
    refused.refused(400, INVALID, "Number of tags exceeds resource tag limit.");
    server.call("DELETE", TAGS, Value::Null).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member \
         must not be null",
    );
    let qualified = format!("{TAGS}:1");
    server.get(&qualified).await.refused(
        400,
        INVALID,
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    );
    let (_, code, message) = server.get("/2017-03-31/tags/arn:aws:something").await.error();
    assert_eq!(code, "ValidationException");
    let begin = "1 validation error detected: Value 'arn:aws:something' at 'resource' failed to \
                 satisfy constraint: Member must satisfy regular expression pattern: \
                 arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))";
    assert!(message.starts_with(begin), "{message}");
    let missing = TAGS.replace(":f", ":none").replace(":noneunction", ":function");
    let message = format!("Function not found: {ARN}:none");
    server.get(&missing).await.refused(404, NOT_FOUND, &message);
}

#[tokio::test]
async fn a_url_is_created_shown_changed_listed_and_deleted() {
    let server = with_function().await;
    let cors = json!({ "AllowOrigins": ["*"], "MaxAge": 60 });
    let created = server.call("POST", URL, json!({ "AuthType": "NONE", "Cors": cors })).await;
    assert_eq!(created.status, 201);
    let created = created.json();
    let url = created["FunctionUrl"].as_str().unwrap();
    assert!(url.starts_with("http://") && url.ends_with(".lambda-url.us-east-1.localhost:8080/"));
    assert!(url.len() >= 40);
    assert_eq!(created["FunctionArn"], format!("{ARN}:f"));
    assert_eq!(created["Cors"], cors);
    assert_eq!(created.get("InvokeMode"), None, "not given");
    assert_eq!(created.get("LastModifiedTime"), None);
    let shown = server.get(URL).await.json();
    assert_eq!(shown["InvokeMode"], "BUFFERED");
    assert_eq!(shown["LastModifiedTime"], created["CreationTime"]);
    let changed = server.call("PUT", URL, json!({ "AuthType": "AWS_IAM" })).await.json();
    assert_eq!((&changed["AuthType"], &changed["FunctionUrl"]), (&json!("AWS_IAM"), &json!(url)));
    assert_eq!(changed["Cors"], cors, "not mentioned, so not changed");
    let listed = server.get("/2021-10-31/functions/f/urls").await.json();
    assert_eq!(listed["FunctionUrlConfigs"].as_array().unwrap().len(), 1);
    assert_eq!(server.call("DELETE", URL, Value::Null).await.status, 204);
    let none = "The resource you requested does not exist.";
    server.get(URL).await.refused(404, NOT_FOUND, none);
    server.call("DELETE", URL, Value::Null).await.refused(404, NOT_FOUND, none);
}

#[tokio::test]
async fn urls_are_refused_in_aws_words() {
    let server = with_function().await;
    let body = json!({ "AuthType": "NONE" });
    server.call("POST", URL, body.clone()).await;
    server.call("POST", URL, body.clone()).await.refused(
        409,
        "ResourceConflictException",
        &format!(
            "Failed to create function url config for [functionArn = {ARN}:f]. Error message:  \
             FunctionUrlConfig exists for this Lambda function"
        ),
    );
    let missing = "/2021-10-31/functions/none/url";
    let refused = server.call("POST", missing, body).await;
    refused.refused(404, NOT_FOUND, "Function does not exist");
    let unknown = json!({ "AuthType": "NONE", "InvokeMode": "UNKNOWN" });
    server.call("POST", URL, unknown).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value 'UNKNOWN' at 'invokeMode' failed to satisfy \
         constraint: Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]",
    );
    for qualifier in ["%24LATEST", "1", "2"] {
        let refused = server.get(&format!("{URL}?Qualifier={qualifier}")).await;
        let value = qualifier.replace("%24", "$");
        refused.refused(
            400,
            "ValidationException",
            &format!(
                r"1 validation error detected: Value '{value}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)"
            ),
        );
    }
}

fn permission(id: &str) -> Value {
    json!({ "StatementId": id, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com" })
}

#[tokio::test]
async fn a_statement_is_added_shown_in_the_policy_and_removed() {
    let server = with_function().await;
    let mut body = permission("s1");
    body["SourceArn"] = json!("arn:aws:s3:::bucket");
    body["SourceAccount"] = json!("000000000000");
    let added = server.call("POST", POLICY, body).await;
    assert_eq!(added.status, 201);
    let added = added.json();
    let statement: Value = serde_json::from_str(added["Statement"].as_str().unwrap()).unwrap();
    let expected = json!({
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": { "Service": "s3.amazonaws.com" },
        "Action": "lambda:InvokeFunction",
        "Resource": format!("{ARN}:f"),
        "Condition": {
            "StringEquals": { "AWS:SourceAccount": "000000000000" },
            "ArnLike": { "AWS:SourceArn": "arn:aws:s3:::bucket" },
        },
    });
    assert_eq!(statement, expected);
    let policy = server.get(POLICY).await.json();
    let document: Value = serde_json::from_str(policy["Policy"].as_str().unwrap()).unwrap();
    let whole = json!({ "Version": "2012-10-17", "Id": "default", "Statement": [expected] });
    assert_eq!(document, whole);
    let removed = server.call("DELETE", &format!("{POLICY}/s1"), Value::Null).await;
    assert_eq!(removed.status, 204);
    let gone = server.get(POLICY).await;
    gone.refused(404, NOT_FOUND, "The resource you requested does not exist.");
}

#[tokio::test]
async fn policies_are_refused_in_aws_words() {
    let server = with_function().await;
    server.call("POST", POLICY, permission("s1")).await;
    server.call("POST", POLICY, permission("s1")).await.refused(
        409,
        "ResourceConflictException",
        "The statement id (s1) provided already exists. Please provide a new statement id, or \
         remove the existing statement.",
    );
    let missing = server.call("DELETE", &format!("{POLICY}/non-existent"), Value::Null).await;
    let message = "Statement non-existent is not found in resource policy.";
    missing.refused(404, NOT_FOUND, message);
    let mut principal = permission("s2");
    principal["Principal"] = json!("nobody");
    server.call("POST", POLICY, principal).await.refused(
        400,
        INVALID,
        "The provided principal was invalid. Please check the principal and try again.",
    );
    let latest = format!("{POLICY}?Qualifier=%24LATEST");
    let refused = server.call("POST", &latest, permission("s2")).await;
    refused.refused(400, INVALID, "We currently do not support adding policies for $LATEST.");
    let alias = format!("{POLICY}?Qualifier=live");
    let refused = server.call("POST", &alias, permission("s2")).await;
    refused.refused(404, NOT_FOUND, &format!("Cannot find alias arn: {ARN}:f:live"));
    let version = format!("{POLICY}?Qualifier=10");
    let refused = server.call("POST", &version, permission("s2")).await;
    refused.refused(404, NOT_FOUND, &format!("Function not found: {ARN}:f:10"));
    let mut form = permission("example.com");
    form["StatementId"] = json!("example.com");
    server.call("POST", POLICY, form).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value 'example.com' at 'statementId' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)",
    );
    let none = "/2015-03-31/functions/doesnotexist/policy/s1";
    let refused = server.call("DELETE", none, Value::Null).await;
    refused.refused(404, NOT_FOUND, &format!("No policy found for: {ARN}:doesnotexist"));
    server.call("DELETE", &format!("{POLICY}/s1"), Value::Null).await;
    let refused = server.call("DELETE", &format!("{POLICY}/s1"), Value::Null).await;
    refused.refused(404, NOT_FOUND, "No policy is associated with the given resource.");
}

#[tokio::test]
async fn a_stale_policy_is_refused() {
    let server = with_function().await;
    server.call("POST", POLICY, permission("s1")).await;
    let seen = server.get(POLICY).await.json()["RevisionId"].clone();
    server.call("POST", POLICY, permission("s2")).await;
    let mut stale = permission("s3");
    stale["RevisionId"] = seen.clone();
    let message = "The Revision Id provided does not match the latest Revision Id. Call the \
                   GetPolicy API to retrieve the latest Revision Id";
    let refused = server.call("POST", POLICY, stale).await;
    refused.refused(412, "PreconditionFailedException", message);
    let path = format!("{POLICY}/s1?RevisionId={}", seen.as_str().unwrap());
    let refused = server.call("DELETE", &path, Value::Null).await;
    refused.refused(412, "PreconditionFailedException", message);
}
