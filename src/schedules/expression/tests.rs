//! Promises about the three kinds of expression, and about their two readers.

use jiff::civil::date;

use super::*;

fn rule(text: &str) -> Option<Expression> {
    Expression::parse(text, Dialect::Rule)
}

fn scheduler(text: &str) -> Option<Expression> {
    Expression::parse(text, Dialect::Scheduler)
}

#[test]
fn a_rate_is_a_number_of_minutes_hours_or_days() {
    for (text, seconds) in [
        ("rate(1 minute)", 60),
        ("rate(5 minutes)", 300),
        ("rate(1 hour)", 3600),
        ("rate(12 hours)", 43_200),
        ("rate(1 day)", 86_400),
        ("rate(7 days)", 604_800),
    ] {
        assert_eq!(rule(text), Some(Expression::Rate(seconds)), "{text}");
        assert_eq!(scheduler(text), Some(Expression::Rate(seconds)), "{text}");
    }
}

#[test]
fn what_aws_refuses_in_both_is_refused_in_both() {
    let wrong = [
        // Recorded from AWS.
        "rate(10 seconds)",
        "rate(10 years)",
        "rate()",
        "rate(10)",
        "rate(10 minutess)",
        "rate(foo minutes)",
        "rate(0 minutes)",
        "rate(-10 minutes)",
        "rate( 10 minutes )",
        " rate(10 minutes)",
        // And its neighbours.
        "",
        "rate",
        "rate(10 minutes",
        "rate(10 minutes) ",
        "Rate(10 minutes)",
        "rate(10  minutes)",
        "rate(+1 minute)",
        "rate(1.5 hours)",
        "rate(100000000 days)",
        "rate(99999999999999999999 minutes)",
        "rate(1 minute",
        "every(1 minute)",
        "cron()",
        "cron(INVALID)",
        "(1 minute)",
    ];
    for text in wrong {
        assert_eq!(rule(text), None, "{text:?}");
        assert_eq!(scheduler(text), None, "{text:?}");
    }
    assert!(rule("rate(99999999 days)").is_some());
}

#[test]
fn rules_care_for_the_plural_and_the_scheduler_does_not() {
    // Recorded from AWS for rules; Terraform's documentation has the first for the scheduler.
    for text in [
        "rate(1 hours)",
        "rate(1 minutes)",
        "rate(1 days)",
        "rate(10 minute)",
        "rate(10 hour)",
        "rate(10 day)",
    ] {
        assert_eq!(rule(text), None, "{text:?}");
        assert!(scheduler(text).is_some(), "{text:?}");
    }
}

#[test]
fn a_time_that_comes_once_is_the_scheduler_s_alone() {
    let expected = Expression::At(date(2027, 11, 20).at(13, 5, 59, 0));
    assert_eq!(scheduler("at(2027-11-20T13:05:59)"), Some(expected));
    assert_eq!(rule("at(2027-11-20T13:05:59)"), None);
    for text in [
        // Recorded from AWS.
        "at(2021-12-31T23:59:59Z)",
        "at(2021-12-31)",
        // And their neighbours.
        "at(2021-12-31 23:59:59)",
        "at(2021-12-31T23:59)",
        "at(2021-12-31T23:59:59.5)",
        "at(2021-12-31T23:59:60)",
        "at(2021-12-31T24:00:00)",
        "at(2021-02-29T00:00:00)",
        "at(2021-13-01T00:00:00)",
        "at(+021-12-31T23:59:59)",
        "at(2021-12-31t23:59:59)",
        "at( 2021-12-31T23:59:59)",
        "at()",
    ] {
        assert_eq!(scheduler(text), None, "{text:?}");
    }
    assert!(scheduler("at(2024-02-29T00:00:00)").is_some());
}
