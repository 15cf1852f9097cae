//! How output becomes lines.

use std::time::Duration;

use model::RequestId;
use proptest::prelude::*;

use super::{End, Entry, LINE_LIMIT, Lines, TAIL};

fn texts(lines: &mut Lines) -> Vec<String> {
    let mut out = Vec::new();
    lines.take().each(|entry, line| {
        out.push(match entry {
            Entry::Text { .. } => String::from_utf8_lossy(line).into_owned(),
            Entry::Start { .. } => "START".to_owned(),
            Entry::End { .. } => "END".to_owned(),
        });
    });
    out
}

fn end() -> End {
    let request_id = RequestId::random();
    End { request_id, duration: Duration::ZERO, init: None, status: None }
}

#[test]
fn lines_are_put_together_from_whatever_pieces_they_come_in() {
    let mut lines = Lines::default();
    for piece in ["he", "llo\nwor", "ld\n\nx"] {
        lines.output(piece.as_bytes(), 1);
    }
    assert_eq!(texts(&mut lines), ["hello\n", "world\n", "\n"]);
    lines.output(b"y\n", 1);
    assert_eq!(texts(&mut lines), ["xy\n"]);
}

#[test]
fn output_stands_between_the_lines_of_its_invocation() {
    let mut lines = Lines::default();
    lines.start(RequestId::random(), 1);
    lines.output(b"no newline at the end", 1);
    lines.end(end(), 2);
    lines.start(RequestId::random(), 3);
    assert_eq!(texts(&mut lines), ["START", "no newline at the end\n", "END", "START"]);
}

#[test]
fn a_line_without_end_is_cut_into_events() {
    let mut lines = Lines::default();
    lines.output(&vec![b'a'; LINE_LIMIT * 2 + 10], 1);
    lines.output(b"\n", 1);
    let lengths: Vec<usize> = texts(&mut lines).iter().map(String::len).collect();
    assert_eq!(lengths, [LINE_LIMIT + 1, LINE_LIMIT + 1, 11]);
}

#[test]
fn what_is_dropped_is_told_once_where_it_is_missing() {
    let mut lines = Lines::default();
    lines.output(b"before\nhal", 1);
    lines.drop_output(&[b'x'; 70]);
    lines.drop_output(&[b'x'; 30]);
    lines.output(b"after\n", 1);
    let told = "[hearth] log truncated: 100 bytes were dropped, more than a function may print\n";
    assert_eq!(texts(&mut lines), ["before\n", "hal\n", told, "after\n"]);
    lines.drop_output(b"x");
    lines.end(end(), 1);
    let entries = texts(&mut lines);
    assert_eq!(entries.len(), 2);
    assert!(entries[0].contains("1 bytes were dropped"));
}

#[test]
fn a_tail_is_the_last_4_kib() {
    let mut lines = Lines::default();
    assert_eq!(lines.take_tail(), None);
    lines.want_tail();
    for number in 0..10_000 {
        lines.output(format!("line {number}\n").as_bytes(), 1);
    }
    let tail = lines.take_tail().expect("a tail");
    assert_eq!(tail.len(), TAIL);
    assert!(tail.ends_with(b"line 9998\nline 9999\n"));
    assert_eq!(lines.take_tail(), None);
}

proptest! {
    #[test]
    fn no_byte_is_lost_or_moved(pieces in prop::collection::vec("[ab\n]{0,12}", 0..12)) {
        let mut lines = Lines::default();
        for piece in &pieces {
            lines.output(piece.as_bytes(), 1);
        }
        lines.finish_output(1);
        let mut all = pieces.concat();
        if !all.is_empty() && !all.ends_with('\n') {
            all.push('\n');
        }
        let out = texts(&mut lines);
        prop_assert_eq!(out.concat(), all);
        prop_assert!(out.iter().all(|line| line.ends_with('\n')));
    }
}
