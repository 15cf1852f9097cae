//! `docs/security.md` and the tests hold each other.
//!
//! Every identifier stands in the page once, either under *Held*, with a test that runs our programs,
//! or under *Not promised*, with a reason; and every test of a wall is named by a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::documents::{Test, means_a_test, quoted, tests};

#[cfg(test)]
mod tests;

/// The identifiers of what is promised or not. Those between are about the control plane's interface.
fn identifiers() -> impl Iterator<Item = String> {
    (1..=64).chain(75..=78).map(|number| format!("A{number:02}"))
}

/// What the names of tests begin with that are about walls and nothing else: each belongs to a promise.
const WALLS: [&str; 2] = ["isolation::", "spawner::walls::"];

/// The page's rows.
#[derive(Debug, Default)]
struct Page<'a> {
    held: Vec<Row<'a>>,
    not_promised: Vec<Row<'a>>,
}

/// A row that begins with an identifier.
#[derive(Debug)]
struct Row<'a> {
    id: &'a str,
    /// The cells after it.
    cells: Vec<&'a str>,
}

// === impl Page ===

impl<'a> Page<'a> {
    /// Reads the rows of both sections; a row elsewhere is none.
    fn parse(text: &'a str) -> Self {
        let mut page = Self::default();
        let mut section = "";
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                section = heading.trim();
            }
            let Some(row) = Row::parse(line) else { continue };
            match section {
                "Held" => page.held.push(row),
                "Not promised" => page.not_promised.push(row),
                _ => {}
            }
        }
        page
    }

    /// Everything that is wrong with it, in sentences.
    fn objections(&self, tests: &[Test]) -> Vec<String> {
        let mut found = self.objections_to_identifiers();
        let by_name: BTreeMap<&str, &Test> =
            tests.iter().map(|test| (test.name.as_str(), test)).collect();
        let mut named = BTreeSet::new();
        for row in &self.held {
            found.extend(row.objections_to_cells(3));
            let shown_by: Vec<&str> = row.tests().collect();
            for name in shown_by.iter().filter(|name| !by_name.contains_key(*name)) {
                found.push(format!("{}: there is no test {name}", row.id));
            }
            let known = shown_by.iter().filter_map(|name| by_name.get(name));
            if !known.into_iter().any(|test| test.runs_programs()) {
                found.push(format!("{} is held by no test that runs our programs", row.id));
            }
            named.extend(shown_by);
        }
        for row in &self.not_promised {
            found.extend(row.objections_to_cells(2));
            named.extend(row.tests());
        }
        let about_walls = |test: &&Test| WALLS.iter().any(|start| test.name.starts_with(start));
        let unnamed =
            tests.iter().filter(about_walls).filter(|test| !named.contains(test.name.as_str()));
        found.extend(unnamed.map(|test| format!("no row names {}", test.name)));
        found
    }

    fn objections_to_identifiers(&self) -> Vec<String> {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for row in self.held.iter().chain(&self.not_promised) {
            *times.entry(row.id).or_default() += 1;
        }
        let mut found = Vec::new();
        for id in identifiers() {
            match times.remove(id.as_str()) {
                Some(1) => {}
                Some(more) => found.push(format!("{id} stands in {more} rows")),
                None => found.push(format!("{id} stands in no row")),
            }
        }
        found.extend(times.keys().map(|id| format!("{id} is no identifier of this page")));
        found
    }
}

// === impl Row ===

impl<'a> Row<'a> {
    /// `| A01 | … | … |`
    fn parse(line: &'a str) -> Option<Self> {
        let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let mut cells = inside.split('|').map(str::trim);
        let id = cells.next()?;
        let number = id.strip_prefix('A')?;
        let is_id = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
        is_id.then(|| Self { id, cells: cells.collect() })
    }

    /// The tests it names, in its last cell.
    fn tests(&self) -> impl Iterator<Item = &'a str> {
        let last = self.cells.last().copied().unwrap_or_default();
        quoted(last).filter(|text| means_a_test(text))
    }

    fn objections_to_cells(&self, wanted: usize) -> Vec<String> {
        let mut found = Vec::new();
        if self.cells.len() != wanted {
            found.push(format!("{} has {} cells, not {wanted}", self.id, self.cells.len()));
        }
        if self.cells.iter().any(|cell| cell.is_empty()) {
            found.push(format!("{} has an empty cell", self.id));
        }
        found
    }
}

#[test]
fn every_promise_is_held_by_a_test_or_not_promised_with_a_reason() {
    let text = fs::read_to_string(crate::root().join("docs/security.md")).expect("it is there");
    let objections = Page::parse(&text).objections(&tests());
    assert!(objections.is_empty(), "docs/security.md:\n{}", objections.join("\n"));
}
