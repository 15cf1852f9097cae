//! Code that is compiled when it is taken in: what instances find of it, and that it is never in the way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::package::dedent;
use crate::harness::{Daemon, Deployed, Function, Home, Options, Package, eventually, setup};

/// Says what it sees of itself, of a module and of what was compiled.
const LOOKS: &str = "
    import os
    import sys
    import traceback

    import library

    def tree(root):
        return sorted(os.path.join(at, name) for at, _, names in os.walk(root) for name in names)

    def handler(event, context):
        if 'write' in event:
            try:
                open(event['write'], 'w')
            except OSError as err:
                return err.strerror
        try:
            library.fail()
        except NameError:
            trace = traceback.format_exc()
        return {
            'task': tree('/var/task'),
            'compiled': tree('/var/lang/compiled'),
            'file': library.__file__,
            'cached': library.__cached__,
            'trace': trace,
            'by': library.__loader__.get_code.__code__.co_filename,
            'descriptors': sorted(os.listdir('/proc/self/fd')),
            'answer': library.answer(),
        }
    ";

/// A module that is worth compiling; `answer` is what its function of that name returns.
fn library(answer: &str) -> String {
    let text =
        format!("def fail():\n    return undefined\n\ndef answer():\n    return {answer:?}\n");
    let padding = "def unused():\n    return [value * 2 for value in range(10)]\n".repeat(80);
    format!("{text}{padding}")
}

fn package(answer: &str) -> Package {
    Package::new().file("app.py", dedent(LOOKS)).file("library.py", library(answer))
}

fn function(package: Package) -> Function {
    Function::new(setup::python_runtime(), "app.handler", package.build())
}

fn compilations(daemon: &Daemon, outcome: &str) -> u64 {
    let text = daemon.api("GET", "/metrics", &Value::Null).expect(200).text();
    let series = format!("hearth_compilations_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().expect("a number")
}

/// Everything in the store that was compiled.
fn packs(home: &Arc<Home>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![home.data().join("code/sha256")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("the store").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.components().any(|part| part.as_os_str() == "compiled") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_function_is_loaded_from_what_was_compiled_and_sees_nothing_of_it() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Options::default());
    let with = function(package("one")).deploy(&daemon);
    assert_eq!((compilations(&daemon, "kept"), compilations(&daemon, "failed")), (1, 0));
    let runtime = setup::python_runtime();
    let mut seen = with.answer(&json!({}));
    assert!(seen["by"].take().as_str().expect("a path").starts_with("/var/runtime/bootstrap"));
    assert_eq!(seen["compiled"].take(), json!([format!("/var/lang/compiled/{runtime}")]));
    assert_eq!(seen["task"], json!(["/var/task/app.py", "/var/task/library.py"]));
    assert_eq!(seen["answer"], "one");

    // An interpreter that is to warn compiles for itself; it is executed for its function.
    let warns = json!({"PYTHONWARNINGS": "default"});
    let without = function(package("one")).environment(warns.clone()).deploy(&daemon);
    let mut other = without.answer(&json!({}));
    assert!(other["by"].take().as_str().expect("a path").starts_with("<frozen"));
    other["compiled"].take();
    assert_eq!(seen, other);
    // The second had the same code, and the same was compiled of it.
    assert_eq!(compilations(&daemon, "kept"), 1);

    // Nobody writes there who runs in a sandbox.
    let path = format!("/var/lang/compiled/{runtime}");
    for place in [path.as_str(), "/var/lang/compiled/more"] {
        assert_eq!(with.answer(&json!({"write": place})), "Read-only file system");
    }

    // Other code, and what belongs to it.
    with.replace(&package("two").build());
    assert_eq!(with.answer(&json!({}))["answer"], "two");
    assert_eq!((compilations(&daemon, "kept"), packs(&home).len()), (2, 2));

    // It is there after a restart, and not compiled again.
    let name = with.keep();
    drop(without);
    daemon.stop();
    let daemon = Daemon::start_in(&home, &Options::default());
    let with = Deployed::existing(&daemon, &name);
    let seen = with.answer(&json!({}));
    assert!(seen["by"].as_str().expect("a path").starts_with("/var/runtime/bootstrap"));
    assert_eq!(seen["answer"], "two");
    assert_eq!(compilations(&daemon, "kept"), 0);
}

#[test]
fn code_that_does_not_compile_is_served_all_the_same() {
    let daemon = Daemon::start();
    // One module that is none, one that is too large to be compiled ahead of time, one as large as may be.
    let table = |bytes: usize| format!("X = [{}]\n", "[[1,],],".repeat(bytes / 8 - 1));
    let package = package("broken")
        .file("broken.py", "def f(:\n")
        .file("large.py", table(512 << 10))
        .file("larger.py", table(600 << 10));
    let function = function(package).deploy(&daemon);
    assert_eq!(function.answer(&json!({}))["answer"], "broken");
    assert_eq!((compilations(&daemon, "kept"), compilations(&daemon, "failed")), (1, 0));
}

#[test]
fn killed_while_it_compiles_the_daemon_leaves_nothing_half_made() {
    let home = Home::new();
    let mut daemon = Daemon::start_in(&home, &Options::default());
    // Large enough to be at it for a while.
    let many = (0..20).fold(package("whole"), |package, n| {
        package.file(&format!("more{n}.py"), library("more").repeat(20))
    });
    let function = function(many);
    function.create(&daemon).expect(201);
    let store = home.data().join("code/sha256");
    let drafts = || {
        let names = std::fs::read_dir(&store).expect("the store").flatten();
        names.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).count()
    };
    eventually("it compiles", Duration::from_secs(20), || (drafts() > 0).then_some(()));
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    assert_eq!(packs(&home), Vec::<PathBuf>::new());
    drop(daemon);

    // It is ready at once, and compiled after that.
    let daemon = Daemon::start_in(&home, &Options::default());
    let body = function.body();
    let name = body["FunctionName"].as_str().expect("a name");
    let function = Deployed::existing(&daemon, name);
    assert_eq!(function.answer(&json!({}))["answer"], "whole");
    eventually("it is compiled", Duration::from_secs(20), || {
        (compilations(&daemon, "kept") == 1).then_some(())
    });
    assert_eq!((packs(&home).len(), drafts()), (1, 0));
}

