//! The check itself can fail, in each of the ways it is there for.

use super::{Page, identifiers};
use crate::documents::Test;

const WALL: &str = "isolation::walls::a_wall_stands_where_it_should";
const UNIT: &str = "sandbox::plan::a_plan_says_what_it_does";

fn known() -> Vec<Test> {
    let test = |name: &str, file: &str| Test { name: name.to_owned(), file: file.to_owned() };
    vec![test(WALL, "tests/it/isolation/walls.rs"), test(UNIT, "src/sandbox/plan/tests.rs")]
}

fn held(id: &str) -> String {
    format!("| {id} | nothing gets through | a wall | `{WALL}` |")
}

/// A page without fault: every identifier held but the last.
fn sound() -> String {
    let all: Vec<String> = identifiers().collect();
    let (last, others) = all.split_last().expect("there are some");
    let rows: Vec<String> = others.iter().map(|id| held(id)).collect();
    format!("## Held\n\n{}\n\n## Not promised\n\n| {last} | a thing | costs |\n", rows.join("\n"))
}

#[track_caller]
fn doctored(from: &str, to: &str) -> Vec<String> {
    let page = sound();
    assert!(page.contains(from), "{from} is there to be doctored");
    Page::parse(&page.replacen(from, to, 1)).objections(&known())
}

#[test]
fn a_page_without_fault_is_not_objected_to() {
    assert_eq!(Page::parse(&sound()).objections(&known()), Vec::<String>::new());
}

#[test]
fn a_promise_that_is_missing_is_noticed() {
    assert_eq!(doctored(&format!("{}\n", held("A12")), ""), ["A12 stands in no row"]);
}

#[test]
fn a_promise_that_is_there_twice_is_noticed() {
    let twice = format!("{}\n{}", held("A12"), held("A12"));
    assert_eq!(doctored(&held("A12"), &twice), ["A12 stands in 2 rows"]);
    let both = "## Not promised\n\n| A12 | a thing | costs |";
    assert_eq!(doctored("## Not promised", both), ["A12 stands in 2 rows"]);
}

#[test]
fn a_promise_nobody_knows_is_noticed() {
    let one_more = format!("{}\n{}", held("A12"), held("A99"));
    assert_eq!(doctored(&held("A12"), &one_more), ["A99 is no identifier of this page"]);
}

#[test]
fn a_promise_without_a_test_that_runs_something_is_noticed() {
    let bare = held("A12").replace(&format!("`{WALL}`"), "we looked");
    assert_eq!(doctored(&held("A12"), &bare), ["A12 is held by no test that runs our programs"]);
    let unit = held("A12").replace(WALL, UNIT);
    assert_eq!(doctored(&held("A12"), &unit), ["A12 is held by no test that runs our programs"]);
}

#[test]
fn a_test_that_is_not_there_or_somewhere_else_is_noticed() {
    let elsewhere = "isolation::doors::a_wall_stands_where_it_should";
    let row = held("A12").replace('`', "").replace(WALL, &format!("`{WALL}`, `{elsewhere}`"));
    assert_eq!(doctored(&held("A12"), &row), [format!("A12: there is no test {elsewhere}")]);
}

#[test]
fn an_isolation_test_that_no_row_names_is_noticed() {
    let mut tests = known();
    let name = "isolation::walls::another_wall_stands_as_well".to_owned();
    tests.push(Test { name: name.clone(), file: "tests/it/isolation/walls.rs".to_owned() });
    assert_eq!(Page::parse(&sound()).objections(&tests), [format!("no row names {name}")]);
}

#[test]
fn a_cell_too_few_or_without_words_is_noticed() {
    assert_eq!(doctored("| a thing | costs |", "| a thing |"), ["A78 has 1 cells, not 2"]);
    assert_eq!(doctored("| a thing | costs |", "| a thing | |"), ["A78 has an empty cell"]);
    assert_eq!(doctored("| a wall |", "| |"), ["A01 has an empty cell"]);
}

#[test]
fn rows_outside_of_the_two_sections_are_no_promises() {
    let moved = doctored("## Not promised", "## Wishes");
    assert_eq!(moved, ["A78 stands in no row"]);
}
