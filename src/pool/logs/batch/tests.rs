//! What goes into a batch, and in which pieces it comes out.

use super::{Batch, Entry, OUTPUT_LINES, Piece, SLICE_LINES, SLICE_TEXT, front};

#[test]
fn the_front_of_a_text_is_whole_lines_and_at_least_one() {
    assert_eq!(front(b"ab\ncd\nef\n", 2, 100), (2, 6));
    assert_eq!(front(b"ab\ncd\nef\n", 9, 4), (2, 6));
    assert_eq!(front(b"ab\ncd\nef\n", 9, 1), (1, 3));
    assert_eq!(front(b"abcd", 9, 9), (0, 0));
    assert_eq!(front(b"", 9, 9), (0, 0));
}

#[test]
fn lines_that_came_together_are_one_entry_and_come_out_in_slices() {
    let mut batch = Batch::default();
    let chunk = b"\n".repeat(SLICE_LINES);
    for _ in 0..4 {
        assert_eq!(batch.add_lines(&chunk, 7), chunk.len());
    }
    assert_eq!(batch.held(), (4 * SLICE_LINES, 4 * SLICE_LINES, 1));
    let lines: Vec<usize> = batch
        .pieces()
        .map(|piece| match piece {
            Piece::Lines { at_ms: 7, text, lines } if text.len() == lines => lines,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lines, [SLICE_LINES; 4]);
}

#[test]
fn a_line_longer_than_a_slice_comes_out_whole() {
    let mut batch = Batch::default();
    let mut line = vec![b'x'; 3 * SLICE_TEXT];
    line.push(b'\n');
    batch.add_lines(b"a\n", 1);
    batch.add_lines(&line, 1);
    batch.add_lines(b"b\n", 1);
    let text: usize = batch
        .pieces()
        .map(|piece| match piece {
            Piece::Lines { text, .. } if text.ends_with(b"\n") => text.len(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(text, line.len() + 4);
}

#[test]
fn output_leaves_room_for_the_platforms_lines() {
    let mut batch = Batch::default();
    let lines = b"\n".repeat(2 * OUTPUT_LINES);
    assert_eq!(batch.add_lines(&lines, 1), OUTPUT_LINES);
    assert_eq!(batch.add_lines(b"\n", 1), 0);
    assert!(batch.add_text(b"one more\n", 1));
    let request_id = model::RequestId::random();
    assert!(batch.add(Entry::Start { at_ms: 1, request_id }, 1));
}
