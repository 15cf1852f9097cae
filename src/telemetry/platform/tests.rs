//! Promises about the platform's lines: each is compared with a recorded one, character by character.

use super::*;

const ID: &str = "8f507cfc-xmpl-4697-b07a-ac58fc914c95";

fn report(duration: Duration) -> Report<'static> {
    Report {
        request_id: ID,
        duration,
        memory_size_mib: 128,
        max_memory_mib: 36,
        init: None,
        restored: false,
    }
}

#[test]
fn a_stream_is_named_by_its_day_its_version_and_thirty_two_digits() {
    let random = [0x0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff];
    assert_eq!(
        stream_name(1_795_133_100_123, "$LATEST", random),
        "2026/11/20/[$LATEST]0f0102030405060708090a0b0c0d0eff"
    );
}

#[test]
fn a_start_of_an_instance_names_its_runtime() {
    assert_eq!(
        init_start("python:3.10.v11", "arn:aws:lambda:us-east-1::runtime:0", false),
        "INIT_START Runtime Version: python:3.10.v11\t\
         Runtime Version ARN: arn:aws:lambda:us-east-1::runtime:0\n"
    );
    assert_eq!(
        init_start("python:3.10.v11", "arn", true),
        "INIT_START Runtime Version: python:3.10.v11\tRuntime Version ARN: arn\t\
         Initialization Type: provisioned-concurrency\n"
    );
}

#[test]
fn an_invocation_is_framed_by_start_and_end() {
    assert_eq!(start(ID, "$LATEST"), format!("START RequestId: {ID} Version: $LATEST\n"));
    assert_eq!(end(ID), format!("END RequestId: {ID}\n"));
}

#[test]
fn a_warm_report_has_no_init_duration_and_ends_with_a_tab() {
    assert_eq!(
        report(Duration::from_micros(3_010)).line(),
        format!(
            "REPORT RequestId: {ID}\tDuration: 3.01 ms\tBilled Duration: 4 ms\t\
             Memory Size: 128 MB\tMax Memory Used: 36 MB\t\n"
        )
    );
}

#[test]
fn a_cold_report_has_the_init_duration_after_the_memory() {
    let cold = Report {
        init: Some(Duration::from_micros(110_100)),
        ..report(Duration::from_micros(3_010))
    };
    assert_eq!(
        cold.line(),
        format!(
            "REPORT RequestId: {ID}\tDuration: 3.01 ms\tBilled Duration: 4 ms\t\
             Memory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t\n"
        )
    );
}

#[test]
fn billing_rounds_up_to_whole_milliseconds_and_never_to_nothing() {
    let billed = |nanos| report(Duration::from_nanos(nanos)).billed_ms();
    assert_eq!(billed(0), 1);
    assert_eq!(billed(999_999), 1);
    assert_eq!(billed(1_000_000), 1);
    assert_eq!(billed(1_010_000), 2);
    assert_eq!(billed(3_000_000_000), 3_000);
}

#[test]
fn a_duration_that_prints_as_whole_is_billed_as_whole() {
    let report = report(Duration::from_nanos(3_004_000));
    assert!(report.line().contains("Duration: 3.00 ms\tBilled Duration: 3 ms\t"));
}

#[test]
fn a_timeout_says_when_which_and_after_how_long() {
    assert_eq!(
        timed_out(1_795_133_100_123, ID, Duration::from_secs(1)),
        format!("2026-11-20T00:05:00.123Z {ID} Task timed out after 1.00 seconds\n")
    );
}

#[test]
fn a_clock_beyond_every_calendar_is_no_reason_to_panic() {
    assert!(stream_name(u64::MAX, "1", [0; 16]).starts_with("9999/12/30/[1]"));
}

#[test]
fn a_sampled_trace_is_named_with_the_segment_that_the_function_is_in() {
    let (root, parent) = ("1-5e34a614-10bdec5f1fb44f07bc535a1f", "07f5aeab2d1f6f85");
    assert_eq!(
        traced(&format!("Root={root};Parent={parent};Sampled=1;Lineage=25:a87bd80c:1")),
        Some(format!("XRAY TraceId: {root}\tSegmentId: {parent}\tSampled: true\t\n"))
    );
    assert_eq!(
        traced(&format!("Sampled=1; Root={root}")),
        Some(format!("XRAY TraceId: {root}\tSampled: true\t\n"))
    );
    for unsampled in ["", "Sampled=1", &format!("Root={root};Parent={parent};Sampled=0"), root] {
        assert_eq!(traced(unsampled), None, "{unsampled}");
    }
}

#[test]
fn a_restored_instance_reports_its_restore_and_no_initialisation() {
    let init = Some(Duration::from_micros(12_340));
    let restored = Report { init, restored: true, ..report(Duration::from_millis(2)) };
    assert_eq!(
        restored.line(),
        format!(
            "REPORT RequestId: {ID}\tDuration: 2.00 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 36 MB\tRestore Duration: 12.34 ms\tBilled Restore Duration: 13 ms\t\n"
        )
    );
    assert_eq!(
        restore_start("python:3.11.v1", "arn:aws:lambda:us-east-1::runtime:ab"),
        "RESTORE_START Runtime Version: python:3.11.v1\tRuntime Version ARN: \
         arn:aws:lambda:us-east-1::runtime:ab\n"
    );
    assert_eq!(
        restore_report(Duration::from_micros(12_340)),
        "RESTORE_REPORT Restore Duration: 12.34 ms\n"
    );
}
