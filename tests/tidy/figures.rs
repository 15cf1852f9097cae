//! What `docs/benchmarks.md` shows is what the benchmark measures: every row, in a table that a reader
//! and a program can read.

use std::collections::BTreeSet;
use std::fs;

/// Columns of the table of figures.
const COLUMNS: usize = 8;

/// Names of the rows, as the benchmark's source lists them.
fn rows() -> Vec<String> {
    let source = fs::read_to_string(crate::root().join("benches/hearth/rows.rs"));
    let source = source.expect("there is a benchmark");
    let ids = source.split("Row { id: \"").skip(1);
    ids.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The lines of the table between two markers, without its head.
fn table(name: &str) -> Vec<Vec<String>> {
    let document = fs::read_to_string(crate::root().join("docs/benchmarks.md"));
    let document = document.expect("there is such a document");
    let [begin, end] = ["begin", "end"].map(|which| format!("<!-- {name}: {which} -->"));
    let (_, rest) = document.split_once(&begin).expect("the marker is there");
    let (between, _) = rest.split_once(&end).expect("and the other one");
    let lines = between.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.map(cells).collect()
}

#[test]
fn every_row_of_the_benchmark_has_figures_or_a_reason_in_its_document() {
    let shown = table("figures");
    assert!(shown.iter().all(|line| line.len() == COLUMNS), "{shown:#?}");
    for line in &shown {
        let counted = line[COLUMNS - 1].parse::<u64>();
        assert!(counted.is_ok_and(|count| (count == 0) == (line[1] == "–")), "{line:?}");
    }
    let shown: BTreeSet<_> = shown.iter().map(|line| &line[0]).collect();
    let missing: Vec<_> = rows().into_iter().filter(|row| !shown.contains(row)).collect();
    assert!(missing.is_empty(), "not in docs/benchmarks.md: {missing:?}");
}

#[test]
fn every_row_of_the_benchmark_is_explained_in_its_document() {
    let explained: Vec<_> = table("rows").into_iter().map(|line| line[0].clone()).collect();
    assert_eq!(explained, rows());
}
