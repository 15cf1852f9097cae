//! Promises about segments that are torn, flipped, cut, forged or full of something else.

use std::fs::{OpenOptions, read, write};
use std::os::unix::fs::FileExt;

use super::*;

/// A store of ten lines in one segment that was not ended in good order: there is no index.
fn crashed() -> (Fixture, PathBuf) {
    let mut logs = Fixture::new();
    for number in 0..10 {
        logs.append(&number.to_string());
    }
    logs.close();
    logs.remove_indexes();
    let path = logs.files("log").pop().expect("one segment");
    (logs, path)
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let (mut logs, path) = crashed();
    let whole = read(&path).expect("readable");
    let record = super::super::record::EVENT_OVERHEAD + 1;
    for missing in 1..2 * record {
        write(&path, &whole[..whole.len() - missing]).expect("writable");
        logs.open();
        let left = 10 - missing.div_ceil(record);
        assert_eq!(logs.messages().concat(), "0123456789"[..left], "{missing} bytes missing");
        logs.append("x");
        logs.store().flush();
        assert_eq!(logs.messages().len(), left + 1);
        logs.close();
        logs.remove_indexes();
    }
}

#[test]
fn a_tail_of_zeros_or_noise_is_cut_off() {
    for noise in [[0; 5_000], [0xa5; 5_000]] {
        let (mut logs, path) = crashed();
        let mut bytes = read(&path).expect("readable");
        let whole = bytes.len();
        bytes.extend_from_slice(&noise);
        write(&path, &bytes).expect("writable");
        logs.open();
        assert_eq!(logs.messages().concat(), "0123456789");
        assert_eq!(read(&path).expect("readable").len(), whole);
    }
}

#[test]
fn any_damaged_byte_costs_one_line_at_most_and_never_the_rest() {
    let (mut logs, path) = crashed();
    let whole = read(&path).expect("readable");
    for at in super::super::record::SEGMENT_HEADER..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        write(&path, &bytes).expect("writable");
        logs.open();
        let lines = logs.messages();
        // The announcement of the stream may be what is hit: then the lines are all there.
        assert!(lines.len() >= 9, "byte {at}: {lines:?}");
        assert!(lines.is_sorted());
        logs.close();
        logs.remove_indexes();
    }
}

#[test]
fn lines_whose_announcement_is_lost_are_still_shown() {
    let (mut logs, path) = crashed();
    let file = OpenOptions::new().write(true).open(&path).expect("writable");
    file.write_all_at(b"????", 40).expect("writable");
    logs.open();
    let page = logs.store().events(&Query::of(GROUP)).expect("the group is there");
    assert_eq!(texts(&page).concat(), "0123456789");
    assert!(page.events.iter().all(|event| &*event.stream == "(unknown)"));
}

#[test]
fn damage_in_a_running_store_is_passed_over_by_readers() {
    let logs = Fixture::new();
    for number in 0..10 {
        logs.append(&number.to_string());
    }
    logs.store().flush();
    let path = logs.files("log").pop().expect("one segment");
    let size = std::fs::metadata(&path).expect("there").len();
    let file = OpenOptions::new().write(true).open(&path).expect("writable");
    file.write_all_at(&[0xff; 60], size - 200).expect("writable");
    let lines = logs.messages();
    assert!((7..=8).contains(&lines.len()), "{lines:?}");
    file.set_len(size - 100).expect("writable");
    assert!(logs.messages().len() < lines.len());
    std::fs::remove_file(&path).expect("it was there");
    assert!(logs.messages().is_empty());
}

#[test]
fn a_length_beyond_every_limit_is_not_believed() {
    let (mut logs, path) = crashed();
    let mut bytes = read(&path).expect("readable");
    let marker: [u8; 4] = bytes[8..12].try_into().expect("four bytes");
    bytes.extend_from_slice(&marker);
    bytes.extend_from_slice(&[0xff; 8]);
    write(&path, &bytes).expect("writable");
    logs.open();
    assert_eq!(logs.messages().concat(), "0123456789");
}

