//! What is refused, with the exact answer.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::server::{ARN, ROLE, Server, new_function, new_function_with, package_text};

const FUNCTIONS: &str = "/2015-03-31/functions";
const INVALID: &str = "InvalidParameterValueException";
const VALIDATION: &str = "ValidationException";

const FUNCTION_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";

/// Tries to create a function with some members changed, and expects an exact refusal.
#[track_caller]
fn expect_refused(members: Value, status: u16, code: &'static str, message: &str) {
    let message = message.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(async {
        let server = Server::open();
        server.call("POST", FUNCTIONS, new_function_with("f", members)).await
    });
    reply.refused(status, code, &message);
}

#[test]
fn names_are_refused_by_length_and_form() {
    let long = "a".repeat(65);
    expect_refused(
        json!({ "FunctionName": long }),
        400,
        INVALID,
        &format!(
            "1 validation error detected: Value '{long}' at 'functionName' failed to satisfy \
             constraint: Member must have length less than or equal to 64"
        ),
    );
    let longer = "a".repeat(141);
    expect_refused(
        json!({ "FunctionName": longer }),
        400,
        VALIDATION,
        &format!(
            "1 validation error detected: Value '{longer}' at 'functionName' failed to satisfy \
             constraint: Member must have length less than or equal to 140"
        ),
    );
    expect_refused(
        json!({ "FunctionName": "invalid:function:name" }),
        400,
        VALIDATION,
        &format!(
            "1 validation error detected: Value 'invalid:function:name' at 'functionName' failed \
             to satisfy constraint: Member must satisfy regular expression pattern: \
             {FUNCTION_PATTERN}"
        ),
    );
}

#[test]
fn everything_that_is_wrong_with_a_shape_is_told_at_once() {
    expect_refused(
        json!({ "Role": "r1", "Timeout": 0, "MemorySize": 127 }),
        400,
        VALIDATION,
        r"3 validation errors detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+; Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1; Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128",
    );
}

#[test]
fn members_that_must_be_there_are_missed() {
    expect_refused(
        json!({ "Role": null, "Code": null }),
        400,
        VALIDATION,
        "2 validation errors detected: Value null at 'role' failed to satisfy constraint: Member \
         must not be null; Value null at 'code' failed to satisfy constraint: Member must not be \
         null",
    );
    expect_refused(
        json!({ "Handler": null }),
        400,
        INVALID,
        "Runtime and Handler are mandatory parameters for functions created with deployment \
         packages.",
    );
    expect_refused(
        json!({ "Code": {} }),
        400,
        INVALID,
        "Please provide a source for function code.",
    );
}

#[test]
fn numbers_above_their_limits_are_refused() {
    let refused = |value: i64, at: &str, most: i64| {
        format!(
            "1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: \
             Member must have value less than or equal to {most}"
        )
    };
    expect_refused(json!({ "Timeout": 901 }), 400, VALIDATION, &refused(901, "timeout", 900));
    let message = refused(10_241, "memorySize", 10_240);
    expect_refused(json!({ "MemorySize": 10_241 }), 400, VALIDATION, &message);
    let message = refused(10_241, "ephemeralStorage.size", 10_240);
    let storage = json!({ "EphemeralStorage": { "Size": 10_241 } });
    expect_refused(storage, 400, VALIDATION, &message);
}

#[test]
fn lists_and_sets_are_printed_as_aws_prints_them() {
    expect_refused(
        json!({ "Architectures": ["X86_64"] }),
        400,
        VALIDATION,
        "1 validation error detected: Value '[X86_64]' at 'architectures' failed to satisfy \
         constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, \
         arm64], Member must not be null]",
    );
    expect_refused(
        json!({ "Architectures": ["x86_64", "arm64"] }),
        400,
        VALIDATION,
        "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy \
         constraint: Member must have length less than or equal to 1",
    );
    expect_refused(
        json!({ "SnapStart": { "ApplyOn": "invalidOption" } }),
        400,
        VALIDATION,
        "1 validation error detected: Value 'invalidOption' at 'snapStart.applyOn' failed to \
         satisfy constraint: Member must satisfy enum value set: [PublishedVersions, None]",
    );
}

