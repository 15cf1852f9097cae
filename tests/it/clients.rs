//! AWS's own clients, unchanged: boto3, the AWS CLI, and the official runtime clients.
//!
//! Every kind of function goes through the same life, once with each client: create, wait, invoke,
//! publish, update, list, tag, delete. `clients/life.py` is that life in boto3.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::tools::{aws, boto3};
use crate::harness::{Daemon, Deployed, Function, Package, setup, shared};

/// A kind of function, with two packages whose greetings differ.
struct Kind {
    runtime: String,
    handler: &'static str,
    first: PathBuf,
    second: PathBuf,
    folder: TempDir,
}

// === impl Kind ===

impl Kind {
    fn new(runtime: &str, handler: &'static str, package: impl Fn(&str) -> Vec<u8>) -> Self {
        let folder = tempfile::tempdir().expect("a temp dir");
        let write = |name: &str, greeting: &str| {
            let path = folder.path().join(name);
            fs::write(&path, package(greeting)).expect("our own directory");
            path
        };
        let (first, second) = (write("first.zip", "Hello"), write("second.zip", "Good day"));
        Self { runtime: runtime.to_owned(), handler, first, second, folder }
    }

    fn python() -> Self {
        Self::new(setup::python_runtime(), "app.handler", |greeting| {
            Package::new().file("app.py", greets_in_python(greeting)).build()
        })
    }

    fn node() -> Self {
        Self::new(&setup::node().runtime, "index.handler", |greeting| {
            let source = format!(
                "export const handler = async (event) => `{greeting}, ${{event.name}}, from ${{process.env.COLOUR}}`;"
            );
            Package::new().file("index.mjs", source).build()
        })
    }

    /// The official Python runtime client, from PyPI, as a custom runtime.
    fn awslambdaric() -> Self {
        let packages = setup::site_packages();
        Self::new("provided.al2023", "app.handler", move |greeting| {
            let start = "#!/bin/sh\nexec python3 -m awslambdaric \"$_HANDLER\"\n";
            let mut package = Package::new().program("bootstrap", start);
            for name in ["awslambdaric", "simplejson"] {
                package = package.folder(name, &packages.join(name));
            }
            let modules = fs::read_dir(&packages).expect("the virtual environment").flatten();
            for entry in modules {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name == "snapshot_restore_py.py" || name.starts_with("runtime_client.") {
                    package = package.file(&name, fs::read(entry.path()).expect("readable"));
                }
            }
            package.file("app.py", greets_in_python(greeting)).build()
        })
    }

    fn boto3_takes_it_through_its_whole_life(&self, name: &str) -> Value {
        let script = include_str!("clients/life.py");
        let (first, second) = (path(&self.first), path(&self.second));
        boto3(&shared(), script, &[name, &self.runtime, self.handler, first, second])
    }

