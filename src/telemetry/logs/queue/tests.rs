//! Promises about what waits in memory.

use super::*;

fn arc(text: &str) -> Arc<str> {
    text.into()
}

fn push(queue: &Queue, group: &str, stream: &str, timestamp_ms: u64, message: &[u8]) {
    queue.push(&arc(group), &arc(stream), timestamp_ms, 2, std::iter::once(message));
}

/// Pushes lines of 100 bytes until one is dropped; how many were admitted.
fn fill(queue: &Queue, group: &str) -> usize {
    let (group, stream) = (arc(group), arc("s"));
    let before = queue.lock().filling.entries.len();
    while !queue.lock().filling.dropped.0.contains_key(&(group.clone(), stream.clone())) {
        push(queue, &group, &stream, 1, &[b'x'; 100]);
    }
    queue.lock().filling.entries.len() - before
}

#[test]
fn lines_come_out_as_they_went_in() {
    let queue = Queue::new(1 << 20);
    push(&queue, "g", "s", 1, b"one");
    push(&queue, "h", "t", 3, b"");
    push(&queue, "g", "s", 5, b"three");
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
fn lines_that_come_together_are_lines_by_themselves_and_those_without_room_are_counted() {
    let together = Queue::new(1 << 14);
    let apart = Queue::new(1 << 14);
    let text = "some text\n\nand more\n".repeat(200);
    let lines = || text.as_bytes().split_inclusive(|byte| *byte == b'\n');
    together.push(&arc("g"), &arc("s"), 1, 2, lines());
    lines().for_each(|line| push(&apart, "g", "s", 1, line));
    let [mut a, mut b] = [together, apart].map(|queue| queue.take(Batch::default()).expect("open"));
    let texts = |batch: &Batch| batch.lines().map(|line| line.message.to_vec()).collect::<Vec<_>>();
    assert_eq!(texts(&a), texts(&b));
    assert!(texts(&a).len() > 50 && texts(&a).len() < 600, "{}", texts(&a).len());
    let missing = a.dropped.take()[0].count;
    assert_eq!(missing, b.dropped.take()[0].count);
    assert_eq!(missing as usize + texts(&a).len(), 600);
}

#[test]
fn a_flood_takes_half_of_a_batch_and_the_rest_is_counted() {
    let queue = Queue::new(1 << 20);
    let cost = size_of::<Entry>() + 100;
    let lines = fill(&queue, "loud");
    assert!((lines * cost).abs_diff(1 << 18) <= cost, "{lines} lines");
    for _ in 0..9 {
        push(&queue, "loud", "s", 1, &[b'x'; 100]);
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
    push(&queue, "quiet", "s", 1, b"a single line");
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
    push(&queue, "g", "s", 1, b"last");
    queue.close();
    push(&queue, "g", "s", 1, b"too late");
    let batch = queue.take(Batch::default()).expect("a line is left");
    assert_eq!(batch.lines().count(), 1);
    assert!(queue.take(batch).is_none());
}

#[test]
fn nobody_waits_for_a_writer_that_is_gone() {
    let queue = Queue::new(1 << 20);
    push(&queue, "g", "s", 1, b"never written");
    queue.abandon();
    queue.flush();
    queue.sync();
}
