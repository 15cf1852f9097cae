//! What callers are told, word for word.

use std::time::Duration;

use super::{Cause, Fault, init_status, oversize};
use crate::link::LinkError;
use crate::spawner::Ended;

const ID: &str = "8c2c2a4e-7a3b-4b0e-9d5c-0f1e2d3c4b5a";
const LIMIT: Duration = Duration::from_secs(1);

fn text(fault: &Fault) -> String {
    String::from_utf8(fault.document(ID).to_vec()).expect("text")
}

fn killed() -> Option<Ended> {
    Some(Ended { memory_kills: 1, peak_bytes: 0 })
}

#[test]
fn timeouts_are_reported_in_awss_words() {
    assert_eq!(
        text(&Fault::Timeout(LIMIT)),
        format!(
            "{{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"RequestId: {ID} Error: \
             Task timed out after 1.00 seconds\"}}"
        )
    );
}

#[test]
fn exits_are_told_apart_by_status_and_signal() {
    for (status, words) in [
        (0, "Runtime exited without providing a reason"),
        (1 << 8, "Runtime exited with error: exit status 1"),
        (127 << 8, "Runtime exited with error: exit status 127"),
        (9, "Runtime exited with error: signal: killed"),
        (11 | 0x80, "Runtime exited with error: signal: segmentation fault (core dumped)"),
        (6, "Runtime exited with error: signal: aborted"),
        (40, "Runtime exited with error: signal: signal 40"),
    ] {
        assert_eq!(
            text(&Fault::Exit(status)),
            format!(
                "{{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: {ID} \
                 Error: {words}\"}}"
            )
        );
    }
}

#[test]
fn a_kill_is_a_memory_kill_if_the_kernel_killed_for_memory() {
    assert_eq!(Cause::Exited(9).fault(killed(), LIMIT), Fault::OutOfMemory);
    assert_eq!(Cause::HungUp.fault(killed(), LIMIT), Fault::OutOfMemory);
    assert_eq!(Cause::Exited(9).fault(Some(Ended::default()), LIMIT), Fault::Exit(9));
    assert_eq!(Cause::Exited(9).fault(None, LIMIT), Fault::Exit(9));
    assert_eq!(
        text(&Fault::OutOfMemory),
        format!(
            "{{\"errorType\":\"Runtime.OutOfMemory\",\"errorMessage\":\"RequestId: {ID} Error: \
             Runtime exited with error: signal: killed\"}}"
        )
    );
}

#[test]
fn a_timeout_stays_one_whatever_else_happened_to_the_sandbox() {
    assert_eq!(Cause::TimedOut.fault(killed(), LIMIT), Fault::Timeout(LIMIT));
}

#[test]
fn oversize_answers_are_reported_in_awss_words() {
    assert_eq!(
        oversize(),
        "{\"errorMessage\":\"Response payload size exceeded maximum allowed payload size \
         (6291556 bytes).\",\"errorType\":\"Function.ResponseSizeTooLarge\"}"
    );
}

#[test]
fn what_a_program_is_called_cannot_break_the_document() {
    let fault = Fault::Entrypoint("fork/exec \"\\\n".to_owned());
    let expected = format!("RequestId: {ID} Error: fork/exec \\\"\\\\\\u000a\"}}");
    assert!(text(&fault).ends_with(&expected), "{}", text(&fault));
}

#[test]
fn report_lines_say_how_it_ended() {
    assert_eq!(Fault::Timeout(LIMIT).status(), "Status: timeout");
    assert_eq!(Fault::Exit(1).status(), "Status: error\tError Type: Runtime.ExitError");
    let protocol = Cause::Protocol(LinkError::TwoAnswers).fault(None, LIMIT);
    assert_eq!(protocol.status(), "Status: error\tError Type: Runtime.ProtocolError");
}

#[test]
fn an_init_errors_type_is_taken_from_its_document_if_it_has_the_form_of_one() {
    for (document, error_type) in [
        (r#"{"errorType": "Runtime.ImportModuleError"}"#, "Runtime.ImportModuleError"),
        (
            r#"{"errorMessage":"\"errorType\":\"Runtime.A\"","errorType":"Function.Bb"}"#,
            "Function.Bb",
        ),
        (r#"{"errorType":"KeyError"}"#, "Runtime.Unknown"),
        (r#"{"errorType":"Runtime.x\tStatus: success"}"#, "Runtime.Unknown"),
        (r#"{"errorType":"Runtime."}"#, "Runtime.Unknown"),
        (r#""errorType""#, "Runtime.Unknown"),
        ("", "Runtime.Unknown"),
    ] {
        let expected = format!("Status: error\tError Type: {error_type}");
        assert_eq!(init_status(document.as_bytes()), expected, "{document}");
    }
}
