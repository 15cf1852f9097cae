//! A function that works: what it is given, what it sees, what its caller gets.

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Function, Request, setup, shared};

/// Answers with the event.
const ECHO: &str = "def handler(event, context):\n    return event\n";

// ------------------------------------------------------------------------------- events, answers

#[test]
fn python_answers_what_its_handler_returns_byte_for_byte() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    for (event, answer) in [
        (r#"{"a": 1}"#, r#"{"a": 1}"#),
        ("null", "null"),
        ("[]", "[]"),
        ("\"text\"", "\"text\""),
        ("1.5", "1.5"),
        ("true", "true"),
        // As AWS's client does up to Python 3.11; later ones leave the letters as they are.
        (r#"{"k": "\u00e4 \ud83d\ude00"}"#, r#"{"k": "\u00e4 \ud83d\ude00"}"#),
    ] {
        let called =
            function.invoke_with(Request::new("POST", &function.path("invocations")).body(event));
        called.answer();
        assert_eq!(called.response.text(), answer);
    }
}

#[test]
fn an_empty_payload_arrives_as_an_empty_object() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let called = function.invoke_with(Request::new("POST", &function.path("invocations")));
    assert_eq!(called.answer(), json!({}));
}

#[test]
fn an_event_and_an_answer_of_six_mebibytes_pass() {
    let daemon = shared();
    let function = Function::python(ECHO).timeout(60).deploy(&daemon);
    // Six MiB of JSON: a string and its two quotation marks.
    let event = Value::String("x".repeat(6 * 1024 * 1024 - 2));
    assert!(function.answer(&event) == event, "the answer is the event");
}

#[test]
fn node_answers_from_every_kind_of_handler() {
    let daemon = shared();
    let asynchronous = Function::node("export const handler = async (event) => event.x + 1;");
    assert_eq!(asynchronous.deploy(&daemon).answer(&json!({"x": 1})), 2);
    let plain = Function::node("export const handler = (event) => Promise.resolve([event.x]);");
    assert_eq!(plain.deploy(&daemon).answer(&json!({"x": 1})), json!([1]));
    let nothing = Function::node("export const handler = async () => undefined;");
    assert_eq!(nothing.deploy(&daemon).answer(&json!({})), Value::Null);

    let common = crate::harness::Package::new()
        .file(
            "lib/app.js",
            "exports.run = (event, context, callback) => callback(null, {got: event});",
        )
        .build();
    let function = Function::new(&setup::node().runtime, "lib/app.run", common);
    assert_eq!(function.deploy(&daemon).answer(&json!(3)), json!({"got": 3}));
}

#[test]
fn node_waits_for_the_event_loop_unless_the_handler_says_otherwise() {
    let daemon = shared();
    let waits = Function::node(
        "let ran = 0;
         export const handler = (event, context, callback) => {
           context.callbackWaitsForEmptyEventLoop = event.wait;
           const before = ran;
           setTimeout(() => { ran += 1; }, 200);
           callback(null, before);
         };",
    )
    .deploy(&daemon);
    assert_eq!(waits.answer(&json!({"wait": true})), 0);
    assert_eq!(
        waits.answer(&json!({"wait": true})),
        1,
        "the timer ran before the first answer left"
    );
    assert_eq!(waits.answer(&json!({"wait": false})), 2, "and this one's did not");
}

#[test]
fn a_python_handler_may_lie_in_a_folder() {
    let daemon = shared();
    let package = crate::harness::Package::new().file("deep/down/code.py", ECHO).build();
    for handler in ["deep/down/code.handler", "deep.down.code.handler"] {
        let function = Function::new(setup::python_runtime(), handler, package.clone());
        assert_eq!(function.deploy(&daemon).answer(&json!(handler)), handler);
    }
}

