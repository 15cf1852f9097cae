//! Names and ARNs of every wrong shape, and functions that do not exist.

use serde_json::{Value, json};

use crate::harness::{Function, Request, shared};

/// AWS's pattern for what may stand in the path; the message quotes it whole.
fn quotes_the_pattern(message: &str, value: &str) -> bool {
    let begins = format!(
        "1 validation error detected: Value '{value}' at 'functionName' failed to satisfy constraint: Member must "
    );
    message.starts_with(&begins)
}

#[test]
fn what_cannot_be_a_function_s_name_is_refused_by_the_pattern() {
    let daemon = shared();
    for (encoded, value) in [
        ("invalid:function:name", "invalid:function:name"),
        ("a%20b", "a b"),
        ("a%2Fb", "a/b"),
        ("%C3%A9", "é"),
        (
            "arn:aws:lambda:us-east-1:123400000000@function:myfn",
            "arn:aws:lambda:us-east-1:123400000000@function:myfn",
        ),
        ("arn:aws:lambda:us-east-1:12:function:f", "arn:aws:lambda:us-east-1:12:function:f"),
        ("arn:aws:s3:::bucket", "arn:aws:s3:::bucket"),
        ("f:1:2", "f:1:2"),
        (":", ":"),
    ] {
        let response = daemon.api("GET", &format!("/2015-03-31/functions/{encoded}"), &Value::Null);
        assert_eq!(response.status, 400, "{encoded}: {response:?}");
        assert_eq!(response.header("x-amzn-errortype"), Some("ValidationException"), "{encoded}");
        let message = response.json()["message"].as_str().expect("a message").to_owned();
        assert!(quotes_the_pattern(&message, value), "{encoded}: {message}");
    }
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    let daemon = shared();
    let long = "a".repeat(65);
    let mut body = Function::python("x = 1\n").body();
    body["FunctionName"] = json!(long);
    let response = daemon.api("POST", "/2015-03-31/functions", &body);
    let message = format!(
        "1 validation error detected: Value '{long}' at 'functionName' failed to satisfy \
         constraint: Member must have length less than or equal to 64"
    );
    response.refused(400, "InvalidParameterValueException", &message);
    let path = format!("/2015-03-31/functions/{}/configuration", "a".repeat(141));
    let response = daemon.api("PUT", &path, &json!({"Timeout": 3}));
    assert_eq!(response.status, 400, "{response:?}");
    assert!(
        response.text().contains("Member must have length less than or equal to 140"),
        "{response:?}"
    );
}

#[test]
fn a_function_that_does_not_exist_is_not_found_in_the_words_of_each_operation() {
    let daemon = shared();
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:doesnotexist";
    let invoke =
        daemon.send(Request::new("POST", "/2015-03-31/functions/doesnotexist/invocations"));
    invoke.refused(404, "ResourceNotFoundException", &format!("Function not found: {arn}:$LATEST"));
    let target = "/2015-03-31/functions/doesnotexist/invocations?Qualifier=42";
    let invoke = daemon.send(Request::new("POST", target));
    invoke.refused(404, "ResourceNotFoundException", &format!("Function not found: {arn}:42"));

    let not_found = format!("Function not found: {arn}");
    for (method, path, body) in [
        ("GET", "", Value::Null),
        ("GET", "/configuration", Value::Null),
        ("DELETE", "", Value::Null),
        ("PUT", "/configuration", json!({"Timeout": 3})),
        ("POST", "/versions", json!({})),
    ] {
        let target = format!("/2015-03-31/functions/doesnotexist{path}");
        let response = daemon.api(method, &target, &body);
        let body = response.refused(404, "ResourceNotFoundException", &not_found);
        assert_eq!(body["Type"], "User");
        assert!(body.get("Message").is_some(), "this error is spelt with a capital: {body}");
    }
}

#[test]
fn a_version_that_does_not_exist_is_not_found() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    pass\n").deploy(&daemon);
    let path = format!("/2015-03-31/functions/{}?Qualifier=1221", function.name);
    let response = daemon.api("GET", &path, &Value::Null);
    let message = format!("Function not found: {}:1221", function.arn());
    response.refused(404, "ResourceNotFoundException", &message);
    let target = format!("{}?Qualifier=nobody", function.path("invocations"));
    let response = daemon.send(Request::new("POST", &target));
    let message = format!("Function not found: {}:nobody", function.arn());
    response.refused(404, "ResourceNotFoundException", &message);
}

