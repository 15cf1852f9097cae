//! Promises about patterns.

use proptest::prelude::*;

use crate::Operation;
use crate::shape::Kind;

fn matches(operation: Operation, member: &str, text: &str) -> bool {
    let member = operation.row().input.member(member).expect("there is such a member");
    match member.shape.kind {
        Kind::Text { pattern: Some(pattern), .. } => pattern.matches(text),
        _ => panic!("{} has no pattern", member.name),
    }
}

#[test]
fn names_and_arns_of_functions_have_the_form_of_the_model() {
    let name = |text: &str| matches(Operation::CreateFunction, "FunctionName", text);
    for text in [
        "f",
        "f:1",
        "f:$LATEST",
        "function:f",
        "123456789012:function:f",
        "us-east-1:123456789012:function:f:alias",
        "arn:aws:lambda:us-gov-west-1:123456789012:function:f",
        "arn:aws:lambda:eusc-de-east-1:123456789012:function:f",
    ] {
        assert!(name(text), "{text}");
    }
    for text in
        ["", "f g", "f.g", "f:$LATES", "f:1:2", "arn:aws:s3:::b", "invalid:function:name", "f\n"]
    {
        assert!(!name(text), "{text}");
    }
}

#[test]
fn what_looks_ahead_and_behind_is_decided() {
    let alias = |text: &str| matches(Operation::CreateAlias, "Name", text);
    assert!(alias("live") && alias("2024a") && !alias("2024") && !alias("a b"));
    let url = |text: &str| matches(Operation::CreateFunctionUrlConfig, "Qualifier", text);
    assert!(url("live") && !url("2") && !url("$LATEST"));
    let bucket = |text: &str| {
        let code = Operation::UpdateFunctionCode;
        matches(code, "S3Bucket", text)
    };
    assert!(bucket("b.c") && !bucket("b.") && bucket(""));
}

#[test]
fn letters_of_all_scripts_are_letters_in_tags() {
    let tags = Operation::TagResource.row().input.member("Tags").expect("it has tags");
    let Kind::Map { key, .. } = tags.shape.kind else { panic!("tags are a map") };
    let Kind::Text { pattern: Some(pattern), .. } = key.kind else { panic!("with a form") };
    assert!(pattern.matches("größe 大 ٣\u{a0}_.:/=+-@") && !pattern.matches("a,b"));
}

/// Quantities in a quantity would take a backtracking engine for ever.
#[test]
fn no_text_is_expensive() {
    let kafka = Operation::CreateEventSourceMapping.row().input;
    let source = kafka.member("SelfManagedEventSource").expect("a member").shape;
    let endpoints = source.member("Endpoints").expect("a member").shape;
    let Kind::Map { value, .. } = endpoints.kind else { panic!("endpoints are a map") };
    let Kind::List { of, .. } = value.kind else { panic!("of lists") };
    let Kind::Text { pattern: Some(pattern), .. } = of.kind else { panic!("with a form") };
    assert!(pattern.matches("broker-1.example.com:9092"));
    assert!(!pattern.matches(&format!("{}!", "a-a.".repeat(500))));
}

#[test]
fn statements_name_actions_principals_and_conditions() {
    let add = |member: &str, text: &str| matches(Operation::AddPermission, member, text);
    for (member, fits, others) in [
        ("StatementId", ["s1", "a-b_c"], ["", "example.com"]),
        ("Action", ["*", "lambda:InvokeFunction"], ["lambda:", "lambda:a-b"]),
        ("Principal", ["*", "s3.amazonaws.com"], ["", "a b"]),
        ("SourceAccount", ["123456789012", "000000000000"], ["12345678901", "12345678901a"]),
        ("PrincipalOrgID", ["o-0123456789", "o-abcdefghij"], ["o-012345678", "x-0123456789"]),
        ("EventSourceToken", ["a.b_c-d", "1"], ["", "a b"]),
    ] {
        assert!(fits.iter().all(|text| add(member, text)), "{member}");
        assert!(!others.iter().any(|text| add(member, text)), "{member}");
    }
    let remove = |text: &str| matches(Operation::RemovePermission, "StatementId", text);
    assert!(remove("example.com") && !remove("a/b"));
}

proptest! {
    #[test]
    fn digits_alone_are_no_alias_and_everything_else_of_its_characters_is(text in "[a-zA-Z0-9_-]{1,128}") {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        prop_assert_eq!(matches(Operation::CreateAlias, "Name", &text), !digits);
    }
}
