//! Code signing, runtime management, recursion.

use serde_json::{Value, json};

use super::server::{ARN, Server, new_function_with, package_text};

pub(super) const CONFIGS: &str = "/2020-04-22/code-signing-configs";
const OF_FUNCTION: &str = "/2020-06-30/functions/f/code-signing-config";
const RECURSION: &str = "/2024-08-31/functions/f/recursion-config";
const RUNTIME: &str = "/2021-07-20/functions/f/runtime-management-config";
const PUBLISHER: &str = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/profile/version";
const INVALID: &str = "InvalidParameterValueException";
const NOT_FOUND: &str = "ResourceNotFoundException";
const NOBODY: &str =
    "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdefg";

/// A configuration to create.
pub(super) fn signing(untrusted: &str) -> Value {
    json!({
        "Description": "who signs",
        "AllowedPublishers": { "SigningProfileVersionArns": [PUBLISHER] },
        "CodeSigningPolicies": { "UntrustedArtifactOnDeployment": untrusted },
    })
}

async fn with_function() -> Server {
    let server = Server::open();
    server.create("f").await;
    server
}

/// A configuration, and its ARN.
async fn with_config(server: &Server, untrusted: &str) -> (Value, String) {
    let made = server.call("POST", CONFIGS, signing(untrusted)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json()["CodeSigningConfig"].clone();
    let arn = made["CodeSigningConfigArn"].as_str().expect("it has one").to_owned();
    (made, arn)
}

#[tokio::test]
async fn a_code_signing_configuration_is_created_shown_changed_listed_and_deleted() {
    let server = Server::open();
    let (made, arn) = with_config(&server, "Enforce").await;
    let id = made["CodeSigningConfigId"].as_str().expect("it has one");
    assert!(arn.ends_with(&format!(":code-signing-config:{id}")), "{arn}");
    assert_eq!(made["Description"], "who signs");
    assert_eq!(made["AllowedPublishers"]["SigningProfileVersionArns"], json!([PUBLISHER]));
    assert_eq!(made["CodeSigningPolicies"]["UntrustedArtifactOnDeployment"], "Enforce");
    let path = format!("{CONFIGS}/{arn}");
    assert_eq!(server.get(&path).await.json()["CodeSigningConfig"], made);
    let changed = server.call("PUT", &path, json!({ "Description": "d" })).await.json();
    assert_eq!(changed["CodeSigningConfig"]["Description"], "d");
    let untrusted = &changed["CodeSigningConfig"]["CodeSigningPolicies"];
    assert_eq!(untrusted["UntrustedArtifactOnDeployment"], "Enforce", "what is not given stays");
    with_config(&server, "Warn").await;
    let first = server.get(&format!("{CONFIGS}?MaxItems=1")).await.json();
    assert_eq!(first["CodeSigningConfigs"].as_array().map(Vec::len), Some(1));
    let marker = first["NextMarker"].as_str().expect("there is another one");
    let second = server.get(&format!("{CONFIGS}?Marker={marker}")).await.json();
    assert_eq!(second["CodeSigningConfigs"].as_array().map(Vec::len), Some(1));
    assert_eq!(second.get("NextMarker"), None);
    assert_eq!(server.call("DELETE", &path, Value::Null).await.status, 204);
    let message = format!("The Lambda code signing configuration {arn} can not be found.");
    server.get(&path).await.refused(404, NOT_FOUND, &message);
    server.call("DELETE", &path, Value::Null).await.refused(404, NOT_FOUND, &message);
    server.call("PUT", &path, json!({})).await.refused(404, NOT_FOUND, &message);
}

#[tokio::test]
async fn without_a_policy_untrusted_code_is_warned_about() {
    let server = Server::open();
    let body = json!({ "AllowedPublishers": { "SigningProfileVersionArns": [PUBLISHER] } });
    let made = server.call("POST", CONFIGS, body).await.json();
    let policies = &made["CodeSigningConfig"]["CodeSigningPolicies"];
    assert_eq!(policies["UntrustedArtifactOnDeployment"], "Warn");
    assert_eq!(made["CodeSigningConfig"].get("Description"), None);
}

#[tokio::test]
async fn publishers_are_one_to_twenty_arns() {
    let server = Server::open();
    let with = |publishers: Value| {
        server.call("POST", CONFIGS, json!({ "AllowedPublishers": publishers }))
    };
    with(Value::Null).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value null at 'allowedPublishers' failed to satisfy \
         constraint: Member must not be null",
    );
    let list = |count: usize| json!({ "SigningProfileVersionArns": vec![PUBLISHER; count] });
    assert_eq!(with(list(20)).await.status, 201);
    let (_, code, message) = with(list(21)).await.error();
    assert_eq!(code, "ValidationException");
    let end = "at 'allowedPublishers.signingProfileVersionArns' failed to satisfy constraint: Member \
               must have length less than or equal to 20";
    assert!(message.ends_with(end), "{message}");
    with(list(0)).await.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value '[]' at 'allowedPublishers.signingProfileVersionArns' \
         failed to satisfy constraint: Member must have length greater than or equal to 1",
    );
}

