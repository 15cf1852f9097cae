//! Promises about what waits in memory.

use super::*;

fn arc(text: &str) -> Arc<str> {
    text.into()
}

/// Pushes lines of 100 bytes until one is dropped; how many were admitted.
fn fill(queue: &Queue, group: &str) -> usize {
    let (group, stream) = (arc(group), arc("s"));
    let before = queue.lock().filling.entries.len();
    while !queue.lock().filling.dropped.0.contains_key(&(group.clone(), stream.clone())) {
        queue.push(&group, &stream, 1, 2, &[b'x'; 100]);
    }
    queue.lock().filling.entries.len() - before
}

#[test]
fn lines_come_out_as_they_went_in() {
    let queue = Queue::new(1 << 20);
    queue.push(&arc("g"), &arc("s"), 1, 2, b"one");
    queue.push(&arc("h"), &arc("t"), 3, 4, b"");
    queue.push(&arc("g"), &arc("s"), 5, 6, b"three");
    let batch = queue.take(Batch::default()).expect("the queue is open");
    let lines: Vec<_> = batch
        .lines()
        .map(|line| (&**line.group, &**line.stream, line.timestamp_ms, line.message))
        .collect();
    assert_eq!(
        lines,
        [("g", "s", 1, &b"one"[..]), ("h", "t", 3, &b""[..]), ("g", "s", 5, &b"three"[..])]
    );
}

#[test]
fn a_flood_takes_half_of_a_batch_and_the_rest_is_counted() {
    let queue = Queue::new(1 << 20);
    let cost = size_of::<Entry>() + 100;
    let lines = fill(&queue, "loud");
    assert!((lines * cost).abs_diff(1 << 18) <= cost, "{lines} lines");
    for _ in 0..9 {
        queue.push(&arc("loud"), &arc("s"), 1, 2, &[b'x'; 100]);
    }
    let mut batch = queue.take(Batch::default()).expect("the queue is open");
    assert_eq!(batch.lines().count(), lines);
    let missing = batch.dropped.take();
    assert_eq!((missing.len(), missing[0].count), (1, 10));
}

#[test]
fn floods_leave_room_for_a_group_that_was_silent() {
    let queue = Queue::new(1 << 20);
    for flood in 0..20 {
        fill(&queue, &format!("loud{flood}"));
    }
    queue.push(&arc("quiet"), &arc("s"), 1, 2, b"a single line");
    let state = queue.lock();
    assert!(state.filling.taken <= 1 << 19);
    assert!(!state.filling.dropped.0.contains_key(&(arc("quiet"), arc("s"))));
}

#[test]
fn memory_goes_back_after_a_flood() {
    let queue = Queue::new(16 << 20);
    fill(&queue, "loud");
    let mut batch = queue.take(Batch::default()).expect("the queue is open");
    assert!(batch.bytes.capacity() > 1 << 20);
    batch.clear();
    assert!(batch.bytes.capacity() <= KEEP);
    assert!(batch.entries.capacity() * size_of::<Entry>() <= KEEP);
}

#[test]
fn a_long_line_is_cut_between_characters_and_says_so() {
    let mut out = Vec::new();
    copy_cut(&mut out, "é".repeat(100).as_bytes(), 61);
    let text = String::from_utf8(out).expect("still text");
    assert!(text.len() <= 61);
    assert!(text.ends_with("é [cut: the line had 200 bytes]\n"), "{text}");

    let mut out = Vec::new();
    copy_cut(&mut out, &[0x80; 100], 61);
    assert_eq!(out, b" [cut: the line had 100 bytes]\n");

    let mut out = Vec::new();
    copy_cut(&mut out, &[b'x'; 61], 61);
    assert_eq!(out, [b'x'; 61]);
}

#[test]
fn streams_without_end_are_not_all_remembered() {
    let mut drops = Drops::default();
    for stream in 0..10 * MAX_REMEMBERED {
        drops.add(&arc("g"), &arc(&stream.to_string()), 1);
    }
    assert_eq!(drops.take().len(), MAX_REMEMBERED);
}

#[test]
fn a_closed_queue_gives_what_it_has_and_then_ends() {
    let queue = Queue::new(1 << 20);
    queue.push(&arc("g"), &arc("s"), 1, 2, b"last");
    queue.close();
    queue.push(&arc("g"), &arc("s"), 1, 2, b"too late");
    let batch = queue.take(Batch::default()).expect("a line is left");
    assert_eq!(batch.lines().count(), 1);
    assert!(queue.take(batch).is_none());
}

#[test]
fn nobody_waits_for_a_writer_that_is_gone() {
    let queue = Queue::new(1 << 20);
    queue.push(&arc("g"), &arc("s"), 1, 2, b"never written");
    queue.abandon();
    queue.flush();
    queue.sync();
}
