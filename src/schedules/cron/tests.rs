//! Promises about cron expressions. What AWS takes and refuses was recorded from it where a comment
//! says so.

use jiff::civil::{Date, DateTime, date};
use proptest::prelude::*;

use super::*;

fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|| panic!("{text} is one"))
}

/// The first matches from the beginning of 2027, as text.
fn first(text: &str, count: usize) -> Vec<String> {
    let cron = cron(text);
    let mut from = date(2027, 1, 1).at(0, 0, 0, 0);
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = cron.next(from) else { break };
        found.push(next.strftime("%a %Y-%m-%d %H:%M").to_string());
        from = next + jiff::Span::new().minutes(1);
    }
    found
}

#[test]
fn the_examples_of_the_documentation_run_when_it_says() {
    assert_eq!(first("0 10 * * ? *", 2), ["Fri 2027-01-01 10:00", "Sat 2027-01-02 10:00"]);
    assert_eq!(first("15 12 * * ? *", 1), ["Fri 2027-01-01 12:15"]);
    assert_eq!(first("0 18 ? * MON-FRI *", 2), ["Fri 2027-01-01 18:00", "Mon 2027-01-04 18:00"]);
    assert_eq!(first("0 8 1 * ? *", 2), ["Fri 2027-01-01 08:00", "Mon 2027-02-01 08:00"]);
    assert_eq!(first("0/15 * * * ? *", 2), ["Fri 2027-01-01 00:00", "Fri 2027-01-01 00:15"]);
    assert_eq!(
        first("0/5 8-17 ? * MON-FRI *", 121)[119..],
        ["Fri 2027-01-01 17:55", "Mon 2027-01-04 08:00"]
    );
    assert_eq!(first("1/10 * * * ? *", 2), ["Fri 2027-01-01 00:01", "Fri 2027-01-01 00:11"]);
    // Taken by AWS, as users of another server report.
    assert_eq!(first("0-15/1 8-8 ? * 2,3 *", 1), ["Mon 2027-01-04 08:00"]);
}

#[test]
fn letters_of_the_fields_of_days_mean_what_quartz_says() {
    assert_eq!(first("0 0 L * ? *", 2), ["Sun 2027-01-31 00:00", "Sun 2027-02-28 00:00"]);
    assert_eq!(first("0 0 L-3 * ? *", 2), ["Thu 2027-01-28 00:00", "Thu 2027-02-25 00:00"]);
    // The 31st and the 28th are Sundays.
    assert_eq!(first("0 0 LW * ? *", 2), ["Fri 2027-01-29 00:00", "Fri 2027-02-26 00:00"]);
    assert_eq!(first("0 0 3W * ? *", 2), ["Mon 2027-01-04 00:00", "Wed 2027-02-03 00:00"]);
    // The first of May is a Saturday: not back into April.
    assert_eq!(first("0 0 1W 5 ? *", 1), ["Mon 2027-05-03 00:00"]);
    assert_eq!(first("0 0 ? * L *", 1), ["Sat 2027-01-02 00:00"]);
    assert_eq!(first("0 0 ? * 6L *", 2), ["Fri 2027-01-29 00:00", "Fri 2027-02-26 00:00"]);
    assert_eq!(first("0 0 ? * FRIL *", 1), ["Fri 2027-01-29 00:00"]);
    assert_eq!(first("0 0 ? * 3#2 *", 2), ["Tue 2027-01-12 00:00", "Tue 2027-02-09 00:00"]);
    assert_eq!(first("0 0 ? * tue#5 *", 2), ["Tue 2027-03-30 00:00", "Tue 2027-06-29 00:00"]);
    assert_eq!(
        first("0 0 ? * SAT-MON *", 3)[1..],
        ["Sun 2027-01-03 00:00", "Mon 2027-01-04 00:00"]
    );
    assert_eq!(first("0 22-1 1 1 ? 2027", 9).len(), 4);
}

