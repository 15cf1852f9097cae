//! Events that cannot be delivered.

use serde_json::{Value, json};

use crate::harness::{Deployed, Function, Request, Response, shared};

const ECHO: &str = "def handler(event, context):\n    return event\n";

fn invoke(function: &Deployed<'_>, body: impl Into<Vec<u8>>) -> Response {
    function.invoke_with(Request::new("POST", &function.path("invocations")).body(body)).response
}

#[test]
fn a_payload_that_is_not_json_is_refused() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    for payload in [
        &b"not json"[..],
        b"{",
        b"{'single': 1}",
        b"{\"a\": }",
        b"1 2",
        b"\x87\x99",
        b"\"\xff\"",
        b"nul",
        b"[1,]",
    ] {
        let response = invoke(&function, payload);
        assert_eq!(response.status, 400, "{payload:?}: {response:?}");
        let code = response.header("x-amzn-errortype");
        assert_eq!(code, Some("InvalidRequestContentException"), "{payload:?}");
        let body = response.json();
        let message = body["message"].as_str().expect("a message");
        let begins = "Could not parse request body into json: Could not parse payload into json: ";
        assert!(message.starts_with(begins), "{payload:?}: {message}");
        assert_eq!(body["Type"], "User");
    }
    assert_eq!(function.answer(&json!(1)), 1);
}

#[test]
fn a_payload_above_six_mebibytes_is_refused() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let payload = format!("\"{}\"", "x".repeat(6 * 1024 * 1024 + 100));
    let response = invoke(&function, payload);
    assert_eq!(response.status, 413, "{response:?}");
    let code = response.header("x-amzn-errortype");
    assert_eq!(code, Some("RequestEntityTooLargeException"), "{response:?}");
    let message = "6291558 byte payload is too large for the RequestResponse invocation type \
         (limit 6291456 bytes)";
    assert!(response.text().contains(message), "{response:?}");
}

#[test]
fn a_payload_as_deep_as_its_size_allows_does_no_harm() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let response = invoke(&function, deep);
    // Python's own parser gives up on it; the daemon's must not fall over.
    assert!(matches!(response.status, 200 | 400), "{response:?}");
    assert_eq!(function.answer(&json!(1)), 1);
}

#[test]
fn an_unknown_invocation_type_or_log_type_is_refused() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    for (header, field) in
        [("x-amz-invocation-type", "invocationType"), ("x-amz-log-type", "logType")]
    {
        let request =
            Request::new("POST", &function.path("invocations")).header(header, "Sometimes");
        let response = daemon.send(request.body("{}"));
        assert_eq!(response.status, 400, "{response:?}");
        assert_eq!(response.header("x-amzn-errortype"), Some("ValidationException"));
        let begins = format!("1 validation error detected: Value 'Sometimes' at '{field}' failed");
        assert!(response.text().contains(&begins), "{response:?}");
    }
}

#[test]
fn a_dry_run_checks_and_calls_nothing() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let request = Request::new("POST", &function.path("invocations"));
    let response = daemon.send(request.header("x-amz-invocation-type", "DryRun").body("{}"));
    assert_eq!((response.status, response.body.len()), (204, 0), "{response:?}");
    let missing = Request::new("POST", "/2015-03-31/functions/doesnotexist/invocations");
    let response = daemon.send(missing.header("x-amz-invocation-type", "DryRun"));
    assert_eq!(response.status, 404, "{response:?}");
}

#[test]
fn a_client_context_that_is_none_is_refused() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    for context in ["*** not base64 ***".to_owned(), "A".repeat(5_000)] {
        let request = Request::new("POST", &function.path("invocations")).body("{}");
        let response = daemon.send(request.header("x-amz-client-context", &context));
        assert_eq!(response.status, 400, "{response:?}");
    }
}

#[test]
fn a_url_refuses_what_the_function_could_not_be_given() {
    let daemon = shared();
    let function =
        Function::python("def handler(event, context):\n    return 'ok'\n").deploy(&daemon);
    function.public_url();
    let path = format!("/{}/", function.name);
    let large = Request::new("POST", &path).body(vec![b'x'; 6 * 1024 * 1024 + 1]).send(daemon.http);
    assert_eq!(large.status, 413, "{large:?}");
    assert_eq!(Request::new("GET", &path).send(daemon.http).expect(200).text(), "ok");
    assert_eq!(function.answer(&Value::Null), "ok");
}
