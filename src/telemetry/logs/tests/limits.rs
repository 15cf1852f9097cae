//! Promises about what is kept and what goes: each limit from both sides.

use super::*;

const HOUR: u64 = 60 * 60 * 1000;

/// Small segments: about nine lines of 100 bytes in each.
fn small() -> Limits {
    Limits { segment_bytes: 1_500, ..Limits::default() }
}

fn line(number: usize) -> String {
    format!("{number:0100}")
}

#[test]
fn a_group_below_its_limit_loses_nothing_and_one_above_loses_its_oldest() {
    let logs = Fixture::with(Limits { group_bytes: 10_000, ..small() });
    let mut number = 0;
    while logs.bytes_on_disk() < 8_000 {
        logs.append(&line(number));
        logs.store().flush();
        number += 1;
    }
    assert_eq!(logs.messages().len(), number);
    for _ in 0..200 {
        logs.append(&line(number));
        logs.store().flush();
        number += 1;
        assert!(logs.bytes_on_disk() <= 10_000);
    }
    let kept = logs.messages();
    assert!(kept.len() > 50, "{}", kept.len());
    assert_eq!(kept.last(), Some(&line(number - 1)));
    assert!(kept.is_sorted());
    assert_eq!(logs.store().groups("")[0].stored_bytes, logs.bytes_on_disk());
}

#[test]
fn a_group_limit_below_the_size_of_a_segment_still_keeps_the_newest_lines() {
    let logs = Fixture::with(Limits { group_bytes: 10_000, ..Limits::default() });
    for number in 0..500 {
        logs.append(&line(number));
        logs.store().flush();
    }
    let kept = logs.messages();
    assert!(kept.len() > 30, "{}", kept.len());
    assert_eq!(kept.last(), Some(&line(499)));
    assert!(logs.bytes_on_disk() <= 10_000);
}

#[test]
fn a_loud_group_pays_for_the_total_and_a_quiet_one_keeps_its_lines() {
    let logs = Fixture::with(Limits { total_bytes: 20_000, ..small() });
    logs.append_to("/quiet", STREAM, NOW, "precious");
    for number in 0..500 {
        logs.append_to("/loud", STREAM, NOW, &line(number));
        logs.append_to("/loud2", STREAM, NOW, &line(number));
    }
    logs.store().flush();
    assert!(logs.bytes_on_disk() <= 20_000);
    assert!(logs.bytes_on_disk() > 15_000);
    assert_eq!(logs.messages_of("/quiet"), ["precious"]);
    assert!(logs.messages_of("/loud").len() > 30);
    assert!(logs.messages_of("/loud2").len() > 30);
}

#[test]
fn many_small_groups_stay_below_the_total_too() {
    let logs = Fixture::with(Limits { total_bytes: 5_000, ..small() });
    for number in 0..100 {
        logs.bench.now_ms.store(NOW + number as u64, SeqCst);
        logs.append_to(&format!("/group/{number:03}"), STREAM, NOW, &line(number));
        logs.store().flush();
    }
    assert!(logs.bytes_on_disk() <= 5_000);
    assert_eq!(logs.messages_of("/group/099").len(), 1);
}

#[test]
fn an_event_is_shown_until_its_age_is_over_the_limit() {
    let day = Duration::from_secs(24 * 60 * 60);
    let logs = Fixture::with(Limits { max_age: day, ..Limits::default() });
    logs.append("old");
    logs.store().flush();
    logs.bench.now_ms.store(NOW + 24 * HOUR, SeqCst);
    logs.store().flush();
    assert_eq!(logs.messages(), ["old"]);
    assert_eq!(logs.files("log").len(), 1);
    logs.bench.now_ms.store(NOW + 24 * HOUR + 1_000, SeqCst);
    assert!(logs.messages().is_empty());
    assert!(logs.store().streams(GROUP, "").expect("the group is there").is_empty());
    logs.store().flush();
    assert!(logs.files("log").is_empty());
    assert_eq!(logs.store().groups("").len(), 1);
}

#[test]
fn a_group_that_prints_a_little_every_hour_does_not_keep_its_old_lines() {
    let day = Duration::from_secs(24 * 60 * 60);
    let logs = Fixture::with(Limits { max_age: day, ..Limits::default() });
    for hour in 0..100 {
        logs.bench.now_ms.store(NOW + hour * HOUR, SeqCst);
        logs.append_to(GROUP, STREAM, NOW + hour * HOUR, &hour.to_string());
        logs.store().flush();
    }
    assert_eq!(logs.messages().first().map(String::as_str), Some("75"));
    // An eighth of the limit to a segment: nine of them hold a day.
    assert!(logs.files("log").len() <= 9);
}