#[test]
fn another_region_or_account_is_not_reachable() {
    let daemon = shared();
    let region = "arn:aws:lambda:ap-southeast-1:000000000000:function:f";
    let response = daemon.api("GET", &format!("/2015-03-31/functions/{region}"), &Value::Null);
    let message = "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')";
    response.refused(404, "ResourceNotFoundException", message);
    let account = "arn:aws:lambda:us-east-1:111111111111:function:f";
    let response = daemon.api("GET", &format!("/2015-03-31/functions/{account}"), &Value::Null);
    assert!(matches!(response.status, 403 | 404), "{response:?}");
}

#[test]
fn two_qualifiers_that_differ_are_refused_and_two_that_agree_are_not() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    pass\n").deploy(&daemon);
    daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
    let path =
        |name: &str, query: &str| format!("/2015-03-31/functions/{name}:1?Qualifier={query}");
    let response = daemon.api("GET", &path(&function.name, "$LATEST"), &Value::Null);
    let message =
        "The derived qualifier from the function name does not match the specified qualifier.";
    response.refused(400, "InvalidParameterValueException", message);
    daemon.api("GET", &path(&function.arn(), "1"), &Value::Null).expect(200);
}

#[test]
fn latest_cannot_be_deleted_without_the_function() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    pass\n").deploy(&daemon);
    let path = format!("/2015-03-31/functions/{}?Qualifier=$LATEST", function.name);
    let response = daemon.api("DELETE", &path, &Value::Null);
    let message = "$LATEST version cannot be deleted without deleting the function.";
    response.refused(400, "InvalidParameterValueException", message);
}

#[test]
fn tags_belong_to_functions_only() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    pass\n").deploy(&daemon);
    let tags = |arn: &str| daemon.api("GET", &format!("/2017-03-31/tags/{arn}"), &Value::Null);
    assert_eq!(tags(&function.arn()).expect(200).json()["Tags"], json!({}));
    let message =
        "Tags on function aliases and versions are not supported. Please specify a function ARN.";
    tags(&format!("{}:1", function.arn())).refused(400, "InvalidParameterValueException", message);
    let wrong = tags("arn:aws:something");
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert!(wrong.text().contains("Value 'arn:aws:something' at 'resource'"), "{wrong:?}");
}

#[test]
fn a_path_or_method_that_no_operation_has_is_refused_in_aws_s_form() {
    let daemon = shared();
    for (method, target) in [
        ("GET", "/nothing/here"),
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/2015-03-31/functions/a/b/c"),
        ("POST", "/2015-03-31"),
    ] {
        let response = daemon.api(method, target, &Value::Null);
        assert!(matches!(response.status, 403..=405), "{method} {target}: {response:?}");
        assert!(response.header("x-amzn-errortype").is_some(), "{method} {target}: {response:?}");
        assert!(response.header("x-amzn-requestid").is_some(), "{method} {target}: {response:?}");
    }
}

#[test]
fn operations_that_are_not_served_are_refused_in_aws_s_form_and_not_pretended() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    pass\n").deploy(&daemon);
    let name = &function.name;
    let arn = function.arn();
    for (method, target) in [
        ("GET", "/2025-11-30/capacity-providers".to_owned()),
        ("POST", "/2025-11-30/capacity-providers".to_owned()),
        ("GET", format!("/2025-11-30/functions/{name}/function-scaling-config?Qualifier=1")),
        ("GET", format!("/2025-12-01/functions/{name}/durable-executions")),
        ("POST", "/2025-12-01/durable-execution-callbacks/any/heartbeat".to_owned()),
        ("GET", format!("/2026-07-09/resource-policy/{arn}")),
    ] {
        let response = daemon.api(method, &target, &json!({}));
        assert_eq!(response.status, 400, "{method} {target}: {response:?}");
        assert!(response.header("x-amzn-errortype").is_some(), "{method} {target}: {response:?}");
        let says = response.json()["message"].as_str().map(str::to_owned).unwrap_or_default();
        let refused = says.contains("not available on this server") || says.contains("validation");
        assert!(refused, "{method} {target}: {response:?}");
    }
}
