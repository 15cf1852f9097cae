//! What documents claim, held against the tests they name.
//!
//! A test is known by where it stands and what it is called: `isolation::files::a_function_…` is in
//! `tests/it/isolation/files.rs`, `spawner::lifecycle::…` in `src/spawner/tests/it/lifecycle.rs`,
//! `sandbox::plan::…` in `src/sandbox/plan/tests.rs`. Folders that every path has say nothing and are
//! left out.

use std::collections::BTreeSet;
use std::fs;

/// A test function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    /// `isolation::files::a_function_…`
    pub(crate) name: String,
    /// The file it is in, from the root.
    pub(crate) file: String,
}

// === impl Test ===

impl Test {
    /// Whether it runs our programs, as opposed to a function of theirs.
    pub(crate) fn runs_programs(&self) -> bool {
        self.file.starts_with("tests/") || self.file.contains("/tests/it/")
    }
}

/// Every test in Rust files.
pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (file, source) in crate::sources() {
        if !file.ends_with(".rs") {
            continue;
        }
        let module = module_of(file);
        let mut marked = false;
        for line in source.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            }
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(rest) = function.filter(|_| marked) {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                tests.push(Test { name: format!("{module}::{name}"), file: file.clone() });
                marked = false;
            }
        }
    }
    tests
}

/// `tests/it/isolation/files.rs` → `isolation::files`.
fn module_of(file: &str) -> String {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let telling = |part: &&str| !["src", "tests", "it", "main"].contains(part);
    path.split('/').filter(telling).collect::<Vec<_>>().join("::")
}

/// What stands in backticks.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether something in backticks means a test: `module::sentence_with_underscores`.
pub(crate) fn means_a_test(quoted: &str) -> bool {
    let Some((module, test)) = quoted.rsplit_once("::") else { return false };
    let word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == ':');
    word(module) && test.matches('_').count() >= 3
}

/// A row of the table is `| operation | done | … `test_name` … |`.
#[test]
fn every_operation_said_to_be_done_names_the_test_that_shows_it() {
    let Ok(document) = fs::read_to_string(crate::root().join("docs/compatibility.md")) else {
        return; // Nothing is claimed yet.
    };
    let tests = last_words(&tests());
    let mut unproven = Vec::new();
    for row in document.lines().filter(|line| line.trim_start().starts_with('|')) {
        if !row.split('|').any(|cell| cell.trim().eq_ignore_ascii_case("done")) {
            continue;
        }
        let shown = quoted(row).map(last_word);
        if !shown.into_iter().any(|name| tests.contains(name)) {
            unproven.push(row);
        }
    }
    assert!(unproven.is_empty(), "said to be done, but no test is named:\n{}", unproven.join("\n"));
}

/// Every test that a document names in backticks as `module::sentence_with_underscores` exists.
#[test]
fn tests_that_documents_name_exist() {
    let tests = last_words(&tests());
    let mut missing = Vec::new();
    for name in ["docs/security.md", "docs/compatibility.md"] {
        let Ok(document) = fs::read_to_string(crate::root().join(name)) else { continue };
        let named = quoted(&document).filter(|text| means_a_test(text));
        let absent = named.filter(|text| !tests.contains(last_word(text)));
        missing.extend(absent.map(|text| format!("{name}: {text}")));
    }
    assert!(missing.is_empty(), "named in a document, but not there:\n{}", missing.join("\n"));
}

/// Decisions have numbers without a gap, their own at the head of each, and a place in the architecture's list.
#[test]
fn every_decision_has_its_number_and_is_listed() {
    let folder = crate::root().join("docs/decisions");
    let entries = fs::read_dir(&folder).expect("there are decisions");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("it can be read").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    let map = fs::read_to_string(crate::root().join("docs/architecture.md")).expect("it is there");
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:04}-")), "{name} should be number {number}");
        let text = fs::read_to_string(folder.join(name)).expect("it can be read");
        let head = text.lines().next().unwrap_or_default();
        let title = head.strip_prefix(&format!("# {number}. "));
        let title = title.unwrap_or_else(|| panic!("{name} opens with {head:?}"));
        let entry = format!("\n{number}. [{title}](decisions/{name})\n");
        assert!(map.contains(&entry), "docs/architecture.md does not list {name}");
    }
}

/// Where documents lead to another file of ours, there is one.
#[test]
fn links_between_documents_lead_somewhere() {
    let documents = ["README.md", "docs"].map(|name| crate::root().join(name));
    let mut left = documents.to_vec();
    let mut broken = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("it can be read");
            left.extend(entries.map(|entry| entry.expect("it can be read").path()));
            continue;
        }
        let text = fs::read_to_string(&path).expect("it can be read");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let ours = targets.filter(|target| !target.contains("://") && !target.is_empty());
        let folder = path.parent().expect("it is in one");
        let lost = ours.filter(|target| !folder.join(target).exists());
        broken.extend(lost.map(|target| format!("{}: {target}", path.display())));
    }
    assert!(broken.is_empty(), "lead nowhere:\n{}", broken.join("\n"));
}

fn last_words(tests: &[Test]) -> BTreeSet<String> {
    tests.iter().map(|test| last_word(&test.name).to_owned()).collect()
}

fn last_word(name: &str) -> &str {
    name.rsplit("::").next().unwrap_or(name)
}
