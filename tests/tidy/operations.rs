//! Every operation of AWS's model has its place in `docs/compatibility.md`, and what is said there is
//! what the code does.
//!
//! A row may name several operations: `Put-, Get-, DeleteFunctionConcurrency` are three, and the `s` of
//! `ListTag(s)` is there where the model has it. What stands in brackets behind a name tells rows of one
//! operation apart: `Invoke (DryRun)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use lambda::Operation;

/// What a row says of its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At least in part.
    Served,
    /// With the reason.
    Refused,
}

/// The rows of the section on Lambda: names, state, and what it is shown by or why.
fn rows() -> Vec<[String; 3]> {
    let document = fs::read_to_string(crate::root().join("docs/compatibility.md"));
    let document = document.expect("there is such a document");
    let (_, section) = document.split_once("## Lambda (2015-03-31)").expect("and such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| -> [String; 3] {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|_| panic!("not three columns: {line}"))
    };
    lines.map(cells).collect()
}

/// The operations that a cell names, or what in it is none.
fn operations(cell: &str) -> Result<Vec<Operation>, String> {
    let of_name = |name: &str| Operation::all().find(|operation| operation.row().name == name);
    let find = |name: &str| {
        let plain = name.replace("(s)", "");
        let found = of_name(&plain).or_else(|| of_name(&format!("{plain}s")));
        found.ok_or_else(|| name.to_owned())
    };
    let names: Vec<&str> =
        cell.split(", ").map(|name| name.split(" (").next().unwrap_or(name)).collect();
    let mut found = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let Some(verb) = name.strip_suffix('-') else {
            found.push(find(name)?);
            continue;
        };
        let whole = names[at..].iter().find(|name| !name.ends_with('-')).ok_or(*name)?;
        let noun = whole.find(|c: char| c.is_ascii_uppercase()).map_or("", |first| {
            let rest = &whole[first + 1..];
            rest.find(|c: char| c.is_ascii_uppercase()).map_or("", |at| &rest[at..])
        });
        found.push(find(&format!("{verb}{noun}"))?);
    }
    Ok(found)
}

/// What the document says of every operation that it names.
fn documented() -> BTreeMap<Operation, State> {
    let mut documented = BTreeMap::new();
    for [names, state, shown] in rows() {
        let named = operations(&names).unwrap_or_else(|name| panic!("'{name}' is no operation"));
        let state = match state.split([',', ';', ':', ' ']).next().unwrap_or_default() {
            "done" | "partial" => State::Served,
            "not" | "refused" => {
                assert!(!shown.is_empty(), "{names}: {state}, and not why");
                State::Refused
            }
            other => panic!("{names}: '{other}' is no state"),
        };
        for operation in named {
            // One that is served in one way and not in another is served.
            let entry = documented.entry(operation).or_insert(state);
            if state == State::Served {
                *entry = state;
            }
        }
    }
    documented
}

/// The operations that the router does something about.
fn served() -> BTreeSet<Operation> {
    let router = fs::read_to_string(crate::root().join("src/api/router.rs")).expect("it is there");
    let (_, arms) = router.split_once("use Lambda as O;").expect("it matches operations");
    let (arms, _) = arms.split_once("unserved::answer").expect("and refuses all others");
    let names = arms
        .split("O::")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next());
    names.map(|name| operations(name).unwrap_or_else(|name| panic!("{name}"))[0]).collect()
}

#[test]
fn every_operation_of_the_model_is_in_the_document() {
    let documented = documented();
    let missing: Vec<_> =
        Operation::all().filter(|operation| !documented.contains_key(operation)).collect();
    assert!(missing.is_empty(), "not in docs/compatibility.md: {missing:?}");
}

#[test]
fn an_operation_is_said_to_be_done_exactly_where_the_code_does_it() {
    let served = served();
    assert!(served.contains(&Operation::Invoke), "{served:?}");
    for (operation, state) in documented() {
        let expected = if served.contains(&operation) { State::Served } else { State::Refused };
        assert_eq!(state, expected, "docs/compatibility.md on {operation}");
    }
}

#[test]
fn names_are_read_as_a_reader_reads_them() {
    let names =
        |cell: &str| operations(cell).map(|all| all.iter().map(ToString::to_string).collect());
    let expected: Vec<String> =
        ["PutFunctionConcurrency", "DeleteFunctionConcurrency"].map(str::to_owned).to_vec();
    assert_eq!(names("Put-, DeleteFunctionConcurrency"), Ok(expected));
    let expected: Vec<String> =
        ["GetProvisionedConcurrencyConfig", "ListProvisionedConcurrencyConfigs"]
            .map(str::to_owned)
            .to_vec();
    assert_eq!(names("Get-, ListProvisionedConcurrencyConfig(s)"), Ok(expected));
    assert_eq!(names("Invoke (DryRun)"), Ok(vec!["Invoke".to_owned()]));
    assert_eq!(names("Juggle-, GetFunction"), Err("JuggleFunction".to_owned()));
    assert_eq!(names("functions"), Err("functions".to_owned()));
}