    fn the_aws_cli_takes_it_through_its_whole_life(&self, name: &str) {
        let daemon = shared();
        let call = |arguments: &[&str]| {
            let ran = aws(&daemon, &[&["lambda"], arguments, &["--output", "json"]].concat());
            assert_eq!(ran.code, 0, "{arguments:?}: {ran:#?}");
            serde_json::from_str::<Value>(&ran.stdout).unwrap_or(Value::Null)
        };
        let zip = |path: &Path| format!("fileb://{}", path.display());
        let (first, second) = (zip(&self.first), zip(&self.second));
        let answer = self.folder.path().join("answer");
        let invoke = || {
            let said = call(&[
                "invoke",
                "--function-name",
                name,
                "--payload",
                r#"{"name":"Ada"}"#,
                path(&answer),
            ]);
            assert_eq!(said["StatusCode"], 200, "{said}");
            assert_eq!(said.get("FunctionError"), None, "{said}");
            fs::read_to_string(&answer).expect("the answer is written")
        };

        let created = call(&[
            "create-function",
            "--function-name",
            name,
            "--runtime",
            &self.runtime,
            "--handler",
            self.handler,
            "--role",
            "arn:aws:iam::000000000000:role/any",
            "--zip-file",
            &first,
            "--timeout",
            "20",
            "--environment",
            "Variables={COLOUR=green}",
        ]);
        assert_eq!(created["State"], "Pending", "{created}");
        call(&["wait", "function-active-v2", "--function-name", name]);
        let greeting = invoke();
        assert!(greeting.contains("Ada"), "{greeting}");

        let published = call(&["publish-version", "--function-name", name]);
        assert_eq!(published["Version"], "1", "{published}");
        call(&["update-function-code", "--function-name", name, "--zip-file", &second]);
        call(&["wait", "function-updated-v2", "--function-name", name]);
        assert_ne!(invoke(), greeting, "the new code answers");

        let versions = call(&["list-versions-by-function", "--function-name", name]);
        let count = versions["Versions"].as_array().map_or(0, Vec::len);
        assert_eq!(count, 2, "{versions}");
        let arn = created["FunctionArn"].as_str().expect("an ARN");
        call(&["tag-resource", "--resource", arn, "--tags", "team=tests"]);
        let tags = call(&["list-tags", "--resource", arn]);
        assert_eq!(tags["Tags"], json!({"team": "tests"}));

        call(&["delete-function", "--function-name", name]);
        let gone = aws(&daemon, &["lambda", "get-function", "--function-name", name]);
        assert_ne!(gone.code, 0);
        assert!(gone.stderr.contains("(ResourceNotFoundException)"), "{gone:#?}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are plain")
}

fn greets_in_python(greeting: &str) -> String {
    format!(
        "import os\n\n\ndef handler(event, context):\n    \
         return f\"{greeting}, {{event['name']}}, from {{os.environ['COLOUR']}}\"\n"
    )
}

/// The example's program, with a file beside it that makes the package another one.
fn rust_example(mark: &str) -> Vec<u8> {
    let program = fs::read(setup::custom_runtime()).expect("built by the set-up");
    Package::new().program("bootstrap", program).file("mark", mark).build()
}

#[test]
fn boto3_takes_a_python_function_through_its_whole_life() {
    let greetings = Kind::python().boto3_takes_it_through_its_whole_life("boto3-python");
    assert_eq!(greetings["first"], "\"Hello, Ada, from green\"");
    assert_eq!(greetings["second"], "\"Good day, Ada, from green\"");
}

#[test]
fn boto3_takes_a_node_function_through_its_whole_life() {
    let greetings = Kind::node().boto3_takes_it_through_its_whole_life("boto3-node");
    assert_eq!(greetings["first"], "\"Hello, Ada, from green\"");
    assert_eq!(greetings["second"], "\"Good day, Ada, from green\"");
}

#[test]
fn boto3_takes_the_official_python_runtime_client_through_its_whole_life() {
    let greetings = Kind::awslambdaric().boto3_takes_it_through_its_whole_life("boto3-ric");
    assert_eq!(greetings["first"], "\"Hello, Ada, from green\"");
    assert_eq!(greetings["second"], "\"Good day, Ada, from green\"");
}

#[test]
fn the_aws_cli_takes_a_python_function_through_its_whole_life() {
    Kind::python().the_aws_cli_takes_it_through_its_whole_life("cli-python");
}

#[test]
fn the_aws_cli_takes_a_node_function_through_its_whole_life() {
    Kind::node().the_aws_cli_takes_it_through_its_whole_life("cli-node");
}

#[test]
fn the_aws_cli_takes_the_official_python_runtime_client_through_its_whole_life() {
    Kind::awslambdaric().the_aws_cli_takes_it_through_its_whole_life("cli-ric");
}

#[test]
fn a_program_on_the_lambda_runtime_crate_answers_and_fails_as_on_aws() {
    let daemon = shared();
    let function = deploy_rust(&daemon);
    let called = function.invoke(&json!({"name": "Ada"}));
    let answer = called.answer();
    assert_eq!(answer["message"], "Hello, Ada!");
    assert_eq!(answer["request_id"], called.request_id());
    assert_eq!(answer["function"], function.name);
    assert!(called.log.contains("greeting Ada"), "{}", called.log);

    let failed = function.invoke(&json!({"name": ""})).failure();
    assert_eq!(failed["errorMessage"], "nobody to greet", "{failed}");
    assert_eq!(function.answer(&json!({}))["message"], "Hello, world!", "it serves on");
}

#[test]
fn a_program_on_the_lambda_runtime_crate_is_updated_and_published() {
    let daemon = shared();
    let function = deploy_rust(&daemon);
    let publish = || {
        daemon.api("POST", &function.path("versions"), &json!({})).expect(201).json()["Version"]
            .take()
    };
    assert_eq!(publish(), "1");
    function.replace(&rust_example("second"));
    assert_eq!(function.answer(&json!({"name": "Bo"}))["message"], "Hello, Bo!");
    assert_eq!(publish(), "2");
}

fn deploy_rust(daemon: &Daemon) -> Deployed<'_> {
    Function::custom(rust_example("first")).deploy(daemon)
}

#[test]
fn the_official_python_runtime_client_reports_errors_in_aws_s_form() {
    let daemon = shared();
    let kind = Kind::awslambdaric();
    let package = fs::read(&kind.first).expect("just written");
    let function = Function::new("provided.al2023", "app.handler", package)
        .environment(json!({"COLOUR": "green"}))
        .deploy(&daemon);
    let failed = function.invoke(&json!({"no": "name"})).failure();
    assert_eq!(failed["errorType"], "KeyError", "{failed}");
    assert_eq!(failed["errorMessage"], "'name'", "{failed}");
    assert!(failed["stackTrace"].is_array(), "{failed}");
}

#[test]
fn curl_signs_and_is_answered() {
    let daemon = shared();
    let function =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    let signer = daemon.signer();
    let url = format!("http://{}{}", daemon.api, function.path("invocations"));
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--aws-sigv4", "aws:amz:us-east-1:lambda"]);
    command.args(["--user", &format!("{}:{}", signer.key, signer.secret)]);
    command.args(["--data", r#"{"name":"Ada"}"#, &url]);
    match command.output() {
        // The one client here that is neither set up by the tests nor part of every system.
        Err(err) if err.kind() == ErrorKind::NotFound => eprintln!("no curl here to try"),
        Err(err) => panic!("curl: {err}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said, r#"{"name": "Ada"}"#, "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
