//! Promises about events.

use proptest::prelude::*;

use super::*;

fn refusal(body: &[u8]) -> String {
    let message = check(body).unwrap_err().message.unwrap().into_owned();
    let (begin, rest) = message.split_at(72);
    assert_eq!(begin, "Could not parse request body into json: Could not parse payload into jso");
    rest.to_owned()
}

#[test]
fn every_json_value_is_an_event() {
    for event in ["null", "true", "1", "-1.5e3", "\"a\"", "[]", "{}", " {\"a\":[1,{}]} \n"] {
        assert!(check(event.as_bytes()).is_ok(), "{event}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for event in
        ["", " ", "{", "[1,]", "{\"a\"}", "nul", "1 2", "{'a':1}", "\"a\nb\"", "01", "\u{feff}{}"]
    {
        assert!(check(event.as_bytes()).is_err(), "{event:?}");
    }
}

#[test]
fn the_place_is_told_by_line_and_column() {
    let rest = refusal(b"{\"a\":\n  ?}");
    assert!(rest.starts_with("n: Unexpected character ('?' (code 63)): expected a valid value"));
    assert!(rest.ends_with("; line: 2, column: 3]"), "{rest}");
    let rest = refusal(b"\x99");
    assert!(rest.starts_with("n: Invalid UTF-8 start byte 0x99\n at [Source: REDACTED (`Stream"));
    assert!(rest.ends_with("; line: 1, column: 1]"), "{rest}");
    let rest = refusal(b"\x01");
    assert!(rest.starts_with("n: Unexpected character ((CTRL-CHAR, code 1)): expected"), "{rest}");
}

#[test]
fn a_word_that_is_no_value_is_told_whole() {
    let rest = refusal(b" nope ");
    let expected = "n: Unrecognized token 'nope': was expecting (JSON String, Number, Array, Object \
                    or token 'null', 'true' or 'false')\n at [Source: REDACTED \
                    (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 6]";
    assert_eq!(rest, expected);
    // What AWS's command line, version 2, makes of JSON that should have been base64.
    assert!(refusal("ýý".as_bytes()).starts_with("n: Unrecognized token 'ýý'"));
}

proptest! {
    #[test]
    fn whatever_is_sent_gets_an_answer(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _answer = check(&body);
    }

    #[test]
    fn whatever_text_is_sent_gets_an_answer(body in "[\\[\\]{}\",:a-zä0-9\\n\\\\ ]{0,40}") {
        let _answer = check(body.as_bytes());
    }
}

#[test]
fn a_place_is_found_whatever_stands_before_it() {
    for event in ["{\"ä\": ö}", "[\n\n\n", "[1,\r\n2,,]", "\"\u{1f600}\" x", "{\n\"a\" 1}"] {
        assert!(!refusal(event.as_bytes()).is_empty(), "{event:?}");
    }
}

#[test]
fn deep_nesting_is_a_matter_for_the_function_and_not_for_our_stack() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    assert!(check(deep.as_bytes()).is_ok());
}