#[test]
fn a_message_cannot_pass_for_a_record() {
    // The bytes of a real segment, printed by a function, inside a record that is then damaged: the
    // reader looks for markers in it, and must not find any.
    let (mut logs, path) = crashed();
    let forged = read(&path).expect("readable");
    logs.open();
    logs.store().append(&"/victim".into(), &STREAM.into(), NOW, &forged);
    logs.append_to("/victim", STREAM, NOW, "honest");
    logs.close();
    logs.remove_indexes();
    let victim = logs.files("log").into_iter().find(|file| *file != path).expect("a second one");
    let file = OpenOptions::new().write(true).open(&victim).expect("writable");
    let head = super::super::record::SEGMENT_HEADER + 13 + STREAM.len();
    file.write_all_at(b"??", head as u64 + 8).expect("writable");
    logs.open();
    assert_eq!(logs.messages_of("/victim"), ["honest"]);
}

#[test]
fn a_segment_with_a_damaged_header_goes_and_the_group_goes_on() {
    for size in [0, 10, 24] {
        let (mut logs, path) = crashed();
        write(&path, vec![b'?'; size]).expect("writable");
        logs.open();
        assert!(logs.messages().is_empty());
        logs.append("new");
        logs.store().flush();
        assert_eq!(logs.messages(), ["new"]);
    }
}

#[test]
fn a_segment_that_cannot_be_read_does_not_stop_the_start() {
    let (mut logs, path) = crashed();
    std::fs::remove_file(&path).expect("it was there");
    std::fs::create_dir(&path).expect("writable");
    logs.open();
    assert!(logs.messages().is_empty());
    logs.bench.now_ms.store(NOW + 1, SeqCst);
    logs.append("new");
    logs.store().flush();
    assert_eq!(logs.messages(), ["new"]);
    assert!(path.is_dir());
}

#[test]
fn a_damaged_or_missing_index_is_made_again() {
    let mut logs = Fixture::with(Limits { segment_bytes: 400, ..Limits::default() });
    for number in 0..20 {
        logs.append_to(GROUP, &format!("s{}", number % 3), NOW + number, &number.to_string());
    }
    logs.store().flush();
    let streams = |logs: &Fixture| logs.store().streams(GROUP, "").expect("the group is there");
    let expected = streams(&logs);
    assert_eq!(expected.len(), 3);
    let sealed = logs.files("idx");
    assert!(sealed.len() >= 2);
    write(&sealed[0], b"nonsense").expect("writable");
    std::fs::remove_file(&sealed[1]).expect("it was there");
    assert_eq!(streams(&logs), expected);
    logs.reopen();
    assert_eq!(streams(&logs), expected);
    assert_ne!(read(&sealed[0]).expect("readable"), b"nonsense");
    assert!(sealed[1].exists());
}

#[test]
fn an_index_that_says_too_much_or_too_little_is_not_believed() {
    let mut logs = Fixture::new();
    logs.append("1");
    logs.close();
    let index = logs.files("idx").pop().expect("a clean end leaves one");
    let short = read(&index).expect("readable");
    logs.open();
    logs.append("2");
    logs.close();
    let long = read(&index).expect("readable");
    write(&index, &short).expect("writable");
    logs.open();
    assert_eq!(logs.messages(), ["1", "2"]);
    logs.close();
    let path = logs.files("log").pop().expect("one segment");
    let file = OpenOptions::new().write(true).open(&path).expect("writable");
    let size = file.metadata().expect("there").len();
    file.set_len(size - 1).expect("writable");
    write(&index, &long).expect("writable");
    logs.open();
    assert_eq!(logs.messages(), ["1"]);
}

#[test]
fn files_that_are_not_ours_are_left_alone() {
    let mut logs = Fixture::new();
    logs.append("1");
    logs.close();
    let group = logs.files("log")[0].parent().expect("a directory").to_owned();
    let strangers = [logs.dir.path().join("README.txt"), group.join("notes"), group.join("00.log")];
    for path in &strangers {
        write(path, "mine").expect("writable");
    }
    std::fs::create_dir(logs.dir.path().join("lost+found.d")).expect("writable");
    logs.open();
    assert_eq!(logs.messages(), ["1"]);
    assert_eq!(logs.store().groups("").len(), 1);
    assert!(strangers.iter().all(|path| path.exists()));
}

#[test]
fn half_written_indexes_and_indexes_without_segments_are_swept() {
    let mut logs = Fixture::new();
    logs.append("1");
    logs.close();
    let group = logs.files("log")[0].parent().expect("a directory").to_owned();
    let left = [group.join("0000000000000001.idx"), group.join("0000000000000001.tmp")];
    for path in &left {
        write(path, "left over").expect("writable");
    }
    logs.open();
    assert!(left.iter().all(|path| !path.exists()));
}