#[test]
fn an_unknown_runtime_is_refused_naming_those_there_are_and_how_to_add_it() {
    expect_refused(
        json!({ "Runtime": "python3.12" }),
        400,
        INVALID,
        "Value python3.12 at 'runtime' failed to satisfy constraint: Member must satisfy enum \
         value set: [provided.al2023, python3.11] or be a valid ARN. To add it, install the \
         interpreter on the server or start with --runtime-path python3.12=/path/to/interpreter; \
         to serve it with python3.11 instead, set runtime_alias python3.12 = python3.11.",
    );
}

#[test]
fn an_environment_over_four_kilobytes_is_refused_with_what_was_measured() {
    let variables = json!({ "SMALL_VAR": "ok", "LARGE_VAR": "x".repeat(4096) });
    expect_refused(
        json!({ "Environment": { "Variables": variables } }),
        400,
        INVALID,
        &format!(
            "Lambda was unable to configure your environment variables because the environment \
             variables you have provided exceeded the 4KB limit. String measured: \
             {{\"LARGE_VAR\":\"{}\",\"SMALL_VAR\":\"ok\"}}",
            "x".repeat(4096)
        ),
    );
}

#[test]
fn reserved_variables_are_refused_by_name_and_others_by_form_without_being_repeated() {
    expect_refused(
        json!({ "Environment": { "Variables": { "AWS_REGION": "x", "_HANDLER": "y" } } }),
        400,
        INVALID,
        "Lambda was unable to configure your environment variables because the environment \
         variables you have provided contains reserved keys that are currently not supported for \
         modification. Reserved keys used in this request: AWS_REGION, _HANDLER",
    );
    expect_refused(
        json!({ "Environment": { "Variables": { "1A": "secret" } } }),
        400,
        VALIDATION,
        "1 validation error detected: Value at 'environment.variables' failed to satisfy \
         constraint: Map keys must satisfy constraint: [Member must satisfy regular expression \
         pattern: [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]",
    );
}

#[test]
fn packages_that_are_none_are_refused_in_aws_words() {
    let unzip = "Could not unzip uploaded file. Please check your file, then try to upload again.";
    expect_refused(json!({ "Code": { "ZipFile": "bm90IGEgemlw" } }), 400, INVALID, unzip);
    let empty = "Uploaded file must be a non-empty zip";
    expect_refused(json!({ "Code": { "ZipFile": "" } }), 400, INVALID, empty);
}

#[test]
fn what_is_not_there_is_refused_and_its_absence_is_accepted() {
    let sorry =
        |what: &str, instead: &str| format!("{what} not available on this server. {instead}");
    for (members, message) in [
        (
            json!({ "Code": { "S3Bucket": "b", "S3Key": "k" } }),
            sorry("S3 is", "Send the deployment package itself as ZipFile, at most 50 MB."),
        ),
        (
            json!({ "VpcConfig": { "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"] } }),
            sorry("VPCs are", "Leave VpcConfig out, or empty."),
        ),
        (
            json!({ "TracingConfig": { "Mode": "Active" } }),
            sorry("Active tracing is", "Use TracingConfig PassThrough."),
        ),
        (
            json!({ "DeadLetterConfig": { "TargetArn": "arn:aws:sqs:us-east-1:000000000000:q" } }),
            sorry("Dead-letter queues are", "Leave DeadLetterConfig out."),
        ),
        (
            json!({ "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k" }),
            sorry("Customer-managed keys are", "Leave KMSKeyArn out."),
        ),
        (
            json!({ "LoggingConfig": { "LogFormat": "JSON" } }),
            sorry(
                "The JSON log format, and log levels with it, are",
                "Use LoggingConfig with LogFormat Text.",
            ),
        ),
        (
            json!({ "PackageType": "Image", "Code": { "ImageUri": "i" } }),
            sorry(
                "Functions from container images are",
                "Use PackageType Zip with a deployment package, and no ImageConfig.",
            ),
        ),
        (
            json!({ "FileSystemConfigs": [{ "Arn": "a", "LocalMountPath": "/mnt/a" }] }),
            sorry("File systems are", "Leave FileSystemConfigs out."),
        ),
        (
            json!({ "TenancyConfig": { "TenantIsolationMode": "PER_TENANT" } }),
            sorry("TenancyConfig is", "Leave it out."),
        ),
    ] {
        expect_refused(members, 400, INVALID, &message);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let nothing = json!({
            "VpcConfig": { "SubnetIds": [], "SecurityGroupIds": [] },
            "DeadLetterConfig": {},
            "KMSKeyArn": "",
            "TracingConfig": { "Mode": "PassThrough" },
            "Layers": [],
            "FileSystemConfigs": [],
            "ImageConfig": {},
            "SnapStart": { "ApplyOn": "None" },
            "PackageType": "Zip",
            "LoggingConfig": { "LogFormat": "Text" },
        });
        let server = Server::open();
        let accepted = server.call("POST", FUNCTIONS, new_function_with("f", nothing)).await;
        assert_eq!(accepted.status, StatusCode::CREATED, "{accepted:?}");
    });
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let server = Server::open();
    server.create("f").await;
    let again = server.call("POST", FUNCTIONS, new_function("f")).await;
    again.refused(409, "ResourceConflictException", "Function already exist: f");
}