#[test]
fn what_is_too_old_at_the_start_goes_at_the_first_round() {
    let day = Duration::from_secs(24 * 60 * 60);
    let mut logs = Fixture::with(Limits { max_age: day, ..Limits::default() });
    logs.append("old");
    logs.close();
    logs.bench.now_ms.store(NOW + 48 * HOUR, SeqCst);
    logs.open();
    logs.store().flush();
    assert!(logs.files("log").is_empty());
    logs.append("new");
    logs.store().flush();
    assert_eq!(logs.messages(), ["new"]);
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let logs = Fixture::with(small());
    for number in 0..50 {
        logs.bench.now_ms.store(NOW - number as u64 * HOUR, SeqCst);
        logs.append(&line(number));
    }
    logs.store().flush();
    assert_eq!(logs.messages().len(), 50);
}

#[test]
fn an_almost_full_disk_is_left_alone_and_the_gap_is_said_when_there_is_room() {
    let logs = Fixture::with(Limits { min_free_bytes: 1_000, ..Limits::default() });
    logs.bench.free_bytes.store(1_000, SeqCst);
    logs.append("written");
    logs.store().flush();
    let before = logs.bytes_on_disk();
    logs.bench.free_bytes.store(999, SeqCst);
    for number in 0..5 {
        logs.append(&line(number));
    }
    logs.store().flush();
    assert_eq!(logs.bytes_on_disk(), before);
    logs.bench.free_bytes.store(1_000, SeqCst);
    logs.append("again");
    logs.store().flush();
    let lines = logs.messages();
    assert_eq!(lines[..2], ["written", "again"]);
    assert_eq!(
        lines[2..],
        ["[hearth] 5 lines were dropped: more was printed than could be written\n"]
    );
}

#[test]
fn a_flood_is_bounded_in_memory_and_on_disk_and_spares_its_neighbours() {
    let limits = Limits {
        group_bytes: 1 << 20,
        segment_bytes: 128 * 1024,
        queue_bytes: 256 * 1024,
        ..Limits::default()
    };
    let logs = Fixture::with(limits);
    let (loud, quiet): (Arc<str>, Arc<str>) = ("/loud".into(), "/quiet".into());
    let stream: Arc<str> = STREAM.into();
    let flood = [b'x'; 4_000];
    // 40 MB, as fast as they can be appended; the neighbour prints a line now and then.
    for number in 0..10_000 {
        logs.store().append(&loud, &stream, NOW, &flood);
        if number % 100 == 0 {
            logs.store().append(&quiet, &stream, NOW, b"still here");
        }
    }
    logs.store().flush();
    assert!(logs.bytes_on_disk() <= (1 << 20) + 100 * 1024);
    assert_eq!(logs.messages_of("/quiet").len(), 100);
    let notes: Vec<_> =
        logs.messages_of("/loud").into_iter().filter(|line| line.starts_with("[hearth]")).collect();
    assert!(notes.iter().all(|line| line.contains("dropped")), "{notes:?}");
}

#[test]
fn a_directory_that_cannot_be_written_costs_lines_and_nothing_else() {
    let logs = Fixture::new();
    // A file stands where the group's directory should be.
    let path = logs.dir.path().join(",aws,lambda,echo");
    std::fs::write(&path, "in the way").expect("writable");
    for number in 0..5 {
        logs.append(&line(number));
        logs.store().flush();
    }
    assert!(logs.messages().is_empty());
    std::fs::remove_file(&path).expect("it was there");
    logs.append("kept");
    logs.store().flush();
    let lines = logs.messages();
    assert_eq!(lines[0], "kept");
    assert_eq!(lines[1], "[hearth] 5 lines were dropped: more was printed than could be written\n");
}

#[test]
fn more_groups_than_may_be_open_are_written_all_the_same() {
    let logs = Fixture::new();
    for round in 0..3 {
        for number in 0..200 {
            logs.append_to(&format!("/group/{number}"), STREAM, NOW, &round.to_string());
        }
        logs.store().flush();
    }
    for number in 0..200 {
        assert_eq!(logs.messages_of(&format!("/group/{number}")), ["0", "1", "2"]);
    }
}
