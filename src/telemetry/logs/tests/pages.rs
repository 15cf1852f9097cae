//! Promises about reading in pages: nothing twice, nothing left out, in either direction.

use super::*;

/// Ten lines over several segments.
fn ten() -> Fixture {
    let logs = Fixture::with(Limits { segment_bytes: 150, ..Limits::default() });
    for number in 0..10 {
        logs.append_to(GROUP, "s", NOW + number, &number.to_string());
    }
    logs.store().flush();
    assert!(logs.files("log").len() >= 3);
    logs
}

fn read(logs: &Fixture, query: &Query<'_>) -> Vec<String> {
    texts(&logs.store().events(query).expect("the group is there"))
}

#[test]
fn forward_pages_join_without_a_seam() {
    let logs = ten();
    for limit in 1..12 {
        let mut query = Query { limit, ..Query::of(GROUP) };
        let mut all = Vec::new();
        loop {
            let page = logs.store().events(&query).expect("the group is there");
            assert!(page.events.len() <= limit);
            all.extend(texts(&page));
            query.start = Some(page.next);
            if !page.more {
                break;
            }
        }
        assert_eq!(all.concat(), "0123456789", "limit {limit}");
    }
}

#[test]
fn backward_pages_begin_at_the_newest_and_are_in_order_themselves() {
    let logs = ten();
    for limit in 1..12 {
        let mut query = Query { limit, direction: Direction::Backward, ..Query::of(GROUP) };
        let mut all = String::new();
        loop {
            let page = logs.store().events(&query).expect("the group is there");
            assert!(page.events.len() <= limit);
            all.insert_str(0, &texts(&page).concat());
            query.start = Some(page.next);
            if !page.more {
                break;
            }
        }
        assert_eq!(all, "0123456789", "limit {limit}");
    }
}

#[test]
fn a_page_can_be_left_in_the_other_direction() {
    let logs = ten();
    let newest = Query { limit: 3, direction: Direction::Backward, ..Query::of(GROUP) };
    let page = logs.store().events(&newest).expect("the group is there");
    assert_eq!(texts(&page), ["7", "8", "9"]);
    logs.append("after");
    logs.store().flush();
    let onward = Query { start: Some(page.opposite), ..Query::of(GROUP) };
    assert_eq!(read(&logs, &onward), ["after"]);

    let oldest = logs.store().events(&Query { limit: 3, ..Query::of(GROUP) }).expect("there");
    let second = Query { limit: 3, start: Some(oldest.next), ..Query::of(GROUP) };
    let second = logs.store().events(&second).expect("there");
    let back =
        Query { start: Some(second.opposite), direction: Direction::Backward, ..Query::of(GROUP) };
    assert_eq!(read(&logs, &back), ["0", "1", "2"]);
}

#[test]
fn whoever_follows_a_log_gets_each_line_once() {
    let logs = ten();
    let mut query = Query::of(GROUP);
    let page = logs.store().events(&query).expect("the group is there");
    assert!(!page.more);
    query.start = Some(page.next);
    assert!(read(&logs, &query).is_empty());
    for number in 0..20 {
        logs.append(&format!("new {number}"));
        logs.store().flush();
        let page = logs.store().events(&query).expect("the group is there");
        assert_eq!(texts(&page), [format!("new {number}")]);
        query.start = Some(page.next);
    }
}

#[test]
fn a_follower_from_the_end_sees_what_comes() {
    let logs = ten();
    let query = Query { start: Some(Position::END), ..Query::of(GROUP) };
    let page = logs.store().events(&query).expect("the group is there");
    assert!(page.events.is_empty());
    logs.append("news");
    logs.store().flush();
    assert_eq!(read(&logs, &Query { start: Some(page.next), ..query }), ["news"]);
}

#[test]
fn times_are_from_inclusive_to_exclusive() {
    let logs = ten();
    let query = Query { from_ms: Some(NOW + 3), to_ms: Some(NOW + 6), ..Query::of(GROUP) };
    assert_eq!(read(&logs, &query), ["3", "4", "5"]);
    let query = Query { direction: Direction::Backward, limit: 2, ..query };
    assert_eq!(read(&logs, &query), ["4", "5"]);
    let none = Query { from_ms: Some(NOW + 10), ..Query::of(GROUP) };
    assert!(read(&logs, &none).is_empty());
}

#[test]
fn streams_are_chosen_by_name_or_prefix() {
    let logs = ten();
    logs.append_to(GROUP, "2026/a", NOW, "a");
    logs.append_to(GROUP, "2026/b", NOW, "b");
    logs.store().flush();
    let names = ["2026/b".to_owned(), "nobody".to_owned()];
    let by = |streams| read(&logs, &Query { streams, ..Query::of(GROUP) });
    assert_eq!(by(StreamFilter::Names(&names)), ["b"]);
    assert_eq!(by(StreamFilter::Prefix("2026/")), ["a", "b"]);
    assert!(by(StreamFilter::Names(&[])).is_empty());
}

#[test]
fn a_pattern_chooses_by_message_and_a_page_counts_only_hits() {
    let logs = ten();
    for number in 0..10 {
        logs.append(&format!("ERROR {number}"));
        logs.append("noise");
    }
    logs.store().flush();
    let pattern = FilterPattern::parse("ERROR").expect("a term");
    let query = Query { pattern: Some(&pattern), limit: 2, ..Query::of(GROUP) };
    assert_eq!(read(&logs, &query), ["ERROR 0", "ERROR 1"]);
    let query = Query { direction: Direction::Backward, ..query };
    assert_eq!(read(&logs, &query), ["ERROR 8", "ERROR 9"]);
}

#[test]
fn event_ids_are_unique_and_rise() {
    let logs = ten();
    let page = logs.store().events(&Query::of(GROUP)).expect("the group is there");
    assert!(page.events.windows(2).all(|pair| pair[0].id < pair[1].id));
}

#[test]
fn a_page_is_cut_at_a_mebibyte_but_never_empty() {
    let logs = Fixture::new();
    let line = "x".repeat(200 * 1024);
    for _ in 0..7 {
        logs.append(&line);
    }
    logs.store().flush();
    let query = Query::of(GROUP);
    let page = logs.store().events(&query).expect("the group is there");
    assert_eq!((page.events.len(), page.more), (5, true));
    let query = Query { start: Some(page.next), ..query };
    let page = logs.store().events(&query).expect("the group is there");
    assert_eq!((page.events.len(), page.more), (2, false));
    let backward = Query { direction: Direction::Backward, ..Query::of(GROUP) };
    let page = logs.store().events(&backward).expect("the group is there");
    assert_eq!((page.events.len(), page.more), (5, true));
}

#[test]
fn a_position_that_never_was_one_is_harmless() {
    let logs = ten();
    let all = logs.store().events(&Query::of(GROUP)).expect("the group is there");
    let segment = all.events[0].id.position().segment;
    for offset in 0..500 {
        let start = Some(Position { segment, offset });
        let rest = read(&logs, &Query { start, ..Query::of(GROUP) });
        assert!("0123456789".ends_with(&rest.concat()), "{offset}: {rest:?}");
        let query = Query { start, direction: Direction::Backward, ..Query::of(GROUP) };
        let before = read(&logs, &query);
        assert!("0123456789".starts_with(&before.concat()), "{offset}: {before:?}");
    }
}
