//! Promises about what a scrape gets.

use std::collections::HashSet;
use std::time::Duration;

use super::*;

#[test]
fn a_counter_is_printed_under_its_name_with_help_and_type() {
    let metrics = Metrics::new();
    metrics.invocations.inc();
    metrics.invocations.add(2);
    assert!(metrics.render().starts_with(
        "# HELP hearth_invocations_total Invocations that were delivered to a function.\n\
         # TYPE hearth_invocations_total counter\n\
         hearth_invocations_total 3\n"
    ));
}

#[test]
fn every_value_of_a_label_has_a_series_from_the_start() {
    let metrics = Metrics::new();
    metrics.errors.of(ErrorClass::Timeout).inc();
    let text = metrics.render();
    assert!(text.contains("hearth_invocation_errors_total{class=\"timeout\"} 1\n"));
    assert!(text.contains("hearth_invocation_errors_total{class=\"crash\"} 0\n"));
    assert!(text.contains("hearth_instances{state=\"frozen\"} 0\n"));
}

#[test]
fn a_gauge_rises_and_falls_and_is_never_below_zero() {
    let metrics = Metrics::new();
    let idle = metrics.instances.of(InstanceState::Idle);
    idle.inc();
    idle.inc();
    idle.dec();
    assert_eq!(idle.get(), 1);
    idle.dec();
    idle.dec();
    assert_eq!(idle.get(), 0);
    idle.set(7);
    assert_eq!(idle.get(), 7);
}

#[test]
fn a_histogram_counts_a_duration_in_its_bucket_and_every_larger_one() {
    let metrics = Metrics::new();
    metrics.duration.observe(Duration::from_micros(100));
    metrics.duration.observe(Duration::from_micros(101));
    metrics.duration.observe(Duration::from_secs(1_000));
    let text = metrics.render();
    let bucket = |le: &str| format!("hearth_invocation_duration_seconds_bucket{{le=\"{le}\"}}");
    assert!(text.contains(&format!("{} 0\n", bucket("0.00005"))));
    assert!(text.contains(&format!("{} 1\n", bucket("0.0001"))));
    assert!(text.contains(&format!("{} 2\n", bucket("0.00025"))));
    assert!(text.contains(&format!("{} 2\n", bucket("900"))));
    assert!(text.contains(&format!("{} 3\n", bucket("+Inf"))));
    assert!(text.contains("hearth_invocation_duration_seconds_sum 1000.000201\n"));
    assert!(text.contains("hearth_invocation_duration_seconds_count 3\n"));
}

#[test]
fn names_are_unique_and_of_prometheus_form() {
    let mut seen = HashSet::new();
    for name in Metrics::NAMES {
        assert!(seen.insert(*name), "{name} stands twice in the list");
        assert!(name.starts_with("hearth_"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
    }
}

#[test]
fn every_line_is_a_comment_or_a_name_and_a_number() {
    for line in Metrics::new().render().lines() {
        if line.starts_with("# ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        assert!(series.starts_with("hearth_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}