#[test]
fn an_instance_serves_one_call_after_another_and_keeps_its_state() {
    let daemon = shared();
    let function = Function::python(
        "
        import os
        count = 0

        def handler(event, context):
            global count
            count += 1
            return [os.getpid(), count]
        ",
    )
    .deploy(&daemon);
    let first = function.answer(&json!({}));
    let second = function.answer(&json!({}));
    assert_eq!(first[0], second[0]);
    assert_eq!((&first[1], &second[1]), (&json!(1), &json!(2)));
}

#[test]
fn calls_at_the_same_time_run_in_instances_of_their_own() {
    let daemon = shared();
    let function = Function::python(
        "
        import time
        import uuid

        instance = str(uuid.uuid4())

        def handler(event, context):
            time.sleep(1)
            return instance
        ",
    )
    .deploy(&daemon);
    let instances: Vec<Value> = thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| function.answer(&json!({})))).collect();
        calls.into_iter().map(|call| call.join().expect("the call succeeds")).collect()
    });
    let distinct: std::collections::HashSet<String> =
        instances.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), 4, "{instances:?}");
}

#[test]
fn reserved_concurrency_is_a_limit_and_a_throttle_says_why() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let path = function.path("concurrency").replace("2015-03-31", "2017-10-31");
    daemon.api("PUT", &path, &json!({"ReservedConcurrentExecutions": 0})).expect(200);
    let refused = function.invoke(&json!({})).response;
    let body = refused.refused(429, "TooManyRequestsException", "Rate Exceeded.");
    assert_eq!(body["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_eq!(body["Type"], "User");
    daemon.api("PUT", &path, &json!({"ReservedConcurrentExecutions": 1})).expect(200);
    assert_eq!(function.answer(&json!(1)), 1);
}

// ------------------------------------------------------------------------------- context

#[test]
fn python_is_given_the_whole_context() {
    let daemon = shared();
    let function = Function::python(
        "
        def handler(event, context):
            return {
                'function_name': context.function_name,
                'function_version': context.function_version,
                'invoked_function_arn': context.invoked_function_arn,
                'memory_limit_in_mb': context.memory_limit_in_mb,
                'aws_request_id': context.aws_request_id,
                'log_group_name': context.log_group_name,
                'log_stream_name': context.log_stream_name,
                'remaining': context.get_remaining_time_in_millis(),
                'client': context.client_context and context.client_context.custom,
                'identity': context.identity.cognito_identity_id,
            }
        ",
    )
    .timeout(20)
    .memory(256)
    .deploy(&daemon);
    // base64 of {"custom": {"key": "value"}, "env": {}, "client": {}}
    let client = "eyJjdXN0b20iOiB7ImtleSI6ICJ2YWx1ZSJ9LCAiZW52Ijoge30sICJjbGllbnQiOiB7fX0=";
    let request = Request::new("POST", &function.path("invocations")).body("{}");
    let called = function.invoke_with(request.header("x-amz-client-context", client));
    let context = called.answer();
    assert_eq!(context["function_name"], function.name);
    assert_eq!(context["function_version"], "$LATEST");
    assert_eq!(context["invoked_function_arn"], function.arn());
    assert_eq!(context["memory_limit_in_mb"], "256");
    assert_eq!(context["aws_request_id"], called.request_id());
    assert_eq!(context["log_group_name"], format!("/aws/lambda/{}", function.name));
    let stream = context["log_stream_name"].as_str().expect("a name");
    assert!(stream.contains("/[$LATEST]"), "{stream}");
    let remaining = context["remaining"].as_u64().expect("milliseconds");
    assert!((1_000..=20_000).contains(&remaining), "{remaining}");
    assert_eq!(context["client"], json!({"key": "value"}));
    assert_eq!(context["identity"], Value::Null);
}

#[test]
fn node_is_given_the_whole_context() {
    let daemon = shared();
    let function = Function::node(
        "export const handler = async (event, context) => ({
           ...context,
           remaining: context.getRemainingTimeInMillis(),
         });",
    )
    .deploy(&daemon);
    let called = function.invoke(&json!({}));
    let context = called.answer();
    assert_eq!(context["functionName"], function.name);
    assert_eq!(context["functionVersion"], "$LATEST");
    assert_eq!(context["invokedFunctionArn"], function.arn());
    assert_eq!(context["memoryLimitInMB"], "256");
    assert_eq!(context["awsRequestId"], called.request_id());
    assert_eq!(context["logGroupName"], format!("/aws/lambda/{}", function.name));
    assert_eq!(context["callbackWaitsForEmptyEventLoop"], true);
    assert!(
        context["remaining"].as_u64().is_some_and(|ms| (1_000..=20_000).contains(&ms)),
        "{context}"
    );
}

