//! Events and results of every size and kind, and every way to give one.

use serde_json::{Value, json};
use wire::link::{Kind, MAX_EVENT, MAX_RESPONSE, MAX_SEQUENCE};

use super::function;
use crate::instance::{event, json};

#[test]
fn every_way_to_answer_answers() {
    let ways = ["echo", "plain", "promise", "thenable", "done", "succeed", "later"];
    for way in ways {
        let mut instance = function(&format!("answers.{way}")).ready();
        for round in 0..3 {
            assert_eq!(instance.call(&format!("[{round}]")), json!([round]), "{way}");
        }
    }
}

#[test]
fn a_handler_that_never_answers_answers_null_when_nothing_is_left_to_wait_for() {
    for handler in ["answers.never", "answers.returns"] {
        let mut instance = function(handler).ready();
        assert_eq!(instance.call("1"), Value::Null, "{handler}");
        assert_eq!(instance.call("2"), Value::Null, "{handler}");
    }
}

#[test]
fn only_the_first_of_several_answers_counts() {
    let mut instance = function("answers.twice").ready();
    for _ in 0..3 {
        assert_eq!(instance.call("1"), "first");
    }
    assert_eq!(function("answers.both").ready().call("1"), "called");
}

#[test]
fn an_answer_to_an_event_that_is_over_goes_nowhere() {
    let mut instance = function("answers.late").ready();
    assert_eq!(instance.call("1"), Value::Null, "it never answers");
    assert_eq!(instance.call("1"), Value::Null, "but answers the event before");
    assert_eq!(instance.call("\"answer\""), "in time");
    assert_eq!(instance.call("\"answer\""), "in time");
}

#[test]
fn a_callback_waits_until_the_event_loop_is_empty() {
    let mut instance = function("waiting.waits").ready();
    for _ in 0..2 {
        assert_eq!(instance.call("1"), true);
        assert_eq!(instance.printed(), "after the callback\n");
    }
}

#[test]
fn a_callback_that_need_not_wait_answers_at_once() {
    for handler in ["waiting.doesNotWait", "waiting.asyncDoesNotWait"] {
        let mut instance = function(handler).ready();
        for _ in 0..2 {
            instance.call("1");
        }
    }
    let mut instance = function("waiting.failsAtOnce").ready();
    assert_eq!(instance.fail("1")["errorMessage"], "at once");
}

#[test]
fn what_a_handler_leaves_running_runs_between_events() {
    let mut instance = function("waiting.ticks").ready();
    let begin = instance.call("\"start\"").as_u64();
    crate::supervised::eventually("timers run", || instance.call("1").as_u64() > begin);
}

#[test]
fn json_goes_in_and_comes_out() {
    let mut instance = function("answers.echo").ready();
    let texts = [
        "null",
        "true",
        "-12",
        "1.5",
        "\"\"",
        "[]",
        "{}",
        "[1,[2,[3]]]",
        "{\"a\":{\"b\":[null,false,\"c\"]},\"z\":\"\\\"\\\\\\n\\u0001\"}",
        "\"grüße 🙂\"",
    ];
    for text in texts {
        assert_eq!(instance.raw(text), text);
    }
    assert_eq!(instance.raw(" [ 1 ] \n"), "[1]");
}

#[test]
fn an_event_that_is_not_json_is_an_error_of_the_call() {
    let mut instance = function("answers.echo").ready();
    for text in ["", "{", "{'a': 1}", "1 2"] {
        assert_eq!(instance.fail(text)["errorType"], "SyntaxError", "{text}");
    }
    assert_eq!(instance.call("1"), 1, "it serves on");
}

#[test]
fn values_become_json_as_javascript_has_it() {
    let mut instance = function("answers.value").ready();
    for (name, expected) in [
        ("undefined", "null"),
        ("function", "null"),
        ("symbol", "null"),
        ("notANumber", "[null,null,null,null]"),
        ("date", "\"1970-01-01T00:00:00.000Z\""),
        ("map", "{}"),
        ("bytes", "{\"type\":\"Buffer\",\"data\":[97,98]}"),
        ("text", "\"grüße \u{2028} 🙂\""),
        ("half", "\"\\ud83d\""),
        ("toJSON", "{\"replaced\":true}"),
    ] {
        assert_eq!(instance.raw(&format!("\"{name}\"")), expected, "{name}");
    }
}

#[test]
fn values_without_json_are_errors_of_the_call() {
    for handler in ["answers.value", "answers.valueByCallback"] {
        let mut instance = function(handler).ready();
        for name in ["\"bigint\"", "\"circle\""] {
            let document = instance.fail(name);
            assert_eq!(document["errorType"], "Error", "{handler} {name}");
            assert_eq!(document["errorMessage"], "Unable to stringify response body");
        }
        assert_eq!(instance.call("\"undefined\""), Value::Null, "it serves on");
    }
}

#[test]
fn events_of_every_size_arrive_whole() {
    let mut instance = function("answers.length").ready();
    // Around what one read takes, with the header and the metadata in front of it.
    let sizes = (65_100..65_560).step_by(5).chain([0, 1, 1 << 17, 1 << 20, MAX_EVENT - 2]);
    for size in sizes {
        let payload = format!("\"{}\"", "x".repeat(size));
        assert_eq!(instance.call(&payload), size);
    }
}

#[test]
fn an_event_may_come_in_pieces() {
    let mut instance = function("answers.echo").watched().ready();
    for cut in [1, 5, 7, 8, 9, 20, 0] {
        let frame = instance.encode(&event(b"[1]"));
        let cut = if cut == 0 { frame.len() - 1 } else { cut };
        instance.deliver(&[&frame[..cut], &frame[cut..]]);
        assert_eq!(json(instance.frame().expect("an answer"), Kind::Response), json!([1]));
    }
    let frame = instance.encode(&event(b"[1]"));
    let bytes: Vec<_> = frame.chunks(1).collect();
    instance.deliver(&bytes);
    assert_eq!(json(instance.frame().expect("an answer"), Kind::Response), json!([1]));
}

#[test]
fn an_answer_of_every_kind_says_which_event_it_is_for() {
    let numbers = [1, 0xff, 0x100, 0x03_02_01, 0x80_00_00, MAX_SEQUENCE, 1];
    let mut instance = function("answers.size").ready();
    for number in numbers {
        assert_eq!(instance.invoke_as(number, &event(b"5")).0, Kind::Response);
        assert_eq!(instance.invoke_as(number, &event(b"not JSON")).0, Kind::Failed);
        let too_long = (MAX_RESPONSE + 1).to_string();
        assert_eq!(instance.invoke_as(number, &event(too_long.as_bytes())).0, Kind::Oversize);
    }
}

#[test]
fn a_result_of_the_limit_arrives_and_one_byte_more_is_only_measured() {
    let mut instance = function("answers.size").ready();
    for size in [2, 65_536, 1 << 20, MAX_RESPONSE] {
        assert_eq!(instance.raw(&size.to_string()).len(), size);
    }
    for size in [MAX_RESPONSE + 1, 3 * MAX_RESPONSE] {
        let answer = instance.invoke(&event(size.to_string().as_bytes()));
        assert_eq!(answer, (Kind::Oversize, (size as u64).to_le_bytes().to_vec()));
    }
    assert_eq!(instance.raw("3"), "\"x\"", "it serves on");
}

#[test]
fn an_instance_keeps_its_state_from_event_to_event() {
    let mut instance = function("answers.counts").ready();
    for count in 1..=1000 {
        assert_eq!(instance.call("{}"), count);
    }
}