/// Says what Node has loaded it with, and what it finds of that.
const LOOKS_IN_NODE: &str = "
    const fs = require('fs');
    const Module = require('module');
    const { answer } = require('library');
    exports.handler = async () => ({
      answer: answer(),
      compiled: fs.readdirSync('/var/lang/compiled'),
      by: Module.prototype._compile.toString().includes('cachedData'),
      task: fs.readdirSync('/var/task', { recursive: true }).filter((name) => name.endsWith('.js')),
      cache: Object.keys(require.cache).filter((name) => !name.startsWith('/var/task')),
      descriptors: fs.readdirSync('/proc/self/fd').length,
      path: (await import('node:path')).sep,
    });
    ";

#[test]
fn a_function_in_node_is_loaded_from_what_was_compiled() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Options::default());
    let one = "exports.unused = (one) => [one].map((value) => value * 2);\n";
    // The handler imports a module when it runs, so it is not in the pack; the library is.
    let library = format!("exports.answer = () => 'one';\n{}", one.repeat((300 << 10) / one.len()));
    let deploy = |library: &str| {
        let package = Package::new()
            .file("index.js", dedent(LOOKS_IN_NODE))
            .file("node_modules/library/index.js", library);
        Function::new(&setup::node().runtime, "index.handler", package.build()).deploy(&daemon)
    };
    let with = deploy(&library);
    assert_eq!((compilations(&daemon, "kept"), compilations(&daemon, "failed")), (1, 0));
    assert!(std::fs::metadata(&packs(&home)[0]).expect("a pack").len() > 10_000);
    let mut seen = with.answer(&json!({}));
    assert_eq!(seen["by"].take(), true);
    assert_eq!(seen["compiled"].take(), json!([setup::node().runtime]));
    assert_eq!((&seen["answer"], &seen["path"]), (&json!("one"), &json!("/")));
    // Too little to be worth it.
    let mut other = deploy("exports.answer = () => 'one';\n").answer(&json!({}));
    assert_eq!((other["by"].take(), other["compiled"].take()), (json!(false), json!([])));
    assert_eq!(seen, other);
}
