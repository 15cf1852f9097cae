//! The command line: every verb, its exit code, and what goes to which stream.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::package::dedent;
use crate::harness::tools::{hearth, run};
use crate::harness::{Daemon, Function, Request, setup, shared};

/// A project folder whose name is the function's.
struct Project {
    folder: TempDir,
    name: String,
}

// === impl Project ===

impl Project {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let project =
            Self { folder: tempfile::tempdir().expect("a temp dir"), name: name.to_owned() };
        fs::create_dir(project.folder.path().join(name)).expect("our own directory");
        for (file, content) in files {
            project.write(file, content);
        }
        project
    }

    fn python(name: &str, answer: &str) -> Self {
        let source = format!("def handler(event, context):\n    return [{answer}, event]\n");
        Self::new(name, &[("app.py", &source)])
    }

    fn write(&self, file: &str, content: &str) {
        let path = self.folder.path().join(&self.name).join(file);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("our own directory");
        fs::write(path, dedent(content)).expect("our own directory");
    }

    fn path(&self) -> String {
        self.folder.path().join(&self.name).display().to_string()
    }

    fn delete(&self, daemon: &Daemon) {
        let deleted = hearth(daemon, &["delete", &self.name], "").succeeded();
        assert_eq!(deleted.stdout, "", "a deletion has no result");
    }
}

