//! The Runtime API as a custom runtime sees it, from inside: headers, states, refusals.
//!
//! Each function here is its own runtime (`functions/runtime_api.py` and what the test adds), which
//! does what a proper client would not. `clients` shows that proper ones work.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Function, Request, shared};

/// A runtime that answers each event with what `expression` is, given `request`, `headers`, `event`.
fn answering(statements: &str) -> Function {
    let body: String = statements
        .lines()
        .map(|line| format!("    {}\n", line.trim_start_matches("        ")))
        .collect();
    Function::runtime_in_python(&format!(
        "import json\nwhile True:\n    request, headers, event = next_event()\n{body}"
    ))
}

#[test]
fn the_next_event_comes_with_every_header_that_aws_sends() {
    let daemon = shared();
    let function =
        answering("respond(request, json.dumps([headers, json.loads(event)]))").deploy(&daemon);
    let request = Request::new("POST", &function.path("invocations")).body(r#"{"a":1}"#);
    // base64 of {"custom":{"k":"v"}}
    let called = function.invoke_with(
        request
            .header("x-amz-client-context", "eyJjdXN0b20iOnsiayI6InYifX0=")
            .header("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678;Sampled=1"),
    );
    let answer = called.answer();
    let headers = &answer[0];
    assert_eq!(answer[1], json!({"a": 1}));
    assert_eq!(headers["lambda-runtime-aws-request-id"], called.request_id());
    assert_eq!(headers["lambda-runtime-invoked-function-arn"], function.arn());
    assert_eq!(headers["lambda-runtime-client-context"], r#"{"custom":{"k":"v"}}"#);
    assert_eq!(headers["content-type"], "application/json");
    assert!(headers["lambda-runtime-invocation-id"].is_string(), "{headers}");
    let trace = headers["lambda-runtime-trace-id"].as_str().expect("a trace id");
    assert!(trace.starts_with("Root=1-67891233-abcdef012345678912345678"), "{trace}");
    let deadline: i64 = headers["lambda-runtime-deadline-ms"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("milliseconds since the epoch");
    let left = deadline - jiff::Timestamp::now().as_millisecond();
    assert!((0..=20_000).contains(&left), "{left} ms of 20 s are left");
}

#[test]
fn an_answer_is_acknowledged_and_a_second_one_to_the_same_request_is_refused() {
    let daemon = shared();
    let function = Function::runtime_in_python(
        "
        import json
        seen = []
        while True:
            request, _, event = next_event()
            if event == b'\"report\"':
                respond(request, json.dumps(seen))
                continue
            for body in (b'\"first\"', b'\"second\"'):
                status, content = respond(request, body)
                seen.append([status, json.loads(content)])
        ",
    )
    .deploy(&daemon);
    assert_eq!(function.answer(&json!({})), "first", "the caller gets the first answer");
    let seen = function.answer(&json!("report"));
    assert_eq!(seen[0], json!([202, {"status": "OK"}]));
    assert_eq!(seen[1][0], 403, "{seen}");
    assert_eq!(seen[1][1]["errorType"], "InvalidStateTransition", "{seen}");
}

#[test]
fn an_answer_to_a_request_that_is_not_the_current_one_is_refused() {
    let daemon = shared();
    let function = answering(
        "other = '00000000-0000-4000-8000-000000000000'
        status, content = respond(other, b'{}')
        respond(request, json.dumps([status, json.loads(content)['errorType']]))",
    )
    .deploy(&daemon);
    assert_eq!(function.answer(&json!({})), json!([400, "InvalidRequestID"]));
}

#[test]
fn an_error_s_document_reaches_the_caller_byte_for_byte() {
    let daemon = shared();
    let function = answering(
        "path = f'/2018-06-01/runtime/invocation/{request}/error'
        call('POST', path, event, {'Lambda-Runtime-Function-Error-Type': 'Function.Odd'})",
    )
    .deploy(&daemon);
    let document = json!({"errorMessage": "ö", "errorType": "Own", "more": [1, 2]});
    let called = function.invoke(&document);
    called.failure();
    assert_eq!(called.response.text(), document.to_string());
}

#[test]
fn an_answer_that_is_not_json_reaches_the_caller_as_it_is() {
    let daemon = shared();
    let function = answering("respond(request, b'plainly \\xff not JSON')").deploy(&daemon);
    let called = function.invoke(&json!({}));
    assert_eq!((called.response.status, called.error.as_deref()), (200, None));
    assert_eq!(called.response.body, b"plainly \xff not JSON");
}

#[test]
fn an_answer_above_the_limit_is_refused_on_both_sides() {
    let daemon = shared();
    let function = Function::runtime_in_python(
        "
        import json
        seen = None
        while True:
            request, _, event = next_event()
            if event == b'\"report\"':
                respond(request, json.dumps(seen))
            else:
                status, content = respond(request, b'\"' + b'x' * (6 * 1024 * 1024 + 99) + b'\"')
                seen = [status, json.loads(content)]
        ",
    )
    .deploy(&daemon);
    let failure = function.invoke(&json!({})).failure();
    assert_eq!(failure["errorType"], "Function.ResponseSizeTooLarge", "{failure}");
    let seen = function.answer(&json!("report"));
    assert_eq!(seen[0], 413, "{seen}");
    assert_eq!(seen[1]["errorType"], "RequestEntityTooLarge", "{seen}");
    let message = "Exceeded maximum allowed payload size (6291556 bytes).";
    assert_eq!(seen[1]["errorMessage"], message, "{seen}");
}

#[test]
fn an_init_error_is_the_caller_s_answer() {
    let daemon = shared();
    let function = Function::runtime_in_python(
        "
        import sys
        body = b'{\"errorMessage\":\"cannot begin\",\"errorType\":\"Own.Init\"}'
        headers = {'Lambda-Runtime-Function-Error-Type': 'Runtime.Own'}
        status, _, _ = call('POST', '/2018-06-01/runtime/init/error', body, headers)
        sys.exit(status != 202)
        ",
    )
    .deploy(&daemon);
    let failure = function.invoke(&json!({})).failure();
    assert_eq!(failure, json!({"errorMessage": "cannot begin", "errorType": "Own.Init"}));
}

#[test]
fn a_bootstrap_that_cannot_run_is_reported() {
    let daemon = shared();
    for (script, how) in
        [("exit 0", "without providing a reason"), ("exit 7", "with error: exit status 7")]
    {
        let function = Function::shell(script).deploy(&daemon);
        let called = function.invoke(&json!({}));
        let failure = called.failure();
        assert_eq!(failure["errorType"], "Runtime.ExitError", "{failure}");
        let message = format!("RequestId: {} Error: Runtime exited {how}", called.request_id());
        assert_eq!(failure["errorMessage"], message);
    }
    let package = crate::harness::Package::new().file("readme.txt", "no program").build();
    let function = Function::custom(package).deploy(&daemon);
    let failure = function.invoke(&json!({})).failure();
    assert_eq!(failure["errorType"], "Runtime.InvalidEntrypoint", "{failure}");
}

#[test]
fn a_runtime_that_never_asks_for_an_event_is_ended() {
    let daemon = shared();
    let function = Function::shell("exec sleep 600").timeout(1).deploy(&daemon);
    let begin = Instant::now();
    let failure = function.invoke(&json!({})).failure();
    assert_eq!(failure["errorType"], "Sandbox.Timedout", "{failure}");
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}

#[test]
fn unknown_paths_and_versions_are_not_found_and_ping_answers() {
    let daemon = shared();
    let function = answering(
        "seen = [call(method, path)[0] for method, path in (
            ('GET', '/2018-06-01/ping'),
            ('GET', '/2018-06-01/runtime/restore/next'),
            ('GET', '/2015-03-31/functions'),
            ('GET', '/metrics'),
            ('GET', '/'),
        )]
        respond(request, json.dumps(seen))",
    )
    .deploy(&daemon);
    assert_eq!(function.answer(&json!({})), json!([200, 404, 404, 404, 404]));
}

#[test]
fn connections_to_the_runtime_api_are_limited_and_the_daemon_is_unmoved() {
    let daemon = shared();
    let function = Function::runtime_in_python(
        "
        import json, socket
        host, port = api.split(':')
        while True:
            request, _, _ = next_event()
            held = []
            for _ in range(400):
                try:
                    one = socket.create_connection((host, int(port)), 0.2)
                    one.sendall(b'GET /2018-06-01/runtime/inv')
                    held.append(one)
                except OSError:
                    break
            for one in held:
                one.close()
            respond(request, json.dumps(len(held)))
        ",
    )
    .timeout(120)
    .deploy(&daemon);
    let held = function.answer(&json!({}));
    assert!(held.is_u64(), "{held}");
    assert!(function.answer(&json!({})).is_u64(), "it serves on");
    daemon.api("GET", "/2015-03-31/functions", &Value::Null).expect(200);
}
