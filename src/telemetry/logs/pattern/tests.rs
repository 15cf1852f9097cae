//! Promises about which messages a filter pattern admits.

use proptest::prelude::*;

use super::*;

fn admits(pattern: &str, message: &str) -> bool {
    FilterPattern::parse(pattern).expect(pattern).matches(message.as_bytes())
}

#[test]
fn an_empty_pattern_admits_everything() {
    assert!(admits("", "anything"));
    assert!(admits("  ", ""));
}

#[test]
fn a_term_must_occur_and_its_case_counts() {
    assert!(admits("ERROR", "[ERROR 400] BAD REQUEST"));
    assert!(!admits("ERROR", "[error 400] bad request"));
}

#[test]
fn all_terms_must_occur_in_any_order() {
    assert!(admits("ERROR ARGUMENTS", "ARGUMENTS made an ERROR"));
    assert!(!admits("ERROR ARGUMENTS", "ERROR alone"));
}

#[test]
fn a_phrase_is_one_term() {
    assert!(admits("\"INTERNAL SERVER ERROR\"", "500 INTERNAL SERVER ERROR"));
    assert!(!admits("\"INTERNAL SERVER ERROR\"", "INTERNAL ERROR of the SERVER"));
    assert!(admits(r#""say \"hi\"""#, r#"they say "hi" twice"#));
    assert!(admits(r#""C:\temp""#, r"in C:\temp"));
}

#[test]
fn an_excluded_term_must_not_occur() {
    assert!(admits("ERROR -EXITING", "ERROR at noon"));
    assert!(!admits("ERROR -EXITING", "ERROR, EXITING"));
    assert!(admits("-\"bad thing\"", "fine"));
    assert!(!admits("-\"bad thing\"", "a bad thing"));
}

#[test]
fn one_of_several_optional_terms_is_enough() {
    assert!(admits("?ERROR ?WARN", "WARN: disk"));
    assert!(!admits("?ERROR ?WARN", "INFO: disk"));
}

#[test]
fn optional_terms_beside_others_are_without_effect() {
    assert!(admits("?ERROR disk", "INFO: disk"));
    assert!(admits("?ERROR -net", "INFO: disk"));
}

#[test]
fn other_kinds_of_pattern_are_refused_by_name() {
    for (pattern, what) in [
        ("{ $.level = \"ERROR\" }", "the fields of JSON"),
        ("[ip, user, ...]", "columns"),
        ("%AUTH%", "regular expressions"),
    ] {
        assert_eq!(
            FilterPattern::parse(pattern).err(),
            Some(PatternError::Unsupported { what }),
            "{pattern}"
        );
    }
}

#[test]
fn malformed_patterns_are_errors() {
    assert!(matches!(FilterPattern::parse("\"open"), Err(PatternError::Unclosed { .. })));
    assert!(matches!(FilterPattern::parse("a - b"), Err(PatternError::EmptyTerm)));
    assert!(matches!(FilterPattern::parse("\"\""), Err(PatternError::EmptyTerm)));
    let long = "x".repeat(1025);
    assert!(matches!(FilterPattern::parse(&long), Err(PatternError::TooLong { length: 1025 })));
    assert!(FilterPattern::parse(&long[1..]).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_patterns_are_never_a_panic(text in "\\PC{0,64}", message in "\\PC{0,64}") {
        if let Ok(pattern) = FilterPattern::parse(&text) {
            let _admitted = pattern.matches(message.as_bytes());
        }
    }
}
