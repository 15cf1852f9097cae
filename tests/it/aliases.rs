//! Aliases as AWS's own clients create them, call them, and divide calls with them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::tools::{aws, boto3, hearth};
use crate::harness::{Deployed, Function, Request, eventually, shared};

/// Answers with which version it is, and how it was called.
const WHO: &str = "
    import os

    def handler(event, context):
        return [os.environ['AWS_LAMBDA_FUNCTION_VERSION'], context.invoked_function_arn]
    ";

#[test]
fn boto3_takes_an_alias_through_its_whole_life() {
    let daemon = shared();
    let function = Function::python(WHO).deploy(&daemon);
    let other = Function::python(&format!("{WHO}\n    CHANGED = True\n")).body();
    let other = other["Code"]["ZipFile"].as_str().expect("a package");
    let triggers = daemon.http.to_string();
    let script = include_str!("clients/aliases.py");
    let said = boto3(&daemon, script, &[&function.name, other, &triggers]);
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{}:live", function.name);
    let invalid = "InvalidParameterValueException";
    let missing = |what: &str| json!(["ResourceNotFoundException", format!("{what}: {arn}")]);
    assert_eq!(said["stale"][0], "PreconditionFailedException", "{said}");
    let message = "Unable to delete version because the following aliases reference it: [live]";
    assert_eq!(said["deleting"], json!(["ResourceConflictException", message]));
    let message = "Tags on function aliases and versions are not supported. Please specify a \
                   function ARN.";
    assert_eq!(said["tagging"], json!([invalid, message]));
    let message = "Number of items in AdditionalVersionWeights cannot be greater than 1";
    assert_eq!(said["two"], json!([invalid, message]));
    assert_eq!(said["gone"], missing("Cannot find alias arn"));
    assert_eq!(said["calling"], missing("Function not found"));
}

#[test]
fn the_aws_cli_creates_moves_calls_and_deletes_an_alias() {
    let daemon = shared();
    let function = Function::python(WHO).deploy(&daemon);
    let call = |verb: &str, more: &[&str]| {
        let arguments = [&["lambda", verb, "--function-name", &function.name], more].concat();
        let ran = aws(&daemon, &[&arguments[..], &["--output", "json"]].concat()).succeeded();
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or(Value::Null)
    };
    call("publish-version", &[]);
    let named = ["--name", "live"];
    let weights = "AdditionalVersionWeights={1=0.25}";
    let created = call("create-alias", &[&named[..], &["--function-version", "$LATEST"]].concat());
    assert_eq!(created["FunctionVersion"], "$LATEST", "{created}");
    let moved = call("update-alias", &[&named[..], &["--function-version", "1"]].concat());
    assert_eq!(call("get-alias", &named)["RevisionId"], moved["RevisionId"]);
    let refused = ["lambda", "update-alias", "--function-name", &function.name];
    let ran = aws(&daemon, &[&refused[..], &named, &["--routing-config", weights]].concat());
    assert!(ran.code != 0 && ran.stderr.contains("already included"), "{ran:#?}");
    let answer = invoke(&function, "live");
    assert_eq!(
        (&answer[0], answer[1].as_str().map(|arn| arn.ends_with(":live"))),
        (&json!("1"), Some(true))
    );
    let described = hearth(&daemon, &["describe", &function.name], "").succeeded();
    let row = described.stdout.lines().find(|line| line.starts_with("Alias.live"));
    assert!(row.is_some_and(|row| row.ends_with(" 1")), "{described:#?}");
    call("delete-alias", &named);
    assert_eq!(call("list-aliases", &[]), json!({"Aliases": []}));
}

/// Answers with its version and why it was started.
const KIND: &str = "
    import os

    def handler(event, context):
        return [os.environ['AWS_LAMBDA_FUNCTION_VERSION'], os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']]
    ";

#[test]
fn what_is_provisioned_for_an_alias_follows_it_to_another_version() {
    let daemon = shared();
    let function = Function::python(KIND).deploy(&daemon);
    let publish = || daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
    publish();
    let alias = json!({"Name": "live", "FunctionVersion": "1"});
    daemon.api("POST", &function.path("aliases"), &alias).expect(201);
    let path = function.path("provisioned-concurrency").replace("2015-03-31", "2019-09-30");
    let path = format!("{path}?Qualifier=live");
    let two = json!({"ProvisionedConcurrentExecutions": 2});
    daemon.api("PUT", &path, &two).expect(202);
    let ready = || {
        eventually("READY", Duration::from_secs(60), || {
            let now = daemon.api("GET", &path, &Value::Null).expect(200).json();
            (now["Status"] == "READY").then_some(now)
        })
    };
    assert_eq!(ready()["AvailableProvisionedConcurrentExecutions"], 2);
    assert_eq!(invoke(&function, "live"), json!(["1", "provisioned-concurrency"]));

    let configuration = function.path("configuration");
    daemon.api("PUT", &configuration, &json!({"Description": "second"})).expect(200);
    function.settle();
    publish();
    let divided = json!({"RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}});
    let alias = function.path("aliases/live");
    daemon.api("PUT", &alias, &divided).expect(200);
    ready();
    for version in ["1", "2"] {
        let answer = eventually(version, Duration::from_secs(60), || {
            let answer = invoke(&function, "live");
            (answer[0] == version).then_some(answer)
        });
        assert_eq!(answer[1], "provisioned-concurrency", "one of each");
    }
    daemon.api("PUT", &alias, &json!({"FunctionVersion": "2", "RoutingConfig": {}})).expect(200);
    assert_eq!(ready()["AvailableProvisionedConcurrentExecutions"], 2);
    assert_eq!(invoke(&function, "live"), json!(["2", "provisioned-concurrency"]));
    assert_eq!(invoke(&function, "1")[0], "1", "a version can be called as before");
    daemon.api("DELETE", &alias, &Value::Null).expect(204);
    daemon.api("GET", &path, &Value::Null).expect(404);
}

/// Calls by a qualifier.
fn invoke(function: &Deployed<'_>, qualifier: &str) -> Value {
    let path = format!("{}?Qualifier={qualifier}", function.path("invocations"));
    function.invoke_with(Request::new("POST", &path).json(&json!({}))).answer()
}
