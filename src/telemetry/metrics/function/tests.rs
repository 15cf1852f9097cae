//! Promises about what is shown of one function.

use super::*;

fn ms(numbers: impl IntoIterator<Item = u64>) -> Vec<Duration> {
    numbers.into_iter().map(Duration::from_millis).collect()
}

#[test]
fn quantiles_are_durations_that_were_seen() {
    assert_eq!(Quantiles::of(vec![]), Quantiles::default());
    assert_eq!(Quantiles::of(ms([7])).0.to_vec(), ms([7, 7, 7]));
    assert_eq!(Quantiles::of(ms([3, 1, 2])).0.to_vec(), ms([2, 3, 3]));
    assert_eq!(Quantiles::of(ms((1..=100).rev())).0.to_vec(), ms([50, 90, 99]));
}

#[test]
fn a_function_is_printed_with_its_name_on_every_sample() {
    let rung = RungStarts {
        rung: Start::Spare,
        count: 2,
        sum: Duration::from_micros(2_500),
        start: Quantiles::of(ms([1, 2])),
        phases: [Quantiles::default(); PHASES.len()],
    };
    let text = FunctionStarts { calls: 9, rungs: vec![rung] }.render("echo");
    for line in [
        "hearth_function_invocations_total{function=\"echo\"} 9",
        "hearth_function_start_seconds{function=\"echo\",rung=\"spare\",quantile=\"0.99\"} 0.002",
        "hearth_function_start_seconds_sum{function=\"echo\",rung=\"spare\"} 0.0025",
        "hearth_function_start_seconds_count{function=\"echo\",rung=\"spare\"} 2",
        "hearth_function_start_phase_seconds{function=\"echo\",rung=\"spare\",phase=\"init\",\
         quantile=\"0.5\"} 0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
    }
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let known = NAMES.iter().any(|name| line.starts_with(name));
        assert!(known && line.contains("{function=\"echo\""), "{line}");
    }
}

#[test]
fn a_function_that_was_never_started_has_no_times() {
    let text = FunctionStarts::default().render("echo");
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with("# ")).collect();
    assert_eq!(samples, ["hearth_function_invocations_total{function=\"echo\"} 0"]);
}
