//! What the API says about functions: shapes, defaults, states, revisions, versions, pages.
//!
//! The shapes matter to the letter: a field that is missing is a difference that Terraform finds at
//! every refresh.

use std::collections::HashSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{Function, Package, Request, shared};

const CODE: &str = "def handler(event, context):\n    return event\n";

#[test]
fn a_function_s_configuration_has_every_member_that_aws_gives() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let configuration = function.get()["Configuration"].take();
    for (member, value) in [
        ("Architectures", json!(["x86_64"])),
        ("Description", json!("")),
        ("EphemeralStorage", json!({"Size": 512})),
        ("FunctionArn", json!(function.arn())),
        ("FunctionName", json!(function.name)),
        ("Handler", json!("app.handler")),
        ("LastUpdateStatus", json!("Successful")),
        ("MemorySize", json!(256)),
        ("PackageType", json!("Zip")),
        ("SnapStart", json!({"ApplyOn": "None", "OptimizationStatus": "Off"})),
        ("State", json!("Active")),
        ("Timeout", json!(20)),
        ("TracingConfig", json!({"Mode": "PassThrough"})),
        ("Version", json!("$LATEST")),
        (
            "LoggingConfig",
            json!({"LogFormat": "Text", "LogGroup": format!("/aws/lambda/{}", function.name)}),
        ),
    ] {
        assert_eq!(configuration[member], value, "{member}");
    }
    for text in ["CodeSha256", "LastModified", "RevisionId", "Role", "Runtime"] {
        assert!(configuration[text].is_string(), "{text}: {configuration}");
    }
    assert!(
        configuration["RuntimeVersionConfig"]["RuntimeVersionArn"].is_string(),
        "{configuration}"
    );
    assert!(configuration["CodeSize"].is_u64());
    for absent in ["Environment", "StateReason", "StateReasonCode", "LastUpdateStatusReason"] {
        assert_eq!(configuration.get(absent), None, "{configuration}");
    }
    let modified = configuration["LastModified"].as_str().expect("a time");
    // Such as 2026-11-20T05:17:29.000+0000.
    assert_eq!((modified.len(), &modified[23..]), (28, "+0000"), "{modified}");
}

#[test]
fn an_environment_that_was_given_empty_is_shown_empty() {
    let daemon = shared();
    let function = Function::python(CODE).environment(json!({})).deploy(&daemon);
    let configuration = function.get()["Configuration"].take();
    assert_eq!(configuration["Environment"], json!({"Variables": {}}));
}

#[test]
fn a_revision_is_new_at_every_change_of_state() {
    let daemon = shared();
    let function = Function::python(CODE);
    let mut seen = Vec::new();
    let mut note = |answer: &Value| {
        seen.push(answer["RevisionId"].as_str().expect("a revision").to_owned());
    };
    let created = function.create(&daemon).expect(201).json();
    note(&created);
    let function = function.deployed(&daemon);
    note(&function.settle());
    let updated = daemon.api("PUT", &function.path("configuration"), &json!({"Timeout": 9}));
    let updated = updated.expect(200).json();
    assert_eq!(updated["LastUpdateStatus"], "InProgress");
    assert_eq!(updated["LastUpdateStatusReasonCode"], "Creating", "sic");
    note(&updated);
    note(&function.settle());
    let distinct: HashSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), 4, "{seen:?}");
    assert_eq!(function.settle()["RevisionId"], seen[3].as_str(), "looking changes nothing");
}

#[test]
fn an_update_of_the_configuration_keeps_what_it_does_not_mention() {
    let daemon = shared();
    let function = Function::python(CODE)
        .environment(json!({"COLOUR": "green"}))
        .with("Description", json!("described"))
        .deploy(&daemon);
    daemon.api("PUT", &function.path("configuration"), &json!({"Timeout": 9})).expect(200);
    let configuration = function.settle();
    assert_eq!(configuration["Timeout"], 9);
    assert_eq!(configuration["Description"], "described");
    assert_eq!(configuration["Environment"]["Variables"], json!({"COLOUR": "green"}));
    let body = json!({"Environment": {"Variables": {"SHAPE": "round"}}});
    daemon.api("PUT", &function.path("configuration"), &body).expect(200);
    assert_eq!(function.settle()["Environment"]["Variables"], json!({"SHAPE": "round"}));
}

#[test]
fn a_function_s_code_can_be_fetched_back_byte_for_byte() {
    let daemon = shared();
    let package = Package::new().file("app.py", CODE).file("data", [0, 1, 2, 255]).build();
    let function =
        Function::new(crate::harness::setup::python_runtime(), "app.handler", package.clone());
    let function = function.deploy(&daemon);
    let code = function.get()["Code"].take();
    assert_eq!(code["RepositoryType"], "S3");
    let location = code["Location"].as_str().expect("a URL");
    let (host, path) = location.trim_start_matches("http://").split_once('/').expect("a path");
    let address: SocketAddr = host.parse().expect("the address that was asked");
    // As with AWS, whoever has the location needs no other credentials.
    let fetched = Request::new("GET", &format!("/{path}")).send(address).expect(200);
    assert!(fetched.body == package, "{} bytes of {}", fetched.body.len(), package.len());
    let cut = Request::new("GET", &format!("/{}", &path[..path.len() - 3])).send(address);
    assert_eq!(cut.status, 403, "{cut:?}");
}

