//! How output becomes lines.

use std::time::Duration;

use model::RequestId;
use proptest::prelude::*;

use super::super::batch::{ENTRIES, End, LINES, Piece, TEXT};
use super::{LINE_LIMIT, Lines, TAIL};

/// Takes what there is: one text for each event of the log, or two for an answer.
fn texts(lines: &mut Lines) -> Vec<String> {
    let mut out = Vec::new();
    let batch = lines.take().unwrap_or_default();
    for piece in batch.pieces() {
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        match piece {
            Piece::Lines { text: all, lines, .. } => {
                let before = out.len();
                out.extend(all.split_inclusive(|byte| *byte == b'\n').map(text));
                assert_eq!(out.len(), before + lines);
            }
            Piece::Text { text: one, .. } => out.push(text(one)),
            Piece::Start { .. } => out.push("START".to_owned()),
            Piece::End { .. } => out.push("END".to_owned()),
        }
    }
    lines.written();
    out
}

fn end() -> End {
    let request_id = RequestId::random();
    End {
        request_id,
        duration: Duration::ZERO,
        init: None,
        restored: false,
        status: None,
        trace: None,
    }
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
    let told = "[hearth] log truncated: 100 bytes (0 lines) were dropped, more than a function may \
                print\n";
    assert_eq!(texts(&mut lines), ["before\n", "hal\n", told, "after\n"]);
    lines.drop_output(b"x");
    lines.end(end(), 1);
    let entries = texts(&mut lines);
    assert_eq!(entries.len(), 2);
    assert!(entries[0].contains("1 bytes (0 lines) were dropped"));
}

#[test]
fn nothing_is_taken_before_what_was_taken_is_written() {
    let mut lines = Lines::default();
    lines.output(b"one\n", 1);
    let first = lines.take().expect("a line");
    lines.output(b"two\n", 1);
    assert!(lines.take().is_none());
    assert_eq!(first.pieces().count(), 1);
    assert!(lines.written(), "there is more");
    assert_eq!(texts(&mut lines), ["two\n"]);
    assert!(!lines.written());
}

#[test]
fn an_event_of_the_platforms_stays_one_however_many_lines_it_has() {
    let mut lines = Lines::default();
    lines.output(b"a\nb\n", 1);
    lines.platform("Error: x\nRuntime.ExitError\n", 1);
    assert_eq!(texts(&mut lines), ["a\n", "b\n", "Error: x\nRuntime.ExitError\n"]);
}

/// Bytes that are held, and the lines that were told to be missing.
fn told(lines: &mut Lines) -> (usize, u64) {
    let texts = texts(lines);
    let missing = texts.iter().filter_map(|line| {
        let rest = line.strip_prefix("[hearth] log truncated: ")?;
        rest.split_once('(')?.1.split(' ').next()?.parse::<u64>().ok()
    });
    (texts.iter().filter(|line| !line.starts_with('[')).count(), missing.sum())
}

#[test]
fn what_is_held_is_bounded_in_bytes_lines_and_entries_whoever_prints_whatever() {
    let empty = b"\n".repeat(64 * 1024);
    let short = b"0123456789abcdef\n".repeat(4096);
    let long = vec![b'x'; 64 * 1024];
    for (name, output) in [("empty", &empty), ("short", &short), ("long", &long)] {
        let mut lines = Lines::default();
        for at_ms in 0..1_000 {
            lines.output(output, at_ms);
            lines.platform("a line of the platform's\n", at_ms);
            let (bytes, count, entries) = lines.batch.held();
            assert!(bytes <= TEXT && count <= LINES && entries <= ENTRIES, "{name}: {bytes}");
            assert!(lines.partial.len() <= LINE_LIMIT + output.len());
        }
        lines.written();
        assert!(lines.is_half_full());
    }
}

#[test]
fn what_finds_no_room_is_counted_and_one_line_says_how_many_lines_it_was() {
    let mut lines = Lines::default();
    let empty = b"\n".repeat(64 * 1024);
    for at_ms in 0..100 {
        lines.output(&empty, at_ms);
    }
    let (kept, missing) = told(&mut lines);
    assert_eq!(missing, 0, "the gap goes on");
    lines.output(b"", 100);
    let (_, missing) = told(&mut lines);
    assert_eq!(kept as u64 + missing, 100 * 64 * 1024);
}

#[test]
fn invocations_without_number_are_bounded_and_counted_like_output() {
    let mut lines = Lines::default();
    for at_ms in 0..10_000 {
        lines.start(RequestId::random(), at_ms);
        lines.end(end(), at_ms);
        assert!(lines.batch.held().2 <= ENTRIES);
    }
    let (kept, _) = told(&mut lines);
    lines.start(RequestId::random(), 1);
    let (_, missing) = told(&mut lines);
    // Of each two events there are three lines.
    let events = kept as u64;
    assert_eq!(events / 2 * 3 + missing, 30_000);
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