#[test]
fn a_folder_is_deployed_called_described_listed_and_deleted() {
    let daemon = shared();
    let project = Project::python("cli-life", "'one'");
    let deployed = hearth(&daemon, &["deploy", &project.path()], "").succeeded();
    assert!(!deployed.stderr.is_empty(), "progress goes to standard error");

    let called = hearth(&daemon, &["invoke", "cli-life", "--data", r#"{"a":1}"#], "").succeeded();
    assert_eq!(called.stdout.trim(), r#"["one", {"a": 1}]"#);
    assert_eq!(called.stderr, "");

    let listed = hearth(&daemon, &["list"], "").succeeded();
    assert!(listed.stdout.lines().any(|line| line.starts_with("cli-life ")), "{listed:#?}");
    let listed = hearth(&daemon, &["list", "--output", "json"], "").json();
    let names =
        listed["Functions"].as_array().expect("a list").iter().map(|one| &one["FunctionName"]);
    assert!(names.into_iter().any(|name| name == "cli-life"), "{listed}");

    let described = hearth(&daemon, &["describe", "cli-life"], "").succeeded();
    assert!(described.stdout.contains("app.handler"), "{described:#?}");
    let described = hearth(&daemon, &["describe", "cli-life", "--output", "json"], "").json();
    assert_eq!(described["Configuration"]["Handler"], "app.handler");
    let [warm, started] = &described["Starts"]["Rungs"].as_array().expect("two rungs")[..] else {
        panic!("{described:#}");
    };
    assert_eq!(
        (&warm["Rung"], &warm["Count"], &started["Count"]),
        (&json!("warm"), &json!(0), &json!(1))
    );
    let took = |time: &Value| time.as_f64().expect("milliseconds");
    let (half, init) = (&started["StartMs"]["0.5"], &started["PhasesMs"]["init"]["0.5"]);
    assert!(took(half) >= took(init) && took(init) > 0.0, "{described:#}");
    for _ in 0..3 {
        hearth(&daemon, &["invoke", "cli-life"], "").succeeded();
    }
    let described = hearth(&daemon, &["describe", "cli-life"], "").succeeded();
    let shares = |rung: &str, share: &str| {
        described.stdout.lines().any(|line| line.starts_with(rung) && line.contains(share))
    };
    let rung = started["Rung"].as_str().expect("a word");
    assert!(shares("warm ", " 75.00 %") && shares(rung, " 25.00 %"), "{}", described.stdout);

    project.delete(&daemon);
    let gone = hearth(&daemon, &["describe", "cli-life"], "");
    assert_eq!((gone.code, gone.stdout.as_str()), (1, ""), "{gone:#?}");
    assert!(gone.stderr.contains("Function not found"), "{gone:#?}");
}

#[test]
fn deploying_again_changes_only_what_differs() {
    let daemon = shared();
    let project = Project::python("cli-again", "'one'");
    let deploy = |more: &[&str]| {
        hearth(&daemon, &[&["deploy", &project.path()], more].concat(), "").succeeded();
        hearth(&daemon, &["describe", "cli-again", "--output", "json"], "").json()["Configuration"]
            .take()
    };
    let first = deploy(&[]);
    let again = deploy(&[]);
    assert_eq!(first["RevisionId"], again["RevisionId"], "nothing differs, nothing is changed");

    let larger = deploy(&["--memory", "512", "--env", "ONE=1", "--env", "TWO=x=y"]);
    assert_eq!(larger["MemorySize"], 512);
    assert_eq!(larger["Environment"]["Variables"], json!({"ONE": "1", "TWO": "x=y"}));
    assert_eq!(larger["CodeSha256"], first["CodeSha256"]);
    let kept = deploy(&[]);
    assert_eq!(kept["MemorySize"], 512, "what is not mentioned stays");

    project.write("app.py", "def handler(event, context):\n    return 'two'\n");
    assert_ne!(deploy(&[])["CodeSha256"], first["CodeSha256"]);
    let called = hearth(&daemon, &["invoke", "cli-again"], "").succeeded();
    assert_eq!(called.stdout.trim(), "\"two\"");
    project.delete(&daemon);
}

#[test]
fn a_zip_is_deployed_as_it_is() {
    let daemon = shared();
    let project = Project::new("cli-zip", &[]);
    let zip = format!("{}/package.zip", project.path());
    let package = crate::harness::Package::new()
        .file("other.py", "def run(event, context):\n    return 'zipped'\n")
        .build();
    fs::write(&zip, package).expect("our own directory");
    let runtime = setup::python_runtime();
    let arguments =
        ["deploy", &zip, "--name", "cli-zip", "--runtime", runtime, "--handler", "other.run"];
    hearth(&daemon, &arguments, "").succeeded();
    let called = hearth(&daemon, &["invoke", "cli-zip"], "").succeeded();
    assert_eq!(called.stdout.trim(), "\"zipped\"");
    project.delete(&daemon);
}

#[test]
fn what_gitignore_names_is_not_deployed() {
    let daemon = shared();
    let project = Project::new(
        "cli-ignore",
        &[
            (
                "app.py",
                "import os\ndef handler(event, context):\n    return sorted(os.listdir('.'))\n",
            ),
            (".gitignore", "secret.txt\nbuild/\n"),
            ("secret.txt", "x"),
            ("build/out", "x"),
            ("kept.txt", "x"),
        ],
    );
    hearth(&daemon, &["deploy", &project.path()], "").succeeded();
    let called = hearth(&daemon, &["invoke", "cli-ignore"], "").json();
    let files = called.as_array().expect("a list");
    assert!(files.contains(&json!("kept.txt")), "{called}");
    for absent in ["secret.txt", "build"] {
        assert!(!files.contains(&json!(absent)), "{called}");
    }
    project.delete(&daemon);
}

#[test]
fn node_and_vendored_examples_deploy_as_they_stand() {
    let daemon = shared();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (name, event, answer) in [
        ("hello-python", r#"{"name":"Ada"}"#, "Hello, Ada!"),
        ("hello-node", r#"{"name":"Ada"}"#, "Hello, Ada!"),
        ("vendored-dependency", r#"{"name":"Ada","language":"fr"}"#, "Bonjour, Ada !"),
    ] {
        let folder = examples.join(name).display().to_string();
        let own = format!("cli-{name}");
        hearth(&daemon, &["deploy", &folder, "--name", &own], "").succeeded();
        let called = hearth(&daemon, &["invoke", &own, "--data", event], "").succeeded();
        assert!(called.stdout.contains(answer), "{called:#?}");
        hearth(&daemon, &["delete", &own], "").succeeded();
    }
}

#[test]
fn the_custom_runtime_example_is_zipped_and_deployed_as_its_readme_says() {
    let daemon = shared();
    let folder = tempfile::tempdir().expect("a temp dir");
    fs::copy(setup::custom_runtime(), folder.path().join("bootstrap")).expect("there is room");
    let mut zip = Command::new("/usr/bin/python3");
    zip.args(["-m", "zipfile", "-c", "greeting.zip", "bootstrap"]);
    run(zip.current_dir(folder.path()), "").succeeded();
    let package = folder.path().join("greeting.zip").display().to_string();
    let arguments =
        ["--name", "greeting", "--runtime", "provided.al2023", "--handler", "bootstrap"];
    hearth(&daemon, &[&["deploy", &package], &arguments[..]].concat(), "").succeeded();
    let called = hearth(&daemon, &["invoke", "greeting", "--data", r#"{"name":"Ada"}"#], "");
    assert_eq!(called.json()["message"], "Hello, Ada!");
    hearth(&daemon, &["delete", "greeting"], "").succeeded();
}

#[test]
fn an_event_comes_from_the_line_a_file_or_standard_input() {
    let daemon = shared();
    let function =
        Function::python("def handler(event, context):\n    return event\n").deploy(&daemon);
    let project = Project::new("cli-event", &[("event.json", "[2]")]);
    let file = format!("@{}/event.json", project.path());
    for (data, input, answer) in [("[1]", "", "[1]"), (&file, "", "[2]"), ("-", "[3]", "[3]")] {
        let called =
            hearth(&daemon, &["invoke", &function.name, "--data", data], input).succeeded();
        assert_eq!(called.stdout.trim(), answer);
    }
    let called = hearth(&daemon, &["invoke", &function.name], "").succeeded();
    assert_eq!(called.stdout.trim(), "{}");
}

#[test]
fn a_function_s_own_error_has_an_exit_code_of_its_own_and_its_log_goes_to_standard_error() {
    let daemon = shared();
    let source = "def handler(event, context):\n    print('a line')\n    raise KeyError('k')\n";
    let function = Function::python(source).deploy(&daemon);
    let called = hearth(&daemon, &["invoke", &function.name, "--log"], "");
    assert_eq!(called.code, 3, "{called:#?}");
    let document: Value = serde_json::from_str(&called.stdout).expect("the error document");
    assert_eq!(document["errorType"], "KeyError");
    assert!(called.stderr.contains("a line\n"), "{called:#?}");
    assert!(called.stderr.contains("REPORT RequestId: "), "{called:#?}");
    let quiet = hearth(&daemon, &["invoke", &function.name], "");
    assert!(!quiet.stderr.contains("a line"), "{quiet:#?}");
}

#[test]
fn what_fails_says_why_and_what_to_do() {
    let daemon = shared();
    let empty = Project::new("cli-empty", &[("notes.txt", "nothing to call")]);
    for (arguments, words) in [
        (vec!["invoke", "does-not-exist"], vec!["Function not found"]),
        (vec!["deploy", "/does/not/exist"], vec!["/does/not/exist"]),
        (vec!["deploy", &empty.path()], vec!["no handler", "--handler"]),
        (
            vec!["invoke", "x", "--endpoint", "http://127.0.0.1:1"],
            vec!["127.0.0.1:1", "hearth serve"],
        ),
        (vec!["logs", "x", "--since", "yesterday"], vec!["10m"]),
        (vec!["list", "--credentials", "/does/not/exist"], vec!["/does/not/exist"]),
    ] {
        let failed = hearth(&daemon, &arguments, "");
        assert_eq!((failed.code, failed.stdout.as_str()), (1, ""), "{arguments:?}: {failed:#?}");
        for word in words {
            assert!(failed.stderr.contains(word), "{word:?} is not said: {failed:#?}");
        }
    }
    let unread = hearth(&daemon, &["invoke"], "");
    assert_eq!((unread.code, unread.stdout.as_str()), (2, ""), "{unread:#?}");
}

#[test]
fn a_url_is_made_once_and_answers() {
    let daemon = shared();
    let project = Project::python("cli-url", "'over http'");
    hearth(&daemon, &["deploy", &project.path(), "--url"], "").succeeded();
    let url = hearth(&daemon, &["url", "cli-url"], "").succeeded().stdout;
    let again = hearth(&daemon, &["url", "cli-url", "--output", "json"], "").json();
    assert_eq!(again["FunctionUrl"], url.trim());
    let host = url.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let response = Request::new("GET", "/").header("host", &host).send(daemon.http).expect(200);
    assert!(response.text().starts_with("[\"over http\","), "{response:?}");
    project.delete(&daemon);
}

#[test]
fn logs_are_shown_filtered_and_as_json() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    print('said', event)\n")
        .deploy(&daemon);
    function.answer(&json!("one"));
    function.answer(&json!("two"));
    // What is shown is what has been written; that takes a moment.
    function.log_until("both reports are written", |lines| {
        lines.iter().filter(|line| line.starts_with("REPORT ")).count() == 2
    });
    let all = hearth(&daemon, &["logs", &function.name], "").succeeded();
    for line in ["START RequestId: ", "said one", "said two", "REPORT RequestId: "] {
        assert!(all.stdout.contains(line), "{all:#?}");
    }
    let some = hearth(&daemon, &["logs", &function.name, "--filter", "two"], "").succeeded();
    assert!(some.stdout.contains("said two") && !some.stdout.contains("said one"), "{some:#?}");
    let lines = hearth(&daemon, &["logs", &function.name, "--output", "json"], "").succeeded();
    for line in lines.stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("a document per line");
        assert!(event["message"].is_string() && event["timestamp"].is_u64(), "{event}");
    }
}

#[test]
fn doctor_checks_the_machine_and_prints_the_plan() {
    let daemon = shared();
    let checked = hearth(&daemon, &["doctor"], "");
    assert!(!checked.stdout.is_empty(), "{checked:#?}");
    for word in ["cgroup", "namespace", "python3"] {
        assert!(checked.stdout.contains(word), "{word} is not mentioned: {checked:#?}");
    }
    let facts = hearth(&daemon, &["doctor", "--output", "json"], "");
    let document: Value = serde_json::from_str(&facts.stdout).expect("one JSON document");
    assert!(document.is_object() || document.is_array(), "{document}");
    let plan = hearth(&daemon, &["doctor", "--plan"], "").succeeded();
    for step in ["pivot_root", "system-call filter", "/var/task", "no_new_privs"] {
        assert!(plan.stdout.contains(step), "{step} is not in the plan: {plan:#?}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let daemon = shared();
    for shell in ["bash", "zsh", "fish"] {
        let script = hearth(&daemon, &["completions", shell], "").succeeded();
        assert!(script.stdout.contains("hearth"), "{script:#?}");
        assert_eq!(script.stderr, "");
    }
}

#[test]
fn help_and_version_are_printed() {
    for (argument, word) in [("--help", "Usage: hearth"), ("--version", env!("CARGO_PKG_VERSION"))]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        let ran = run(command.arg(argument), "").succeeded();
        assert!(ran.stdout.contains(word), "{ran:#?}");
    }
}