#[tokio::test]
async fn functions_that_are_not_here_are_not_found_in_aws_words() {
    let server = Server::open();
    let missing = server.get("/2015-03-31/functions/doesnotexist").await;
    let message = format!("Function not found: {ARN}:doesnotexist");
    missing.refused(404, "ResourceNotFoundException", &message);
    assert!(missing.json().get("Message").is_some(), "spelled with a capital");
    assert_eq!(missing.json()["Type"], "User");
    server.create("f").await;
    for qualifier in ["10", "no-alias"] {
        let missing = server.get(&format!("/2015-03-31/functions/f?Qualifier={qualifier}")).await;
        let message = format!("Function not found: {ARN}:f:{qualifier}");
        missing.refused(404, "ResourceNotFoundException", &message);
    }
}

#[tokio::test]
async fn other_regions_and_accounts_are_refused_in_aws_words() {
    let server = Server::open();
    let elsewhere = "arn:aws:lambda:ap-southeast-1:000000000000:function:f";
    let refused = server.get(&format!("/2015-03-31/functions/{elsewhere}")).await;
    refused.refused(
        404,
        "ResourceNotFoundException",
        "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')",
    );
    let theirs = "arn:aws:lambda:us-east-1:123456789012:function:f";
    let refused = server.get(&format!("/2015-03-31/functions/{theirs}")).await;
    let (status, code, message) = refused.error();
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    assert!(message.contains("is not authorized to perform: lambda:GetFunction on resource"));
}

#[tokio::test]
async fn two_qualifiers_must_be_the_same() {
    let server = Server::open();
    server.create("f").await;
    let refused = server.get("/2015-03-31/functions/f:1?Qualifier=2").await;
    refused.refused(
        400,
        INVALID,
        "The derived qualifier from the function name does not match the specified qualifier.",
    );
}

#[tokio::test]
async fn a_qualifier_of_the_wrong_form_is_refused() {
    let server = Server::open();
    let path = "/2015-03-31/functions/f?Qualifier=invalid-qualifier-with-%3F-char";
    server.get(path).await.refused(
        400,
        VALIDATION,
        r"1 validation error detected: Value 'invalid-qualifier-with-?-char' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+",
    );
}

#[tokio::test]
async fn changes_are_made_to_functions_and_not_to_versions() {
    let server = Server::open();
    server.create("f").await;
    let message = "This operation is permitted on Lambda functions only. Aliases and versions do \
                   not support this operation. Please specify either a function name or an \
                   unqualified function ARN.";
    let body = json!({ "ReservedConcurrentExecutions": 1 });
    let refused = server.call("PUT", "/2017-10-31/functions/f:1/concurrency", body).await;
    refused.refused(400, INVALID, message);
    let body = json!({ "Timeout": 5 });
    let refused = server.call("PUT", "/2015-03-31/functions/f:1/configuration", body).await;
    refused.refused(400, INVALID, message);
}

