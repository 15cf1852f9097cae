//! What a function's process finds in its environment.

use std::time::Duration;

use dispatch::Initialization;
use images::manifest::Kind;
use model::{Digest, FunctionId, FunctionName, Generation, Home, Runnable, Version};

use super::{Session, build};

fn function(runtime: &str, environment: &[(&str, &str)]) -> Runnable {
    Runnable {
        function: FunctionId(1),
        generation: Generation(1),
        name: FunctionName::parse("echo").expect("a name"),
        version: Version::Latest,
        runtime: runtime.to_owned(),
        handler: "app.handler".to_owned(),
        code: Digest([0; 32]),
        layers: None,
        memory_mib: 256,
        tmp_mib: 512,
        timeout: Duration::from_secs(3),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        log_group: "/aws/lambda/echo".to_owned(),
        reserved_concurrency: None,
        concurrency: 1,
    }
}

fn built(runtime: &str, kind: Kind, environment: &[(&str, &str)]) -> Vec<String> {
    built_for(Initialization::OnDemand, runtime, kind, environment)
}

fn built_for(
    initialization: Initialization,
    runtime: &str,
    kind: Kind,
    environment: &[(&str, &str)],
) -> Vec<String> {
    let function = function(runtime, environment);
    let session = Session {
        id: "ASIAEXAMPLE".to_owned(),
        secret: "secret".to_owned(),
        token: "token".to_owned(),
    };
    let stream = "2026/11/20/[$LATEST]00";
    let entries = build(&Home::default(), &function, kind, initialization, stream, &session);
    entries.into_iter().map(|entry| String::from_utf8(entry).expect("text")).collect()
}

#[test]
fn python_gets_the_variables_aws_sets() {
    let mut entries = built("python3.11", Kind::Python, &[]);
    entries.sort();
    let expected = [
        "AWS_ACCESS_KEY_ID=ASIAEXAMPLE",
        "AWS_DEFAULT_REGION=us-east-1",
        "AWS_EXECUTION_ENV=AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
        "AWS_LAMBDA_FUNCTION_NAME=echo",
        "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/echo",
        "AWS_LAMBDA_LOG_STREAM_NAME=2026/11/20/[$LATEST]00",
        "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001",
        "AWS_REGION=us-east-1",
        "AWS_SECRET_ACCESS_KEY=secret",
        "AWS_SESSION_TOKEN=token",
        "AWS_XRAY_CONTEXT_MISSING=LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS=169.254.100.1:2000",
        "LAMBDA_RUNTIME_DIR=/var/runtime",
        "LAMBDA_TASK_ROOT=/var/task",
        "LANG=en_US.UTF-8",
        "LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
        "PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "PYTHONPATH=/var/runtime",
        "TZ=:UTC",
        "_AWS_XRAY_DAEMON_ADDRESS=169.254.100.1",
        "_AWS_XRAY_DAEMON_PORT=2000",
        "_HANDLER=app.handler",
    ];
    assert_eq!(entries, expected);
}

#[test]
fn node_finds_modules_of_its_own_version() {
    let entries = built("nodejs22.x", Kind::Node, &[]);
    let expected = "NODE_PATH=/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:\
                    /var/runtime/node_modules:/var/runtime:/var/task";
    assert!(entries.iter().any(|entry| entry == expected), "{entries:?}");
    assert!(!entries.iter().any(|entry| entry.starts_with("PYTHONPATH=")));
}

#[test]
fn custom_runtimes_have_no_execution_environment_variable() {
    let entries = built("provided.al2023", Kind::Custom, &[]);
    assert!(!entries.iter().any(|entry| entry.starts_with("AWS_EXECUTION_ENV")));
    assert!(entries.iter().any(|entry| entry == "_HANDLER=app.handler"));
}

#[test]
fn a_users_variables_follow_and_replace_defaults_but_never_reserved_ones() {
    let users = [("TABLE", "orders"), ("LANG", "C"), ("AWS_REGION", "mars-1"), ("_HANDLER", "x")];
    let entries = built("python3.11", Kind::Python, &users);
    let of = |name: &str| -> Vec<&str> {
        let mine = entries.iter().filter_map(|entry| entry.split_once('='));
        mine.filter(|(own, _)| *own == name).map(|(_, value)| value).collect()
    };
    assert_eq!(of("TABLE"), ["orders"]);
    assert_eq!(of("LANG"), ["C"]);
    assert_eq!(of("AWS_REGION"), ["us-east-1"]);
    assert_eq!(of("_HANDLER"), ["app.handler"]);
}

#[test]
fn every_instance_gets_a_key_of_its_own_and_of_awss_form() {
    let (one, other) = (Session::draw(), Session::draw());
    assert_ne!(one.id, other.id);
    assert_ne!(one.secret, other.secret);
    assert_eq!((one.id.len(), one.secret.len(), one.token.len()), (20, 40, 356));
    assert!(one.id.starts_with("ASIA"));
    assert!(one.id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
}

#[test]
fn an_instance_that_is_provisioned_is_told_so() {
    let provisioned = Initialization::Provisioned;
    let entries = built_for(provisioned, "python3.11", Kind::Python, &[]);
    let kind = "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency";
    assert!(entries.iter().any(|entry| entry == kind), "{entries:?}");
}
