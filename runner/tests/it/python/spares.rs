//! A function cannot tell how its process came to it.

use serde_json::{Value, json};

use super::{PREIMPORT, from_template, function_by};
use crate::instance::{Function, Way, event};

const SPARES: [Way; 2] = [Way::Ahead, Way::Template];

fn by(way: Way, handler: &str) -> Function {
    match way {
        Way::Template => from_template(&PREIMPORT, "", handler),
        other => function_by(other, "", handler),
    }
}

/// What a function says, whichever way it was started.
#[track_caller]
fn same(handler: &str, event: &Value) -> Value {
    // Not every machine has another, and Python says so in its environment.
    let said = |way| by(way, handler).with("LANG", "C.UTF-8").ready().call(&event.to_string());
    let expected = said(Way::Executed);
    for way in SPARES {
        let said = said(way);
        let differences: Vec<_> = match (said.as_object(), expected.as_object()) {
            (Some(said), Some(expected)) => said
                .iter()
                .filter(|(name, value)| expected.get(*name) != Some(value))
                .map(|(name, value)| format!("{name}: {value:.300}, not {:.300}", expected[name]))
                .collect(),
            _ => vec![said.to_string()],
        };
        assert!(said == expected, "{way:?} {event}: {differences:#?}");
    }
    expected
}

#[test]
fn being_warmed_up_leaves_nothing_that_a_function_could_see() {
    let seen = same("traces.everything", &json!({}));
    // Of that, what it would be hardest to notice.
    assert_eq!(seen["of the C library"][3], Value::Null, "the environment of the rehearsal");
    assert!(!seen["modules"].as_array().expect("a list").contains(&json!("gc")));
}

#[test]
fn what_was_imported_ahead_is_there_when_it_is_asked_for_and_no_more_than_that() {
    let mut said = Vec::new();
    for way in [Way::Executed, Way::Ahead, Way::Template] {
        let all = PREIMPORT.iter().chain(&["urllib", "concurrent", "email.utils", "html", "csv"]);
        let handler = by(way, "traces.imports");
        let all: Vec<_> = all.map(|name| handler.ready().call(&json!(name).to_string())).collect();
        said.push(all);
    }
    for (at, name) in PREIMPORT.iter().enumerate() {
        assert_eq!(said[0][at], said[1][at], "{name}, executed ahead");
        assert_eq!(said[0][at], said[2][at], "{name}, from a template");
    }
    assert!(said[0] == said[1] && said[0] == said[2], "another one");
}

#[test]
fn a_module_that_was_imported_ahead_is_found_where_it_lies() {
    for name in ["json", "ssl", "urllib.request"] {
        same("traces.looks", &json!(name));
    }
}

#[test]
fn nothing_random_is_what_the_template_had() {
    // The template of these tests has seeded everything with 7.
    let seeded = "import random; print(random.Random(7).getrandbits(64))";
    let python = std::process::Command::new("/usr/bin/python3").args(["-c", seeded]).output();
    let seeded = String::from_utf8(python.expect("Python runs").stdout).expect("text");
    let draw = || {
        let modules = ["random", "uuid", "tempfile", "multiprocessing", "ssl"];
        from_template(&modules, "", "traces.random")
            .ready()
            .call("{}")
            .as_object()
            .expect("an object")
            .clone()
    };
    let (one, other) = (draw(), draw());
    for name in ["random", "name", "key", "openssl", "uuid"] {
        assert_ne!(one[name], other[name], "{name}");
    }
    assert_ne!(one["random"].to_string(), seeded.trim());
    assert_eq!(one["node"], Value::Null, "asked for when it is needed");
}

#[test]
fn the_log_of_the_standard_library_begins_when_it_is_imported() {
    assert_eq!(same("traces.logging", &json!({})), json!([["LambdaLoggerHandler"], true, 30]));
}

#[test]
fn the_environment_is_the_functions_own_bytes_and_its_time_zone_is_in_force() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let bytes: Vec<u8> = (1..=255).chain(*b"==").collect();
    for way in [Way::Executed, Way::Ahead, Way::Template] {
        let function = by(way, "traces.own")
            .with("BYTES", OsString::from_vec(bytes.clone()))
            .with("EMPTY", "")
            .with("LONG", "x".repeat(60_000))
            .with("TZ", "TST-9");
        let seen = function.ready().call("{}");
        let expected = json!({
            "bytes": bytes, "of c": bytes, "empty": "", "long": 60_000, "hour": 9, "zone": "TST",
        });
        assert_eq!(seen, expected, "{way:?}");
    }
}

#[test]
fn a_spare_ends_with_its_link_and_with_anything_that_is_not_its_assignment() {
    for way in SPARES {
        let (status, log) = by(way, "traces.own").wait().close();
        assert!(status.success() && log.is_empty(), "{way:?}: {log}");
        let mut spare = by(way, "prints_early.handler").wait();
        spare.send(&event(b"{}"));
        assert_eq!(spare.frame(), None);
        let (status, log) = spare.finish();
        assert!(!status.success(), "{way:?}");
        assert!(log.contains("none for a spare") && !log.contains("early"), "{way:?}: {log}");
    }
}

#[test]
fn a_template_does_without_what_it_cannot_import() {
    let function = from_template(&["nowhere.to_be_found", "json"], "", "traces.imports");
    let mut instance = function.ready();
    assert!(
        instance.printed().contains("nowhere.to_be_found is not imported ahead of time: No mod")
    );
    let imported = instance.call("\"json\"");
    assert!(imported["new"].as_array().expect("a list").contains(&json!("json")), "{imported}");
}
