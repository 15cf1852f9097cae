//! Fields of management requests: AWS's two layers of validation, in AWS's words.
//!
//! What breaks the model is a `ValidationException`; what the model allows and Lambda does not is an
//! `InvalidParameterValueException`.

use serde_json::{Value, json};

use crate::harness::{Function, Response, setup, shared};

const FUNCTIONS: &str = "/2015-03-31/functions";
const CODE: &str = "def handler(event, context):\n    return 1\n";

fn create_with(field: &str, value: Value) -> Response {
    let mut body = Function::python(CODE).body();
    body[field] = value;
    shared().api("POST", FUNCTIONS, &body)
}

#[track_caller]
fn breaks_the_model(response: &Response, constraint: &str) {
    let message = format!("1 validation error detected: {constraint}");
    let body = response.refused(400, "ValidationException", &message);
    assert_eq!(body.get("Type"), None, "schema violations carry no Type");
}

#[track_caller]
fn is_not_allowed(response: &Response, message: &str) {
    let body = response.refused(400, "InvalidParameterValueException", message);
    assert_eq!(body["Type"], "User", "{body}");
}

#[test]
fn numbers_outside_their_range_are_refused() {
    let at_most = |value: u32, field: &str, limit: u32| {
        format!(
            "Value '{value}' at '{field}' failed to satisfy constraint: Member must have value less than or equal to {limit}"
        )
    };
    let at_least = |value: i32, field: &str, limit: u32| {
        format!(
            "Value '{value}' at '{field}' failed to satisfy constraint: Member must have value greater than or equal to {limit}"
        )
    };
    breaks_the_model(&create_with("MemorySize", json!(127)), &at_least(127, "memorySize", 128));
    breaks_the_model(&create_with("Timeout", json!(0)), &at_least(0, "timeout", 1));
    breaks_the_model(&create_with("Timeout", json!(901)), &at_most(901, "timeout", 900));
    breaks_the_model(
        &create_with("EphemeralStorage", json!({"Size": 511})),
        &at_least(511, "ephemeralStorage.size", 512),
    );
    breaks_the_model(
        &create_with("EphemeralStorage", json!({"Size": 10_241})),
        &at_most(10_241, "ephemeralStorage.size", 10_240),
    );
}

#[test]
fn a_runtime_that_aws_does_not_know_is_refused_with_the_list_of_those_it_does() {
    let response = create_with("Runtime", json!("cobol85"));
    assert_eq!(response.status, 400, "{response:?}");
    assert_eq!(response.header("x-amzn-errortype"), Some("InvalidParameterValueException"));
    let message = response.json()["message"].as_str().expect("a message").to_owned();
    let begins = "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [";
    assert!(message.starts_with(begins), "{message}");
    assert!(message.contains("provided.al2023"), "{message}");
}