#[test]
fn the_invoked_arn_is_qualified_if_and_only_if_the_caller_qualified() {
    let daemon = shared();
    let source = "def handler(event, context):\n    \
                  return [context.invoked_function_arn, context.function_version]\n";
    let function = Function::python(source).deploy(&daemon);
    daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
    let arn = function.arn();
    for (query, invoked, version) in [
        ("", arn.clone(), "$LATEST"),
        ("?Qualifier=$LATEST", format!("{arn}:$LATEST"), "$LATEST"),
        ("?Qualifier=1", format!("{arn}:1"), "1"),
    ] {
        let target = format!("{}{query}", function.path("invocations"));
        let called = function.invoke_with(Request::new("POST", &target).body("{}"));
        assert_eq!(called.answer(), json!([invoked, version]), "{query}");
        assert_eq!(called.response.header("x-amz-executed-version"), Some(version));
    }
}

#[test]
fn a_function_is_found_under_every_form_of_its_name() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
    let (name, arn) = (&function.name, function.arn());
    for form in [
        name.clone(),
        format!("{name}:1"),
        format!("{name}:$LATEST"),
        format!("000000000000:function:{name}"),
        arn.clone(),
        format!("{arn}:1"),
        arn.replace(':', "%3A"),
        format!("{}%3A1", arn.replace(':', "%3a")),
    ] {
        let target = format!("/2015-03-31/functions/{form}/invocations");
        let called = function.invoke_with(Request::new("POST", &target).body("7"));
        assert_eq!(called.answer(), 7, "{form}");
    }
}

// ------------------------------------------------------------------------------- environment

/// What AWS documents, and nothing of the host's. The value is checked where it can be known.
/// Credentials are not among it: there is no role yet that a function could act as.
fn expected_environment(name: &str, runtime: &str) -> BTreeMap<String, Option<String>> {
    let known = [
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
        ("AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1:2000"),
        ("COLOUR", "green"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LANG", "en_US.UTF-8"),
        (
            "LD_LIBRARY_PATH",
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        ),
        ("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"),
        ("TZ", ":UTC"),
        ("_AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1"),
        ("_AWS_XRAY_DAEMON_PORT", "2000"),
    ];
    let mut all: BTreeMap<String, Option<String>> =
        known.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    all.insert("AWS_LAMBDA_LOG_GROUP_NAME".into(), Some(format!("/aws/lambda/{name}")));
    all.insert("AWS_LAMBDA_LOG_STREAM_NAME".into(), None);
    // Drawn for each instance.
    for key in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        all.insert(key.into(), None);
    }
    all.insert("AWS_LAMBDA_RUNTIME_API".into(), Some("127.0.0.1:9001".into()));
    if runtime != "provided.al2023" {
        all.insert("AWS_EXECUTION_ENV".into(), Some(format!("AWS_Lambda_{runtime}")));
    }
    all
}

fn compare(
    seen: &Value,
    mut expected: BTreeMap<String, Option<String>>,
    more: &[(&str, Option<&str>)],
) {
    for (key, value) in more {
        expected.insert((*key).to_owned(), value.map(str::to_owned));
    }
    let seen: BTreeMap<String, String> =
        serde_json::from_value(seen.clone()).expect("names and values");
    let names =
        |keys: &mut dyn Iterator<Item = &String>| keys.cloned().collect::<Vec<_>>().join("\n");
    assert_eq!(names(&mut seen.keys()), names(&mut expected.keys()));
    for (key, value) in expected {
        if let Some(value) = value {
            assert_eq!(seen[&key], value, "{key}");
        }
    }
}