#[test]
fn a_published_version_never_changes() {
    let daemon = shared();
    let function = Function::python(CODE).environment(json!({"COLOUR": "green"})).deploy(&daemon);
    let body = json!({"Description": "the first"});
    let published = daemon.api("POST", &function.path("versions"), &body).expect(201).json();
    assert_eq!(published["Version"], "1");
    assert_eq!(published["Description"], "the first");
    assert_eq!(published["FunctionArn"], format!("{}:1", function.arn()));
    let read = || {
        let path = format!("{}?Qualifier=1", function.path("configuration"));
        daemon.api("GET", &path, &Value::Null).expect(200).json()
    };
    let before = read();
    daemon.api("PUT", &function.path("configuration"), &json!({"Timeout": 9})).expect(200);
    function.settle();
    function.replace(&Package::new().file("app.py", "handler = None\n").build());
    assert_eq!(read(), before);

    let second = daemon.api("POST", &function.path("versions"), &json!({})).expect(201).json();
    assert_eq!(second["Version"], "2");
    let path = format!("/2015-03-31/functions/{}?Qualifier=1", function.name);
    daemon.api("DELETE", &path, &Value::Null).expect(204);
    let path = function.path("versions");
    let versions = daemon.api("GET", &path, &Value::Null).expect(200).json();
    let numbers: Vec<&Value> = versions["Versions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["Version"])
        .collect();
    assert_eq!(numbers, ["$LATEST", "2"], "numbers are never used again");
}

#[test]
fn functions_are_listed_in_pages_that_meet() {
    let daemon = shared();
    let functions: Vec<_> = (0..5).map(|_| Function::python(CODE).deploy(&daemon)).collect();
    let mut seen = Vec::new();
    let mut marker = None::<String>;
    loop {
        let more = marker.map(|marker| format!("&Marker={marker}")).unwrap_or_default();
        let page =
            daemon.api("GET", &format!("/2015-03-31/functions?MaxItems=2{more}"), &Value::Null);
        let page = page.expect(200).json();
        let names = page["Functions"].as_array().expect("a list");
        assert!(names.len() <= 2, "{page}");
        seen.extend(names.iter().filter_map(|one| one["FunctionName"].as_str()).map(str::to_owned));
        match page["NextMarker"].as_str() {
            Some(next) => marker = Some(next.to_owned()),
            None => break,
        }
    }
    for function in &functions {
        let count = seen.iter().filter(|name| **name == function.name).count();
        assert_eq!(count, 1, "{} in {seen:?}", function.name);
    }
}

#[test]
fn an_account_s_settings_say_what_is_allowed_and_used() {
    let daemon = shared();
    let settings =
        daemon.api("GET", "/2016-08-19/account-settings", &Value::Null).expect(200).json();
    assert_eq!(settings["AccountLimit"]["ConcurrentExecutions"], 1000);
    assert_eq!(settings["AccountLimit"]["CodeSizeUnzipped"], 262_144_000);
    assert!(settings["AccountUsage"]["FunctionCount"].is_u64(), "{settings}");
}

#[test]
fn a_dry_run_of_an_update_changes_nothing() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let before = function.get()["Configuration"].take();
    let package = Package::new().file("app.py", "handler = None\n").build();
    let zip = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, package);
    let body = json!({"ZipFile": zip, "DryRun": true});
    daemon.api("PUT", &function.path("code"), &body).expect(200);
    assert_eq!(function.get()["Configuration"], before);
}

#[test]
fn every_answer_names_its_request() {
    let daemon = shared();
    let mut seen = HashSet::new();
    for response in [
        daemon.api("GET", "/2015-03-31/functions", &Value::Null),
        daemon.api("GET", "/2015-03-31/functions/doesnotexist", &Value::Null),
        Request::new("GET", "/2015-03-31/functions").send(daemon.api),
        Request::new("GET", "/nothing/").send(daemon.http),
    ] {
        let id = response.header("x-amzn-requestid").unwrap_or_else(|| panic!("{response:?}"));
        assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
        assert!(seen.insert(id.to_owned()), "{id} was given twice");
    }
}

#[test]
fn health_is_told_to_whoever_asks_and_metrics_to_whoever_signs() {
    let daemon = shared();
    for path in ["/healthz", "/readyz"] {
        Request::new("GET", path).send(daemon.api).expect(200);
    }
    let ready = Request::new("GET", "/readyz").send(daemon.api).json();
    assert_eq!(ready["ready"], true);
    let runtimes = ready["runtimes"].as_array().expect("a list");
    assert!(runtimes.contains(&json!(crate::harness::setup::python_runtime())), "{ready}");
    let metrics = daemon.send(Request::new("GET", "/metrics")).expect(200).text();
    assert!(metrics.contains("# TYPE "), "{metrics}");
}