#[tokio::test]
async fn a_function_has_a_code_signing_configuration_until_it_is_taken_away() {
    let server = with_function().await;
    let (_, arn) = with_config(&server, "Warn").await;
    let body = json!({ "CodeSigningConfigArn": arn });
    let put = server.call("PUT", OF_FUNCTION, body.clone()).await;
    assert_eq!(put.json(), json!({ "CodeSigningConfigArn": arn, "FunctionName": "f" }));
    assert_eq!(server.get(OF_FUNCTION).await.json(), put.json());
    let functions = format!("{CONFIGS}/{arn}/functions");
    let listed = server.get(&functions).await.json();
    assert_eq!(listed, json!({ "FunctionArns": [format!("{ARN}:f")] }));
    let refused = server.call("DELETE", &format!("{CONFIGS}/{arn}"), Value::Null).await;
    let (status, code, _) = refused.error();
    assert_eq!((status, code.as_str()), (409, "ResourceConflictException"));
    assert_eq!(server.call("DELETE", OF_FUNCTION, Value::Null).await.status, 204);
    assert_eq!(server.get(OF_FUNCTION).await.json(), json!({ "FunctionName": "f" }));
    assert_eq!(server.get(&functions).await.json(), json!({ "FunctionArns": [] }));
    let missing = format!("Function not found: {ARN}:none");
    let path = OF_FUNCTION.replace("/f/", "/none/");
    server.get(&path).await.refused(404, NOT_FOUND, &missing);
    server.call("DELETE", &path, Value::Null).await.refused(404, NOT_FOUND, &missing);
    server.call("PUT", &path, body).await.refused(404, NOT_FOUND, &missing);
}

#[tokio::test]
async fn a_code_signing_configuration_that_is_not_there_is_named() {
    let server = with_function().await;
    let message = format!(
        "The code signing configuration cannot be found. Check that the provided configuration is \
         not deleted: {NOBODY}."
    );
    let code = "CodeSigningConfigNotFoundException";
    let body = json!({ "CodeSigningConfigArn": NOBODY });
    server.call("PUT", OF_FUNCTION, body.clone()).await.refused(404, code, &message);
    let new = new_function_with("g", body);
    server.call("POST", "/2015-03-31/functions", new).await.refused(404, code, &message);
    let tags = format!("/2017-03-31/tags/{NOBODY}");
    server.get(&tags).await.refused(404, code, &message);
    let message = format!("The Lambda code signing configuration {NOBODY} can not be found.");
    let path = format!("{CONFIGS}/{NOBODY}/functions");
    server.get(&path).await.refused(404, NOT_FOUND, &message);
}

/// Nothing here signs packages, so that none is signed by whom it should be.
#[tokio::test]
async fn enforced_signatures_refuse_every_package_and_warnings_none() {
    let server = Server::open();
    let (_, enforced) = with_config(&server, "Enforce").await;
    let (_, warned) = with_config(&server, "Warn").await;
    let refusal = |name: &str| {
        format!(
            "Lambda cannot deploy the function. The function or layer might be signed using a \
             signature that the client is not configured to accept. Check the provided signature \
             for {name}."
        )
    };
    let code = "CodeVerificationFailedException";
    let new = new_function_with("g", json!({ "CodeSigningConfigArn": enforced }));
    let refused = server.call("POST", "/2015-03-31/functions", new).await;
    refused.refused(400, code, &refusal("g"));
    let new = new_function_with("f", json!({ "CodeSigningConfigArn": warned }));
    assert_eq!(server.call("POST", "/2015-03-31/functions", new).await.status, 201);
    server.settled("f").await;
    assert_eq!(server.get(OF_FUNCTION).await.json()["CodeSigningConfigArn"], warned.as_str());
    let package = json!({ "ZipFile": package_text("two") });
    let path = "/2015-03-31/functions/f/code";
    assert_eq!(server.call("PUT", path, package.clone()).await.status, 200);
    server.settled("f").await;
    let body = json!({ "CodeSigningConfigArn": enforced });
    assert_eq!(server.call("PUT", OF_FUNCTION, body).await.status, 200);
    server.call("PUT", path, package).await.refused(400, code, &refusal("f"));
}

