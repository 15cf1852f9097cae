//! Promises about what can have tags.

use super::*;

#[test]
fn four_kinds_of_things_have_tags() {
    let of = |rest: &str| format!("arn:aws:lambda:us-east-1:123456789012:{rest}");
    for (rest, kind) in [
        ("function:f", Taggable::Function),
        ("function:f:1", Taggable::Function),
        ("code-signing-config:csc-0123456789abcdefg", Taggable::CodeSigningConfig),
        ("event-source-mapping:01234567-89ab-cdef-0123-456789abcdef", Taggable::EventSourceMapping),
        ("capacity-provider:c", Taggable::CapacityProvider),
    ] {
        assert_eq!(Taggable::parse(&of(rest)), Some(kind), "{rest}");
    }
    for text in [
        "arn:aws:something",
        "f",
        &of("foobar:f"),
        &of("capacity-provider:c:alias"),
        &of("event-source-mapping:1"),
        "arn:aws:s3:us-east-1:123456789012:function:f",
    ] {
        assert_eq!(Taggable::parse(text), None, "{text}");
    }
}