#[test]
fn an_expression_without_a_time_left_says_so() {
    assert!(first("0 0 1 1 ? 1970-2026", 1).is_empty());
    assert!(first("0 0 30 2 ? *", 1).is_empty());
    assert_eq!(first("0 0 29 2 ? *", 2), ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]);
    assert_eq!(first("59 23 31 12 ? 2199", 2), ["Tue 2199-12-31 23:59"]);
    let end = date(2199, 12, 31).at(23, 59, 1, 0);
    assert_eq!(cron("* * * * ? *").next(end), None);
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    let wrong = [
        // Recorded from AWS.
        "0 1 * * * *",
        "7 20 * * NOT *",
        "INVALID",
        "0 dummy ? * MON-FRI *",
        "71 8 1 * ? *",
        "",
        "*/60 * * * ? *",
        "15 12 ? * -1 *",
        "0 10#2 * * ? *",
        // Fields: too few, too many, none of days, blanks around.
        "* * * * *",
        "0 10 * * ? * *",
        "* * ? * ? *",
        "* * 1 * 2 *",
        " 0 10 * * ? *",
        "0 10 * * ? * ",
        "0 10\n* * ? *",
        // Numbers: outside the field, on either side, and no numbers.
        "60 * * * ? *",
        "* 24 * * ? *",
        "* * 0 * ? *",
        "* * 32 * ? *",
        "* * * 0 ? *",
        "* * * 13 ? *",
        "* * ? * 0 *",
        "* * ? * 8 *",
        "* * * * ? 1969",
        "* * * * ? 2200",
        "+5 * * * ? *",
        "5.0 * * * ? *",
        "00005 * * * ? *",
        "٣ * * * ? *",
        // Lists, ranges and steps that are none.
        "1, * * * ? *",
        ",1 * * * ? *",
        "1,,2 * * * ? *",
        "1- * * * ? *",
        "-1 * * * ? *",
        "1-2-3 * * * ? *",
        "*-5 * * * ? *",
        "0/0 * * * ? *",
        "0/ * * * ? *",
        "/5 * * * ? *",
        "0/5/5 * * * ? *",
        "* 0/24 * * ? *",
        "* * * * ? 2030-2029",
        // Letters where they have no meaning, or not alone.
        "? * * * ? *",
        "L * * * ? *",
        "* * L,1 * ? *",
        "* * L-31 * ? *",
        "* * W * ? *",
        "* * 1-5W * ? *",
        "* * 32W * ? *",
        "* * * L ? *",
        "* * ? * 1#0 *",
        "* * ? * 1#6 *",
        "* * ? * #1 *",
        "* * ? * 3#1,6#3 *",
        "* * ? * 2W *",
        "* * ? * MONDAY *",
        "* * * JANUARY ? *",
    ];
    for text in wrong {
        assert_eq!(Cron::parse(text), None, "{text:?}");
    }
    // From the other side of each limit.
    for text in [
        "0,59 0,23 1,31 1,12 ? 1970,2199",
        "* * ? JAN-dec 1,7 *",
        "0/59 0/23 1/31 1/12 ? *",
        "* * L-30 * ? *",
        "* * 31W * ? *",
        "* * ? * SUN#1 *",
        "* * ? * 7#5 *",
        "0  10\t* * ? *",
    ] {
        assert!(Cron::parse(text).is_some(), "{text:?}");
    }
}

/// Any expression that is one, drawn field by field.
fn any_cron() -> impl Strategy<Value = String> {
    let field = |first: i16, last: i16| {
        let number = first..=last;
        let item = prop_oneof![
            3 => number.clone().prop_map(|n| n.to_string()),
            1 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{a}-{b}")),
            1 => (number.clone(), 1..=(last - first).min(20)).prop_map(|(a, s)| format!("{a}/{s}")),
        ];
        prop_oneof![
            2 => Just("*".to_owned()),
            3 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
        ]
    };
    let of_month = prop_oneof![
        4 => field(1, 31),
        1 => Just("L".to_owned()),
        1 => (0..=30).prop_map(|n| format!("L-{n}")),
        1 => (1..=31).prop_map(|n| format!("{n}W")),
        1 => Just("LW".to_owned()),
    ];
    let of_week = prop_oneof![
        4 => field(1, 7),
        1 => (1..=7).prop_map(|n| format!("{n}L")),
        1 => (1..=7, 1..=5).prop_map(|(day, nth)| format!("{day}#{nth}")),
    ];
    let days = prop_oneof![
        of_month.prop_map(|day| (day, "?".to_owned())),
        of_week.prop_map(|day| ("?".to_owned(), day)),
    ];
    let years = prop_oneof![Just("*".to_owned()), Just("2027-2029".to_owned())];
    (field(0, 59), field(0, 23), days, field(1, 12), years)
        .prop_map(|(m, h, (d, w), month, y)| format!("{m} {h} {d} {month} {w} {y}"))
}

