//! What is promised about making room.

use std::time::{Duration, Instant};

use super::{Marks, Slow, leavers};
use crate::connection::Order;

fn slow(pace: u64, since: Instant) -> Slow {
    Slow { order: Order::Cut, pace, since }
}

#[test]
fn room_is_made_from_seven_eighths_down_to_three_quarters() {
    let marks = Marks::of(4096);
    assert_eq!(marks.excess(3583, 0), 0);
    assert_eq!(marks.excess(3584, 0), 512);
    assert_eq!(marks.excess(4096, 0), 1024);
}

#[test]
fn those_that_were_asked_to_go_are_not_made_up_for_by_others() {
    let marks = Marks::of(4096);
    assert_eq!(marks.excess(4096, 1000), 24);
    assert_eq!(marks.excess(4096, 1024), 0);
    assert_eq!(marks.excess(4096, 4096), 0);
}

#[test]
fn a_small_listener_that_is_full_makes_room_for_one_and_one_with_a_place_left_for_none() {
    for connections in 1..=4 {
        let marks = Marks::of(connections);
        assert_eq!(marks.excess(connections, 0), 1, "{connections}");
        assert_eq!(marks.excess(connections - 1, 0), 0, "{connections}");
    }
}

#[test]
fn the_slowest_go_first_and_of_equals_those_that_have_been_at_it_longest() {
    let start = Instant::now();
    let later = start + Duration::from_secs(1);
    let all = [
        (slow(9_000, start), "a bad link"),
        (slow(0, later), "just fell silent"),
        (slow(1_200, start), "dribbles"),
        (slow(0, start), "has been silent"),
    ];
    let names = |most| -> Vec<&str> {
        let all = all.iter().map(|(how, name)| (*how, 0, *name)).collect();
        leavers(all, most, 0).into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(names(0), [""; 0]);
    assert_eq!(names(1), ["has been silent"]);
    assert_eq!(names(3), ["has been silent", "just fell silent", "dribbles"]);
    assert_eq!(names(9).len(), 4);
}

#[test]
fn who_waits_to_come_in_is_a_crowd_and_nobody_gives_back_more_than_there_is() {
    let marks = Marks::of(4096);
    assert_eq!(marks.shortage(3000, 0, 0), 0);
    assert_eq!(marks.shortage(3000, 1096, 0), 1024);
    assert_eq!(marks.shortage(3000, 1096, 1000), 24);
    assert_eq!(marks.shortage(100, 4096, 0), 100);
    assert_eq!(marks.shortage(0, 4096, 0), 0);
}

#[test]
fn room_for_answers_is_made_by_those_who_hold_some_and_no_more_of_them_than_needed() {
    let start = Instant::now();
    let all = vec![
        (slow(9, start), 600, "third"),
        (slow(0, start), 0, "holds nothing"),
        (slow(1, start), 600, "first"),
        (slow(5, start), 600, "second"),
    ];
    let names = |connections, bytes| -> Vec<&str> {
        leavers(all.clone(), connections, bytes).into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(names(0, 0), [""; 0]);
    assert_eq!(names(0, 600), ["first"]);
    assert_eq!(names(0, 601), ["first", "second"]);
    assert_eq!(names(0, 9_999), ["first", "second", "third"]);
    assert_eq!(names(2, 600), ["holds nothing", "first"], "one leaver serves both ends");
}