#[test]
fn a_runtime_that_this_machine_does_not_serve_is_refused_and_told_how_to_add() {
    let other =
        ["python3.13", "python3.12"].into_iter().find(|one| *one != setup::python_runtime());
    let other = other.expect("one of two is another one");
    let response = create_with("Runtime", json!(other));
    assert_eq!(response.status, 400, "{response:?}");
    let message = response.json()["message"].as_str().expect("a message").to_owned();
    for part in [other, setup::python_runtime(), "provided.al2023", "--runtime-path"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn an_environment_above_four_kilobytes_is_refused_with_what_was_measured() {
    let value = "x".repeat(4_096);
    let response = create_with("Environment", json!({"Variables": {"LARGE_VAR": value}}));
    let message = format!(
        "Lambda was unable to configure your environment variables because the environment \
         variables you have provided exceeded the 4KB limit. String measured: {{\"LARGE_VAR\":\"{value}\"}}"
    );
    is_not_allowed(&response, &message);
}

#[test]
fn reserved_and_malformed_variable_names_are_refused() {
    for name in ["AWS_REGION", "AWS_LAMBDA_RUNTIME_API", "_HANDLER", "LAMBDA_TASK_ROOT"] {
        let response = create_with("Environment", json!({"Variables": {name: "x"}}));
        let message = format!(
            "Lambda was unable to configure your environment variables because the environment \
             variables you have provided contains reserved keys that are currently not supported \
             for modification. Reserved keys used in this request: {name}"
        );
        is_not_allowed(&response, &message);
    }
    for name in ["1X", "a-b", "a b", "", "é", "a=b", "x"] {
        let response = create_with("Environment", json!({"Variables": {name: "x"}}));
        assert_eq!(response.status, 400, "{name:?}: {response:?}");
        assert_eq!(response.header("x-amzn-errortype"), Some("ValidationException"), "{name:?}");
    }
    let response = create_with("Environment", json!({"Variables": {"NUL": "a\0b"}}));
    assert_eq!(response.status, 400, "{response:?}");
}

#[test]
fn a_role_that_is_none_is_refused() {
    let response = create_with("Role", json!("r1"));
    breaks_the_model(
        &response,
        r"Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    );
}

#[test]
fn more_architectures_than_one_are_refused() {
    let response = create_with("Architectures", json!(["x86_64", "arm64"]));
    breaks_the_model(
        &response,
        "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1",
    );
}

#[test]
fn fields_that_are_too_long_or_missing_are_refused() {
    let long = "d".repeat(257);
    let response = create_with("Description", json!(long));
    breaks_the_model(
        &response,
        &format!(
            "Value '{long}' at 'description' failed to satisfy constraint: Member must have length less than or equal to 256"
        ),
    );
    let response = create_with("Handler", json!("h".repeat(129)));
    assert_eq!(response.header("x-amzn-errortype"), Some("ValidationException"), "{response:?}");
    let response = create_with("Role", Value::Null);
    breaks_the_model(
        &response,
        "Value null at 'role' failed to satisfy constraint: Member must not be null",
    );
    let response = create_with("Code", Value::Null);
    breaks_the_model(
        &response,
        "Value null at 'code' failed to satisfy constraint: Member must not be null",
    );
    let tags: Value =
        (0..51).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    is_not_allowed(&create_with("Tags", tags), "Number of tags exceeds resource tag limit.");
}

/// What AWS calls a body that it cannot read, cannot fit, or finds incomplete.
const EXPECTED: [&str; 4] = [
    "InvalidRequestContentException",
    "SerializationException",
    "ValidationException",
    "InvalidParameterValueException",
];

#[test]
fn a_body_that_is_not_what_the_operation_takes_is_refused() {
    let daemon = shared();
    for body in
        ["", "nonsense", "[]", "7", "{", r#"{"FunctionName": 7}"#, r#"{"Timeout": "three"}"#]
    {
        let request = crate::harness::Request::new("POST", FUNCTIONS);
        let response = daemon.send(request.header("content-type", "application/json").body(body));
        assert_eq!(response.status, 400, "{body}: {response:?}");
        let code = response.header("x-amzn-errortype").unwrap_or_default();
        assert!(EXPECTED.contains(&code), "{body}: {response:?}");
    }
    // Deeper than anything honest, and without end.
    let deep = "[".repeat(200_000);
    let response = daemon.send(crate::harness::Request::new("POST", FUNCTIONS).body(deep));
    assert_eq!(response.status, 400, "{response:?}");
}

#[test]
fn a_name_that_is_taken_is_a_conflict() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let mut body = Function::python(CODE).body();
    body["FunctionName"] = json!(function.name);
    let response = daemon.api("POST", FUNCTIONS, &body);
    let message = format!("Function already exist: {}", function.name);
    response.refused(409, "ResourceConflictException", &message);
}

#[test]
fn a_stale_revision_is_refused_and_changes_nothing() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let body = json!({"Timeout": 7, "RevisionId": "00000000-0000-4000-8000-000000000000"});
    let response = daemon.api("PUT", &function.path("configuration"), &body);
    let message = "The Revision Id provided does not match the latest Revision Id. Call the \
         GetFunction/GetAlias API to retrieve the latest Revision Id";
    response.refused(412, "PreconditionFailedException", message);
    assert_eq!(function.get()["Configuration"]["Timeout"], 20);

    let fresh = function.get()["Configuration"]["RevisionId"].take();
    let body = json!({"Timeout": 7, "RevisionId": fresh});
    daemon.api("PUT", &function.path("configuration"), &body).expect(200);
    assert_eq!(function.settle()["Timeout"], 7);
}

#[test]
fn a_wrong_code_hash_is_refused_when_publishing() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let current = function.get()["Configuration"]["CodeSha256"].take();
    let current = current.as_str().expect("a hash");
    let body = json!({"CodeSha256": "somenonexistentsha256"});
    let message = format!(
        "CodeSHA256 (somenonexistentsha256) is different from current CodeSHA256 in $LATEST \
         ({current}). Please try again with the CodeSHA256 in $LATEST."
    );
    is_not_allowed(&daemon.api("POST", &function.path("versions"), &body), &message);
}

#[test]
fn concurrency_beyond_the_account_s_is_refused() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let path = function.path("concurrency").replace("2015-03-31", "2017-10-31");
    let body = json!({"ReservedConcurrentExecutions": 950});
    let response = daemon.api("PUT", &path, &body);
    assert_eq!(response.status, 400, "{response:?}");
    let message = response.json()["message"].as_str().expect("a message").trim().to_owned();
    let expected = "Specified ReservedConcurrentExecutions for function decreases account's \
         UnreservedConcurrentExecution below its minimum value of [100].";
    assert_eq!(message, expected);
}

#[test]
fn permissions_that_are_none_are_refused() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let statement =
        |id: &str| json!({"StatementId": id, "Action": "lambda:InvokeFunction", "Principal": "*"});
    let add = |body: &Value| daemon.api("POST", &function.path("policy"), body);
    let response = add(&statement("example.com"));
    breaks_the_model(
        &response,
        "Value 'example.com' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)",
    );
    add(&statement("s1")).expect(201);
    let message = "The statement id (s1) provided already exists. Please provide a new statement \
         id, or remove the existing statement.";
    add(&statement("s1")).refused(409, "ResourceConflictException", message);
    let gone = daemon.api("DELETE", &function.path("policy/doesnotexist"), &Value::Null);
    let message = "Statement doesnotexist is not found in resource policy.";
    gone.refused(404, "ResourceNotFoundException", message);
    daemon.api("DELETE", &function.path("policy/s1"), &Value::Null).expect(204);
    let none = daemon.api("GET", &function.path("policy"), &Value::Null);
    let message = "The resource you requested does not exist.";
    none.refused(404, "ResourceNotFoundException", message);
    let none = daemon.api("DELETE", &function.path("policy/s1"), &Value::Null);
    let message = "No policy is associated with the given resource.";
    none.refused(404, "ResourceNotFoundException", message);
}
