//! Promises about forms.

use super::*;

#[track_caller]
fn check(pattern: Pattern, fits: &[&str], others: &[&str]) {
    for text in fits {
        assert!((pattern.matches)(text), "{text:?} has the form {pattern:?}");
    }
    for text in others {
        assert!(!(pattern.matches)(text), "{text:?} has not the form {pattern:?}");
    }
}

#[test]
fn functions_that_are_changed_have_no_dots() {
    check(FUNCTION, &["f", "f:$LATEST"], &["a.b", "f:$LATEST.PUBLISHED"]);
    check(NAMESPACED_FUNCTION, &["f", "a.b", "f:$LATEST.PUBLISHED"], &["a b", ""]);
}

#[test]
fn qualifiers_have_two_forms() {
    check(QUALIFIER, &["$LATEST", "$LATEST.PUBLISHED", "1", "live", "a-$b"], &["", "a.b", "a?"]);
    check(URL_QUALIFIER, &["live", "1a"], &["", "1", "$LATEST", "a b"]);
}

#[test]
fn arns_have_six_parts_some_of_them_empty() {
    check(
        ARN,
        &[
            "arn:aws:s3:::bucket",
            "arn:aws:iam::123456789012:role/r",
            "arn:aws:events:us-east-1:123456789012:rule/r:x",
        ],
        &[
            "",
            "arn:aws:s3",
            "arn:gcp:s3:::b",
            "arn:aws::::b",
            "arn:aws:s3:nowhere::b",
            "arn:aws:s3::1:b",
        ],
    );
}