/// Whether a field of numbers lets a number pass, straight from the text.
fn passes(field: &str, number: i16, first: i16, last: i16) -> bool {
    field.split(',').any(|item| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let step: i16 = step.parse().unwrap();
        let (from, to) = match range {
            "*" => (first, last),
            range => match range.split_once('-') {
                Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
                None if item.contains('/') => (range.parse().unwrap(), last),
                None => (range.parse().unwrap(), range.parse().unwrap()),
            },
        };
        let mut at: i16 = from;
        let end = if to < from { to + last - first + 1 } else { to };
        let mut hit = false;
        while at <= end {
            hit |= (at - first) % (last - first + 1) + first == number;
            at += step;
        }
        hit
    })
}

/// The same for the two fields of days, the slow way: by looking at the calendar day by day.
fn passes_days(of_month: &str, of_week: &str, day: Date) -> bool {
    let weekday = |date: Date| i16::from(date.weekday().to_sunday_zero_offset()) + 1;
    let last = day.last_of_month();
    let works = |date: Date| (2..=6).contains(&weekday(date));
    let before = |n: i64| last.checked_sub(jiff::Span::new().days(n)).unwrap();
    if of_week == "?" {
        if of_month == "LW" {
            let mut date = last;
            while !works(date) {
                date = date.yesterday().unwrap();
            }
            return date == day;
        }
        if let Some(rest) = of_month.strip_prefix('L') {
            let n = rest.strip_prefix('-').map_or(0, |n| n.parse().unwrap());
            return before(n) == day && before(n).month() == day.month();
        }
        if let Some(near) = of_month.strip_suffix('W') {
            let near: i8 = near.parse().unwrap();
            let wanted = day.with().day(near.min(last.day())).build().unwrap();
            let days = (1..=last.day()).map(|n| day.with().day(n).build().unwrap());
            // The nearest; of two equally near, the one whose weekend it is: Saturdays go back.
            let best = days.filter(|date| works(*date)).min_by_key(|date| {
                let distance = (date.day() - wanted.day()).abs();
                let against = weekday(wanted) == 7 && date.day() > wanted.day()
                    || weekday(wanted) == 1 && date.day() < wanted.day();
                (distance, against)
            });
            return best == Some(day);
        }
        return passes(of_month, i16::from(day.day()), 1, 31);
    }
    if let Some((wanted, nth)) = of_week.split_once('#') {
        let (wanted, nth): (i16, i8) = (wanted.parse().unwrap(), nth.parse().unwrap());
        return weekday(day) == wanted && (day.day() - 1) / 7 + 1 == nth;
    }
    if let Some(wanted) = of_week.strip_suffix('L') {
        return weekday(day) == wanted.parse::<i16>().unwrap() && day.day() + 7 > last.day();
    }
    passes(of_week, weekday(day), 1, 7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The search by bits agrees with walking over the calendar, day by day and minute by minute.
    #[test]
    fn the_next_match_is_the_one_a_walk_over_the_calendar_finds(
        text in any_cron(),
        start in 0_i64..(3 * 366 * 24 * 60),
    ) {
        let from: DateTime = date(2027, 1, 1).at(0, 0, 0, 0) + jiff::Span::new().minutes(start);
        let fields: Vec<&str> = text.split(' ').collect();
        let mut walked = None;
        let mut day = from.date();
        for _ in 0..200 {
            let fits = passes(fields[3], i16::from(day.month()), 1, 12)
                && passes_days(fields[2], fields[4], day)
                && (fields[5] == "*" || (2027..=2029).contains(&day.year()));
            if fits {
                let times = (0..24).flat_map(|h| (0..60).map(move |m| day.at(h, m, 0, 0)));
                walked = times.into_iter().find(|time| {
                    *time >= from
                        && passes(fields[1], i16::from(time.hour()), 0, 23)
                        && passes(fields[0], i16::from(time.minute()), 0, 59)
                });
            }
            if walked.is_some() {
                break;
            }
            day = day.tomorrow().unwrap();
        }
        let found = Cron::parse(&text).expect("drawn from what is one").next(from);
        match walked {
            Some(_) => prop_assert_eq!(found, walked, "{}", text),
            None => prop_assert!(found.is_none_or(|found| found.date() >= day), "{}", text),
        }
    }

    /// Whatever is written there, it is read or refused.
    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "[ -~]{0,40}|[0-9*/,#?LW -]{0,30}") {
        if let Some(cron) = Cron::parse(&text) {
            cron.next(date(2198, 12, 31).at(23, 59, 59, 0));
        }
    }
}