#[tokio::test]
async fn code_signing_configurations_have_tags() {
    let server = Server::open();
    let mut new = signing("Warn");
    new["Tags"] = json!({ "a": "1" });
    let made = server.call("POST", CONFIGS, new).await.json();
    let arn = made["CodeSigningConfig"]["CodeSigningConfigArn"].as_str().expect("it has one");
    let tags = format!("/2017-03-31/tags/{arn}");
    let body = json!({ "Tags": { "b": "2" } });
    assert_eq!(server.call("POST", &tags, body).await.status, 204);
    assert_eq!(server.get(&tags).await.json(), json!({ "Tags": { "a": "1", "b": "2" } }));
    let path = format!("{tags}?tagKeys=a");
    assert_eq!(server.call("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(server.get(&tags).await.json(), json!({ "Tags": { "b": "2" } }));
}

#[tokio::test]
async fn recursion_ends_a_loop_unless_it_is_allowed() {
    let server = with_function().await;
    assert_eq!(server.get(RECURSION).await.json(), json!({ "RecursiveLoop": "Terminate" }));
    let body = json!({ "RecursiveLoop": "Allow" });
    assert_eq!(server.call("PUT", RECURSION, body.clone()).await.json(), body);
    assert_eq!(server.get(RECURSION).await.json(), body);
    let refused = server.call("PUT", RECURSION, json!({ "RecursiveLoop": "InvalidValue" })).await;
    refused.refused(
        400,
        "ValidationException",
        "1 validation error detected: Value 'InvalidValue' at 'recursiveLoop' failed to satisfy \
         constraint: Member must satisfy enum value set: [Terminate, Allow]",
    );
    let none = RECURSION.replace("/f/", "/none/");
    let missing = format!("Function not found: {ARN}:none");
    server.get(&none).await.refused(404, NOT_FOUND, &missing);
    server.call("PUT", &none, body).await.refused(404, NOT_FOUND, &missing);
}

#[tokio::test]
async fn a_runtime_stays_at_the_version_there_is_and_at_no_other() {
    let server = with_function().await;
    let arn = format!("{ARN}:f");
    let automatic = json!({ "UpdateRuntimeOn": "Auto", "FunctionArn": arn });
    assert_eq!(server.get(RUNTIME).await.json(), automatic);
    let shown = server.get("/2015-03-31/functions/f/configuration").await.json();
    let there = shown["RuntimeVersionConfig"]["RuntimeVersionArn"].clone();
    let manual = json!({ "UpdateRuntimeOn": "Manual", "RuntimeVersionArn": there });
    let put = server.call("PUT", RUNTIME, manual).await;
    assert_eq!(put.status, 200, "{put:?}");
    let expected =
        json!({ "UpdateRuntimeOn": "Manual", "FunctionArn": arn, "RuntimeVersionArn": there });
    assert_eq!(server.get(RUNTIME).await.json(), expected);
    let other = format!("arn:aws:lambda:us-east-1::runtime:{}", "a".repeat(64));
    let body = json!({ "UpdateRuntimeOn": "Manual", "RuntimeVersionArn": other });
    let (status, code, message) = server.call("PUT", RUNTIME, body).await.error();
    assert_eq!((status, code.as_str()), (400, INVALID));
    assert!(message.starts_with(&format!("Runtime version {other} is not available")), "{message}");
    let (status, code, _) =
        server.call("PUT", RUNTIME, json!({ "UpdateRuntimeOn": "Manual" })).await.error();
    assert_eq!((status, code.as_str()), (400, INVALID));
    let body = json!({ "UpdateRuntimeOn": "Auto", "RuntimeVersionArn": there });
    let (status, code, _) = server.call("PUT", RUNTIME, body).await.error();
    assert_eq!((status, code.as_str()), (400, INVALID));
    server.call("PUT", RUNTIME, json!({ "UpdateRuntimeOn": "Auto" })).await;
    assert_eq!(server.get(RUNTIME).await.json(), automatic);
    let none = format!("{RUNTIME}?Qualifier=7");
    let missing = format!("Function not found: {ARN}:f:7");
    server.get(&none).await.refused(404, NOT_FOUND, &missing);
}
