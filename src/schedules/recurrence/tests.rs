//! Promises about instants: clocks that are put forward and back, rates, first and last dates.

use proptest::prelude::*;

use super::*;
use crate::expression::Dialect;

fn recurrence(expression: &str, zone_name: &str) -> Recurrence {
    Recurrence {
        expression: Expression::parse(expression, Dialect::Scheduler).expect("an expression"),
        zone: zone(Some(zone_name)).expect("a time zone"),
        anchor_ms: 0,
        start_ms: None,
        end_ms: None,
    }
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("an instant").as_millisecond()
}

/// The first instants after one, in UTC.
fn instants(recurrence: &Recurrence, after: &str, count: usize) -> Vec<String> {
    let mut after = ms(after);
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = recurrence.next(after) else { break };
        assert!(next > after, "instants increase");
        found.push(Timestamp::from_millisecond(next).unwrap().strftime("%d %H:%M").to_string());
        after = next;
    }
    found
}

#[test]
fn a_time_that_clocks_skip_is_skipped() {
    // Berlin, 28 March 2027: 02:00 CET is 03:00 CEST.
    let daily = recurrence("cron(30 2 * * ? *)", "Europe/Berlin");
    let found = instants(&daily, "2027-03-26T12:00:00Z", 3);
    assert_eq!(found, ["27 01:30", "29 00:30", "30 00:30"]);
    // Every half hour, nothing is missing: 01:30 CET is followed by 03:00 CEST.
    let often = recurrence("cron(0/30 * * * ? *)", "Europe/Berlin");
    let found = instants(&often, "2027-03-28T00:00:00Z", 3);
    assert_eq!(found, ["28 00:30", "28 01:00", "28 01:30"]);
    // A zone whose clocks skip midnight does not lose the day.
    let cairo = recurrence("cron(0 0,1,2 * * ? *)", "Africa/Cairo");
    let found = instants(&cairo, "2027-04-29T20:00:00Z", 3);
    assert_eq!(found, ["29 22:00", "29 23:00", "30 21:00"]);
}

#[test]
fn a_time_that_comes_twice_runs_once() {
    // New York, 7 November 2027: 02:00 EDT is 01:00 EST.
    let daily = recurrence("cron(30 1 * * ? *)", "America/New_York");
    let found = instants(&daily, "2027-11-06T12:00:00Z", 2);
    assert_eq!(found, ["07 05:30", "08 06:30"]);
    // From within the second of the two hours as well.
    assert_eq!(instants(&daily, "2027-11-07T06:10:00Z", 1), ["08 06:30"]);
    let hourly = recurrence("cron(0 * * * ? *)", "America/New_York");
    let found = instants(&hourly, "2027-11-07T04:30:00Z", 2);
    assert_eq!(found, ["07 05:00", "07 07:00"]);
}

#[test]
fn a_rate_counts_seconds_through_all_of_that() {
    let mut daily = recurrence("rate(1 day)", "Europe/Berlin");
    daily.anchor_ms = ms("2027-03-27T01:30:00Z");
    let found = instants(&daily, "2027-03-26T00:00:00Z", 3);
    assert_eq!(found, ["27 01:30", "28 01:30", "29 01:30"]);
}

#[test]
fn a_time_that_comes_once_comes_even_where_clocks_skip_it() {
    let gap = recurrence("at(2027-03-28T02:30:00)", "Europe/Berlin");
    assert_eq!(instants(&gap, "2027-01-01T00:00:00Z", 2), ["28 01:30"]);
    let fold = recurrence("at(2027-11-07T01:30:00)", "America/New_York");
    assert_eq!(instants(&fold, "2027-01-01T00:00:00Z", 2), ["07 05:30"]);
    assert!(fold.is_once() && !recurrence("rate(1 day)", "UTC").is_once());
}

#[test]
fn nothing_runs_before_the_first_date_or_after_the_last() {
    let mut hourly = recurrence("cron(0 * * * ? *)", "UTC");
    hourly.start_ms = Some(ms("2027-01-01T10:00:00Z"));
    hourly.end_ms = Some(ms("2027-01-01T12:00:00Z"));
    let found = instants(&hourly, "2026-01-01T00:00:00Z", 9);
    assert_eq!(found, ["01 10:00", "01 11:00", "01 12:00"]);

    let mut rate = recurrence("rate(1 hour)", "UTC");
    rate.anchor_ms = ms("2027-01-01T10:30:00Z");
    (rate.start_ms, rate.end_ms) = (hourly.start_ms, hourly.end_ms);
    assert_eq!(instants(&rate, "2026-01-01T00:00:00Z", 9), ["01 10:30", "01 11:30"]);

    // As AWS says, dates do not matter to what runs once.
    let mut once = recurrence("at(2027-01-01T13:00:00)", "UTC");
    (once.start_ms, once.end_ms) = (hourly.start_ms, hourly.end_ms);
    assert_eq!(instants(&once, "2026-01-01T00:00:00Z", 2), ["01 13:00"]);
}

#[test]
fn zones_go_by_their_names_in_the_database() {
    for name in
        ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata", "Etc/GMT+5"]
    {
        assert!(zone(Some(name)).is_some(), "{name}");
    }
    for name in ["", "Nowhere", "Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "UTC+3", "\0"]
    {
        assert!(zone(Some(name)).is_none(), "{name:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// In zones with changes of every kind: each instant shows a time that matches, none is shown
    /// twice, and a walk over every minute finds no other.
    #[test]
    fn instants_are_those_that_a_walk_over_every_minute_finds(
        zone_name in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe",
            "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns",
        ]),
        day in 0_i64..800,
        minutes in prop::sample::select(vec!["0", "30", "15,45", "0/7", "*"]),
        hours in prop::sample::select(vec!["*", "0-3", "1,2", "0/2", "23"]),
    ) {
        // From 2011 on: Samoa skipped a whole day at its end.
        let after = ms("2011-03-01T00:00:00Z") + day * 86_400_000;
        let recurrence = recurrence(&format!("cron({minutes} {hours} * * ? *)"), zone_name);
        let Expression::Cron(cron) = &recurrence.expression else { unreachable!() };
        let until = after + 3 * 86_400_000;
        let mut walked = Vec::new();
        let mut shown = std::collections::HashSet::new();
        // A day earlier, to have seen what comes twice for the first time.
        let mut at = after - 86_400_000;
        while at <= until {
            let time = Timestamp::from_millisecond(at).unwrap()
                .to_zoned(recurrence.zone.clone()).datetime();
            let is_first = shown.insert(time);
            if at > after && is_first && cron.next(time) == Some(time) {
                walked.push(at);
            }
            at += 60_000;
        }
        let mut found = Vec::new();
        let mut last = after;
        while let Some(next) = recurrence.next(last).filter(|next| *next <= until) {
            found.push(next);
            last = next;
        }
        prop_assert_eq!(found, walked);
    }
}
