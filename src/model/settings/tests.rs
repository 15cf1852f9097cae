//! Promises about settings.

use super::*;

#[test]
fn identifiers_of_signing_configurations_have_aws_s_form() {
    let id = SigningId::random();
    assert_eq!(SigningId::parse(id.as_str()), Some(id.clone()));
    assert_ne!(id, SigningId::random());
    for text in ["csc-0123456789abcdef", "csc-0123456789abcdefgh", "csc-0123456789ABCDEFG", "c"] {
        assert_eq!(SigningId::parse(text), None, "{text}");
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for one in [Untrusted::Warn, Untrusted::Enforce] {
        assert_eq!(Untrusted::parse(one.as_str()), Some(one));
    }
    for one in [RecursiveLoop::Terminate, RecursiveLoop::Allow] {
        assert_eq!(RecursiveLoop::parse(one.as_str()), Some(one));
    }
    let arn = "arn:aws:lambda:us-east-1::runtime:r".to_owned();
    for one in [RuntimeUpdate::Auto, RuntimeUpdate::FunctionUpdate, RuntimeUpdate::Manual(arn)] {
        let arn = one.version_arn().map(str::to_owned);
        assert_eq!(RuntimeUpdate::parse(one.as_str(), arn), Some(one));
    }
    assert_eq!(RuntimeUpdate::parse("Manual", None), None);
}
