//! Promises about the sentences of validation.

use super::*;
use crate::patterns;

fn message(violations: Violations) -> Option<String> {
    violations.finish().err().map(|err| {
        assert_eq!((err.status.as_u16(), &*err.code), (400, "ValidationException"));
        assert_eq!(err.fault, None, "without Type");
        err.message.unwrap().into_owned()
    })
}

#[test]
fn nothing_found_is_no_error() {
    let mut violations = Violations::default();
    violations.required("a", true);
    violations.text("a", None, Text { least: 1, most: 1, pattern: Some(patterns::ROLE) });
    violations.number("a", Some(1), 1, Some(1));
    violations.one_of("a", Some("x"), &["x"]);
    violations.count("a", Some(&["x".to_owned()]), 1, 1);
    assert_eq!(message(violations), None);
}

#[test]
fn one_error_is_told_in_the_singular_and_more_in_the_plural() {
    let mut violations = Violations::default();
    violations.required("tagKeys", false);
    assert_eq!(
        message(violations).unwrap(),
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member \
         must not be null"
    );
    let mut violations = Violations::default();
    violations.number("a", Some(0), 1, None);
    violations.one_of("recursiveLoop", Some("InvalidValue"), &["Terminate", "Allow"]);
    assert_eq!(
        message(violations).unwrap(),
        "2 validation errors detected: Value '0' at 'a' failed to satisfy constraint: Member must \
         have value greater than or equal to 1; Value 'InvalidValue' at 'recursiveLoop' failed to \
         satisfy constraint: Member must satisfy enum value set: [Terminate, Allow]"
    );
}

#[test]
fn one_value_can_break_several_constraints() {
    let mut violations = Violations::default();
    let matches = |text: &str| patterns::every(text, b"-_");
    let statement = patterns::Pattern { text: "([a-zA-Z0-9-_]+)", matches };
    let must = Text { least: 1, most: 3, pattern: Some(statement) };
    violations.text("id", Some("a.b.c"), must);
    violations.text("id", Some(""), must);
    let expected = "4 validation errors detected: Value 'a.b.c' at 'id' failed to satisfy \
                    constraint: Member must have length less than or equal to 3; Value 'a.b.c' at \
                    'id' failed to satisfy constraint: Member must satisfy regular expression \
                    pattern: ([a-zA-Z0-9-_]+); Value '' at 'id' failed to satisfy constraint: \
                    Member must have length greater than or equal to 1; Value '' at 'id' failed to \
                    satisfy constraint: Member must satisfy regular expression pattern: \
                    ([a-zA-Z0-9-_]+)";
    assert_eq!(message(violations).unwrap(), expected);
}

#[test]
fn lengths_are_counted_in_characters_and_not_in_bytes() {
    let mut violations = Violations::default();
    violations.text("a", Some("äöü"), Text { least: 3, most: 3, pattern: None });
    assert_eq!(message(violations), None);
}

#[test]
fn maps_are_printed_as_java_prints_them() {
    let mut violations = Violations::default();
    let map = [("".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())];
    let keys = Text { least: 1, most: 128, pattern: None };
    violations.map("tags", &map, keys, Text::default());
    assert_eq!(
        message(violations).unwrap(),
        "1 validation error detected: Value '{=1, b=2}' at 'tags' failed to satisfy constraint: \
         Map keys must satisfy constraint: [Member must have length less than or equal to 128, \
         Member must have length greater than or equal to 1, Member must not be null]"
    );
}

#[test]
fn keys_that_may_be_secret_are_not_repeated() {
    let mut violations = Violations::default();
    let must = Text { pattern: Some(patterns::VARIABLE), ..Text::default() };
    violations.secret_keys("environment.variables", ["p4ssw0rd!"].into_iter(), must);
    assert!(!message(violations).unwrap().contains("p4ssw0rd"));
}
