//! Events and results of every size and kind.

use serde_json::{Value, json};
use wire::link::{Kind, MAX_EVENT, MAX_RESPONSE, MAX_SEQUENCE};

use super::function;
use crate::instance::{event, json};

/// What a value of `answers.py` becomes, byte for byte.
#[track_caller]
fn becomes(name: &str, expected: &str) {
    let text = function("answers.value").ready().raw(&format!("\"{name}\""));
    assert_eq!(text, expected);
}

/// What is said about a value of `answers.py` that has no JSON.
#[track_caller]
fn refused(name: &str, reason: &str) {
    let mut instance = function("answers.value").ready();
    let document = instance.fail(&format!("\"{name}\""));
    assert_eq!(document["errorType"], "Runtime.MarshalError");
    assert_eq!(document["errorMessage"], format!("Unable to marshal response: {reason}"));
    assert_eq!(document["stackTrace"], json!([]));
    assert_eq!(instance.call("\"nothing\""), Value::Null, "it serves on");
}

#[test]
fn json_goes_in_and_comes_out() {
    let mut instance = function("answers.echo").ready();
    let texts = [
        "null",
        "true",
        "-12",
        "1.5",
        "1e+100",
        "\"\"",
        "[]",
        "{}",
        "[1, [2, [3]]]",
        "{\"a\": {\"b\": [null, false, \"c\"]}, \"1\": \"\\\"\\\\\\n\\u0001\"}",
        "123456789012345678901234567890",
        "\"grüße 🙂\"",
    ];
    for text in texts {
        assert_eq!(instance.raw(text), text);
    }
}

#[test]
fn white_space_around_an_event_is_allowed() {
    let mut instance = function("answers.echo").ready();
    for text in [" 1", "1 ", "\n\t{\"a\": 2}\r\n"] {
        assert_eq!(instance.call(text), serde_json::from_str::<Value>(text).expect("JSON"));
    }
}

#[test]
fn an_event_that_is_not_json_is_an_unmarshal_error() {
    let mut instance = function("answers.echo").ready();
    let cases = [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("1 2", "Extra data: line 1 column 3 (char 2)"),
        ("{'a': 1}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ];
    for (text, reason) in cases {
        let document = function("answers.echo").ready().fail(text);
        assert_eq!(document["errorType"], "Runtime.UnmarshalError", "{text}");
        assert_eq!(document["errorMessage"], format!("Unable to unmarshal input: {reason}"));
    }
    for payload in [b"\"\xff\"".as_slice(), b"NaN", b"[-Infinity]"] {
        let document = json(instance.invoke(&event(payload)), Kind::Failed);
        assert_eq!(document["errorType"], "Runtime.UnmarshalError");
    }
    assert_eq!(instance.call("1"), 1, "it serves on");
}

#[test]
fn text_beyond_ascii_is_escaped_where_aws_escapes_it() {
    let plain = "\"grüße \u{2028} 🙂\"";
    let escaped = "\"gr\\u00fc\\u00dfe \\u2028 \\ud83d\\ude42\"";
    for (environment, expected) in [
        ("AWS_Lambda_python3.9", escaped),
        ("AWS_Lambda_python3.11", escaped),
        ("AWS_Lambda_python3.12", plain),
        ("AWS_Lambda_python3.14", plain),
    ] {
        let function = function("answers.value").with("AWS_EXECUTION_ENV", environment);
        assert_eq!(function.ready().raw("\"text\""), expected, "{environment}");
    }
}

#[test]
fn half_a_surrogate_pair_is_answered_as_an_escape() {
    becomes("half", "\"\\ud83d\"");
}

#[test]
fn values_become_json_as_with_aws_client() {
    becomes("nothing", "null");
    becomes("numbers", "[1, -2.5, 1e+100, 1000000000000000000000000000000, true]");
    becomes("not_numbers", "[NaN, Infinity, -Infinity]");
    becomes("decimals", "[1.10, NaN, {\"deep\": 1E+5}]");
    becomes(
        "named",
        "[{\"x\": 1, \"y\": 2}, {\"pair\": {\"left\": \"a\", \"right\": {\"x\": 3, \"y\": 4}}}]",
    );
    becomes("tuples", "[1, [2, []]]");
    becomes("enums", "{\"red\": 1, \"list\": [\"red\"]}");
    becomes("record", "{\"kind\": \"record\"}");
    becomes("bytes_inside", "{\"key\": \"value\"}");
    becomes("keys", "{\"1\": 3, \"2.5\": 2, \"null\": 4}");
    becomes("ordered", "{\"b\": 1, \"a\": 2}");
}

#[test]
fn values_without_json_are_marshal_errors() {
    refused("a_set", "Object of type set is not JSON serializable");
    refused("a_key", "keys must be str, int, float, bool or None, not tuple");
    refused("an_object", "Object of type type is not JSON serializable");
    refused("a_circle", "Circular reference detected");
    refused("a_larger_circle", "Circular reference detected");
    refused("a_generator", "Object of type generator is not JSON serializable");
    refused(
        "broken_bytes",
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    );
    let document = function("answers.coroutine").ready().fail("1");
    let reason = "Unable to marshal response: Object of type coroutine is not JSON serializable";
    assert_eq!(document["errorMessage"], reason);
}

#[test]
fn a_large_text_costs_some_copies_of_itself_and_no_more() {
    let mut instance = function("answers.letters").ready();
    let before = instance.call("null").as_u64().expect("KiB");
    assert_eq!(instance.raw("5000000").len(), 5_000_002);
    let more = instance.call("null").as_u64().expect("KiB") - before;
    // The text, the same in quotes, its bytes, the frame: 20 MB. Taken apart into letters, it is a list
    // of five million references beside them.
    assert!(more < 30_000, "{more} KiB");
}

#[test]
fn bytes_are_an_answer_as_they_are() {
    let mut instance = function("answers.value").ready();
    let answer = instance.invoke(&event(b"\"bytes\""));
    assert_eq!(answer, (Kind::Response, b"\x00\xffanything".to_vec()));
}

#[test]
fn deep_values_are_answered_or_refused_but_never_fatal() {
    let mut instance = function("answers.deep").ready();
    assert_eq!(instance.raw("900").len(), 2 * 901);
    let document = instance.fail("200000");
    assert_eq!(document["errorType"], "Runtime.MarshalError");
    assert_eq!(instance.raw("1"), "[[]]");
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
fn events_that_come_together_are_answered_one_after_the_other() {
    let mut instance = function("answers.echo").watched().ready();
    let all: [&[u8]; 3] = [b"[2]", b"[3]", b"[4]"];
    let all = all.map(|payload| instance.encode(&event(payload))).concat();
    let (front, back) = all.split_at(all.len() - 100);
    instance.deliver(&[front, back]);
    for number in 2..=4 {
        let answer = json(instance.frame().expect("an answer"), Kind::Response);
        assert_eq!(answer, json!([number]));
    }
}

#[test]
fn a_socket_that_was_made_not_to_wait_serves_all_the_same() {
    let mut instance = function("answers.size").non_blocking().ready();
    for size in [2, MAX_RESPONSE, 3] {
        assert_eq!(instance.raw(&size.to_string()).len(), size);
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
    let mut instance = function("processes.counts").ready();
    for count in 1..=1000 {
        assert_eq!(instance.call("{}"), count);
    }
}