#[test]
fn python_sees_exactly_the_documented_environment() {
    let daemon = shared();
    let source = "
        import os

        def handler(event, context):
            return dict(os.environ)
        ";
    let function = Function::python(source).environment(json!({"COLOUR": "green"})).deploy(&daemon);
    let seen = function.answer(&json!({}));
    let more = [
        ("_HANDLER", Some("app.handler")),
        ("_X_AMZN_TRACE_ID", None), // Set by the runtime, from each event.
        ("PYTHONPATH", Some("/var/runtime")),
    ];
    compare(&seen, expected_environment(&function.name, setup::python_runtime()), &more);
}

#[test]
fn node_sees_exactly_the_documented_environment() {
    let daemon = shared();
    let function = Function::node("export const handler = async () => process.env;")
        .environment(json!({"COLOUR": "green"}))
        .deploy(&daemon);
    let seen = function.answer(&json!({}));
    let runtime = &setup::node().runtime;
    let major = runtime.trim_start_matches("nodejs").trim_end_matches(".x");
    let modules = format!(
        "/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
    );
    let more = [
        ("_HANDLER", Some("index.handler")),
        ("_X_AMZN_TRACE_ID", None),
        ("NODE_PATH", Some(modules.as_str())),
    ];
    compare(&seen, expected_environment(&function.name, runtime), &more);
}

#[test]
fn a_custom_runtime_sees_exactly_the_documented_environment() {
    let daemon = shared();
    let function = Function::runtime_in_python(
        "
        import json
        while True:
            request, _, _ = next_event()
            # /proc has what the program was started with; the shell in between adds its own to
            # what it passes on.
            started = open('/proc/self/environ').read().split('\\0')[:-1]
            respond(request, json.dumps(dict(pair.split('=', 1) for pair in started)))
        ",
    )
    .environment(json!({"COLOUR": "green"}))
    .deploy(&daemon);
    let mut seen = function.answer(&json!({}));
    for of_the_shell in ["PWD", "OLDPWD", "SHLVL", "_"] {
        seen.as_object_mut().expect("an object").remove(of_the_shell);
    }
    let more = [("_HANDLER", Some("bootstrap"))];
    compare(&seen, expected_environment(&function.name, "provided.al2023"), &more);
}

#[test]
fn what_a_function_lives_in_is_as_documented() {
    let daemon = shared();
    let function = Function::python(
        "
        import os, resource, stat

        def mode(path):
            facts = os.stat(path)
            return [stat.S_IMODE(facts.st_mode), facts.st_uid]

        def handler(event, context):
            return {
                'cwd': os.getcwd(),
                'task': mode('/var/task'),
                'tmp': mode('/tmp')[0],
                'uid': os.getuid(),
                'gid': os.getgid(),
                'groups': os.getgroups(),
                'nofile': resource.getrlimit(resource.RLIMIT_NOFILE),
                'tmp_mib': os.statvfs('/tmp').f_blocks * os.statvfs('/tmp').f_frsize // 1048576,
                'hostname': os.uname().nodename,
                'files': sorted(os.listdir('/var/task')),
            }
        ",
    )
    .with("EphemeralStorage", json!({"Size": 768}))
    .deploy(&daemon);
    let seen = function.answer(&json!({}));
    assert_eq!(seen["cwd"], "/var/task");
    assert_eq!(seen["task"][0], 0o755, "{seen}");
    assert_eq!(seen["tmp"], 0o1777, "{seen}");
    assert_eq!((&seen["uid"], &seen["gid"]), (&json!(1000), &json!(1000)));
    assert_eq!(seen["groups"], json!([]));
    assert_eq!(seen["nofile"], json!([1024, 1024]));
    assert_eq!(seen["tmp_mib"], 768);
    assert_eq!(seen["hostname"], "sandbox");
    let files = seen["files"].as_array().expect("a list");
    assert!(files.contains(&json!("app.py")), "{seen}");
}
