//! Layers as AWS's own clients publish them, and as functions of every kind find them in `/opt`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::package::dedent;
use crate::harness::tools::{aws, boto3};
use crate::harness::{Daemon, Deployed, Function, Package, Request, setup, shared};

/// A version of a layer, deleted when dropped.
struct Layer<'d> {
    daemon: &'d Daemon,
    arn: String,
    path: String,
}

impl<'d> Layer<'d> {
    fn publish(daemon: &'d Daemon, name: &str, package: Package) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let path = format!("/2018-10-31/layers/{name}/versions");
        let body = json!({ "Content": { "ZipFile": STANDARD.encode(package.build()) } });
        let published = daemon.api("POST", &path, &body).expect(201).json();
        let arn = published["LayerVersionArn"].as_str().expect("an ARN").to_owned();
        Self { daemon, arn, path: format!("{path}/{}", published["Version"]) }
    }

    fn delete(&self) {
        self.daemon.api("DELETE", &self.path, &Value::Null).expect(204);
    }
}

impl Drop for Layer<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A test may have deleted it itself, which is no error.
            self.delete();
        }
    }
}

fn arns(layers: &[&Layer<'_>]) -> Value {
    layers.iter().map(|layer| json!(layer.arn)).collect()
}

#[test]
fn boto3_takes_layers_through_their_whole_life() {
    let daemon = shared();
    let script = include_str!("clients/layers.py");
    let name = format!("life-{}", std::process::id());
    let said = boto3(&daemon, script, &[&name, setup::python_runtime()]);
    assert_eq!(
        said,
        json!({
            "shared": "second", "deep": "first", "tool": "first", "hidden": ["file"],
            "after deletion": "second", "without": "no layer",
        })
    );
}

#[test]
fn the_aws_cli_publishes_layers_that_a_node_function_requires() {
    let daemon = shared();
    let folder = tempfile::tempdir().expect("a temp dir");
    let write = |name: &str, package: Package| {
        let path = folder.path().join(name);
        std::fs::write(&path, package.build()).expect("our own directory");
        format!("fileb://{}", path.display())
    };
    let exports = |what: &str| format!("module.exports = '{what}';\n");
    let any = write(
        "any.zip",
        Package::new()
            .file("nodejs/node_modules/dependency/index.js", exports("any"))
            .file("nodejs/node_modules/other/index.js", exports("other")),
    );
    let major =
        setup::node().runtime.trim_start_matches("nodejs").trim_end_matches(".x").to_owned();
    let one = write(
        "one.zip",
        Package::new()
            .file(&format!("nodejs/node{major}/node_modules/dependency/index.js"), exports("one")),
    );
    let code = write(
        "code.zip",
        Package::new().file(
            "index.mjs",
            "import { createRequire } from 'node:module';\n\
             const require = createRequire(import.meta.url);\n\
             export const handler = async () => [require('dependency'), require('other')];\n",
        ),
    );
    let call = |arguments: &[&str]| {
        let ran = aws(&daemon, &[&["lambda"], arguments, &["--output", "json"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:#?}");
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or(Value::Null)
    };
    let runtime = &setup::node().runtime;
    let id = std::process::id();
    let names = [format!("cli-any-{id}"), format!("cli-one-{id}")];
    let publish = |name: &str, zip: &str| {
        let published = call(&[
            "publish-layer-version",
            "--layer-name",
            name,
            "--zip-file",
            zip,
            "--compatible-runtimes",
            runtime,
            "--license-info",
            "MIT",
        ]);
        assert_eq!(published["Version"], 1, "{published}");
        published["LayerVersionArn"].as_str().expect("an ARN").to_owned()
    };
    let (any, one) = (publish(&names[0], &any), publish(&names[1], &one));
    let shown = call(&["get-layer-version-by-arn", "--arn", &any]);
    assert_eq!(
        (&shown["LicenseInfo"], &shown["CompatibleRuntimes"]),
        (&json!("MIT"), &json!([runtime]))
    );
    let listed = call(&["list-layer-versions", "--layer-name", &names[0]]);
    assert_eq!(listed["LayerVersions"][0]["LayerVersionArn"], json!(any));
    let all = call(&["list-layers", "--compatible-runtime", runtime]);
    let all: Vec<_> =
        all["Layers"].as_array().expect("a list").iter().map(|it| &it["LayerName"]).collect();
    assert!(names.iter().all(|name| all.contains(&&json!(name))), "{all:?}");

    let name = format!("cli-layers-{id}");
    let created = call(&[
        "create-function",
        "--function-name",
        &name,
        "--runtime",
        runtime,
        "--handler",
        "index.handler",
        "--role",
        crate::harness::function::ROLE,
        "--zip-file",
        &code,
        "--layers",
        &any,
        &one,
    ]);
    assert_eq!(created["Layers"][1]["Arn"], json!(one), "{created}");
    call(&["wait", "function-active-v2", "--function-name", &name]);
    let function = Deployed::existing(&daemon, &name);
    // What is for this Node comes before what is for any.
    assert_eq!(function.answer(&json!({})), json!(["one", "other"]));
    let version = ["--layer-name", &names[0], "--version-number", "1"];
    let statement =
        ["--statement-id", "s", "--action", "lambda:GetLayerVersion", "--principal", "*"];
    call(&[&["add-layer-version-permission"], &version[..], &statement].concat());
    let policy = call(&[&["get-layer-version-policy"], &version[..]].concat());
    assert!(
        policy["Policy"].as_str().expect("text").contains("lambda:GetLayerVersion"),
        "{policy}"
    );
    call(&[&["remove-layer-version-permission"], &version[..], &statement[..2]].concat());
    for name in &names {
        call(&["delete-layer-version", "--layer-name", name, "--version-number", "1"]);
    }
    call(&["delete-function", "--function-name", &name]);
}

#[test]
fn a_custom_runtime_may_come_from_a_layer() {
    let daemon = shared();
    let script = "#!/bin/sh\n\
                  export MARK=layer\n\
                  exec python3 /opt/runtime.py\n";
    let source = format!(
        "{}\n{}",
        include_str!("functions/runtime_api.py"),
        dedent(
            "
            import json
            import os

            while True:
                request, _, _ = next_event()
                respond(request, json.dumps(os.environ['MARK']))
            "
        )
    );
    let package = Package::new().program("bootstrap", script).file("runtime.py", source);
    let layer = Layer::publish(&daemon, "runtime", package);
    let code = || Package::new().file("data.txt", "no program").build();
    let function = Function::custom(code()).with("Layers", arns(&[&layer])).deploy(&daemon);
    assert_eq!(function.answer(&json!({})), "layer");
    // The package's own comes first.
    let own = Package::new().program("bootstrap", script.replace("layer", "package")).build();
    let function = Function::custom(own).with("Layers", arns(&[&layer])).deploy(&daemon);
    assert_eq!(function.answer(&json!({})), "package");
    // With neither, AWS says where it looked.
    let empty = Layer::publish(&daemon, "empty", Package::new().file("data.txt", "nothing"));
    let function = Function::custom(code()).with("Layers", arns(&[&empty])).deploy(&daemon);
    let failed = function.invoke(&json!({})).failure();
    assert_eq!(
        failed["errorMessage"].as_str().expect("text").split("Error: ").last(),
        Some("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        "{failed}"
    );
}

#[test]
fn a_new_instance_has_the_layers_of_its_version_and_no_others() {
    let daemon = shared();
    let source = "
        import os

        def handler(event, context):
            return sorted(os.listdir('/opt')) + [open('/opt/which').read()]
        ";
    let layer = |which: &str| {
        let package = Package::new().file("which", which).file("bin/tool", "").file(which, "");
        Layer::publish(&daemon, &format!("which-{which}"), package)
    };
    let (one, two) = (layer("one"), layer("two"));
    let function = Function::python(source).with("Layers", arns(&[&one])).deploy(&daemon);
    daemon.api("POST", &function.path("versions"), &json!({})).expect(201);
    assert_eq!(function.answer(&json!({})), json!(["bin", "one", "which", "one"]));
    let body = json!({ "Layers": arns(&[&two]) });
    daemon.api("PUT", &function.path("configuration"), &body).expect(200);
    function.settle();
    assert_eq!(function.answer(&json!({})), json!(["bin", "two", "which", "two"]));
    let path = format!("{}?Qualifier=1", function.path("invocations"));
    let published = function.invoke_with(Request::new("POST", &path).json(&json!({})));
    assert_eq!(published.answer(), json!(["bin", "one", "which", "one"]));
}

#[test]
fn deleted_layers_survive_a_restart_for_those_that_use_them() {
    let home = crate::harness::Home::new();
    let daemon = Daemon::start_in(&home, &crate::harness::Options::default());
    let source = "
        def handler(event, context):
            return [open('/opt/a').read(), open('/opt/b').read()]
        ";
    let one = Layer::publish(&daemon, "one", Package::new().file("a", "first").file("b", "first"));
    let two = Layer::publish(&daemon, "two", Package::new().file("b", "second"));
    let name = Function::python(source).with("Layers", arns(&[&one, &two])).deploy(&daemon).keep();
    one.delete();
    two.delete();
    std::mem::forget((one, two));
    daemon.stop();
    let daemon = Daemon::start_in(&home, &crate::harness::Options::default());
    let function = Deployed::existing(&daemon, &name);
    assert_eq!(function.answer(&json!({})), json!(["first", "second"]));
    // What is new does not get them, and the next of that name is not theirs.
    let listed = daemon.api("GET", "/2018-10-31/layers", &Value::Null).expect(200).json();
    assert_eq!(listed, json!({ "Layers": [] }));
    let again = Layer::publish(&daemon, "one", Package::new().file("a", ""));
    assert!(again.arn.ends_with(":2"), "{}", again.arn);
}