#[tokio::test]
async fn a_list_is_asked_for_with_what_lists_take() {
    let server = Server::open();
    server.get("/2015-03-31/functions?FunctionVersion=invalid").await.refused(
        400,
        VALIDATION,
        "1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy \
         constraint: Member must satisfy enum value set: [ALL]",
    );
    server.get("/2015-03-31/functions?MaxItems=0").await.refused(
        400,
        VALIDATION,
        "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member \
         must have value greater than or equal to 1",
    );
    let (status, code, _) = server.get("/2015-03-31/functions?Marker=%2A").await.error();
    assert_eq!((status, code.as_str()), (400, INVALID));
}

#[tokio::test]
async fn bodies_that_are_not_json_or_of_another_shape_are_told_apart() {
    let server = Server::open();
    let send = |body: &'static str| {
        let request = Request::builder().method("POST").uri(FUNCTIONS).header("host", "localhost");
        server.send(request.body(Body::from(body)).unwrap())
    };
    let (status, code, message) = send("{").await.error();
    assert_eq!((status, code.as_str()), (400, "InvalidRequestContentException"));
    assert!(message.starts_with("Could not parse request body into json: "), "{message}");
    let (status, code, _) = send(r#"{"Timeout":"three"}"#).await.error();
    assert_eq!((status, code.as_str()), (400, "SerializationException"));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_before_it_is_read() {
    let server = Server::open();
    let request = Request::builder()
        .method("POST")
        .uri(FUNCTIONS)
        .header("host", "localhost")
        .body(Body::from(vec![b' '; 70_167_211]))
        .unwrap();
    let refused = server.send(request).await;
    refused.refused(
        413,
        "RequestEntityTooLargeException",
        "Request must be smaller than 70167211 bytes for the CreateFunction operation",
    );
    assert_eq!(refused.json().get("Type"), None);
}

#[tokio::test]
async fn what_is_no_operation_is_said_to_be_none() {
    let server = Server::open();
    for (method, path) in [
        ("GET", "/"),
        ("PATCH", "/2015-03-31/functions/f"),
        ("GET", "/2014-01-01/functions"),
        ("GET", "/2015-03-31/functions/..%2Ff"),
    ] {
        let (status, code, _) = server.call(method, path, Value::Null).await.error();
        assert_eq!((status, code.as_str()), (404, "UnknownOperationException"), "{method} {path}");
    }
}

#[tokio::test]
async fn updating_code_names_a_source() {
    let server = Server::open();
    server.create("f").await;
    let path = "/2015-03-31/functions/f/code";
    let refused = server.call("PUT", path, json!({})).await;
    refused.refused(400, INVALID, "Please provide a source for function code.");
    let refused = server.call("PUT", path, json!({ "ImageUri": "i" })).await;
    refused.refused(
        400,
        INVALID,
        "Please don't provide ImageUri when updating a function with packageType Zip.",
    );
    let missing = "/2015-03-31/functions/none/code";
    let refused = server.call("PUT", missing, json!({ "ZipFile": package_text("x") })).await;
    refused.refused(404, "ResourceNotFoundException", &format!("Function not found: {ARN}:none"));
}

#[tokio::test]
async fn a_function_for_another_machine_is_refused() {
    let server = Server::open();
    let host = model::configuration::Architecture::HOST.as_str();
    let other = if host == "x86_64" { "arm64" } else { "x86_64" };
    let body = new_function_with("f", json!({ "Architectures": [other], "Role": ROLE }));
    server.call("POST", FUNCTIONS, body).await.refused(
        400,
        INVALID,
        &format!(
            "Architecture {other} is not available on this server. Its processor runs {host}: \
             build the package for {host}."
        ),
    );
}
