//! What is promised about JSON: it means what serde takes it to mean.

use proptest::prelude::*;
use serde_json::Value;

use super::{compact, is_loose, string};

fn written(text: &str) -> String {
    let mut out = String::new();
    string(text, &mut out);
    out
}

#[test]
fn strings_are_escaped_as_json_asks_and_no_further() {
    assert_eq!(written("a/\u{7f}é\u{2028}"), "\"a/\u{7f}é\u{2028}\"");
    assert_eq!(written("\"\\\u{8}\t\n\u{c}\r\u{0}\u{1f}"), r#""\"\\\b\t\n\f\r\u0000\u001f""#);
}

#[test]
fn blanks_go_from_between_tokens_and_stay_in_strings() {
    let loose = br#" { "a b" : [ 1.50 , "\" , \\" , "x" ] , "c":	null } "#;
    assert!(is_loose(loose));
    assert_eq!(compact(loose), br#"{"a b":[1.50,"\" , \\","x"],"c":null}"#);
    assert!(!is_loose(br#"["a b"]"#));
}

proptest! {
    #[test]
    fn a_written_string_is_read_as_it_was(text in "\\PC*|[\\x00-\\x7f]*") {
        prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
    }

    #[test]
    fn compact_json_is_the_same_value(
        texts in proptest::collection::vec("[ \"\\\\a\n]{0,8}", 0..6)
    ) {
        let value = Value::from(texts);
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        prop_assert_eq!(compact(&pretty), serde_json::to_vec(&value).unwrap());
    }
}
