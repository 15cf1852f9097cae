//! Promises about limits.

use super::*;

#[test]
fn numbers_are_accepted_at_their_limits_and_refused_beyond() {
    assert!(MemorySize::parse(127).is_err());
    assert_eq!(MemorySize::parse(128).unwrap().mib(), 128);
    assert_eq!(MemorySize::parse(10_240).unwrap().mib(), 10_240);
    assert!(MemorySize::parse(10_241).is_err());
    assert!(MemorySize::parse(u64::MAX).is_err());
    assert!(Timeout::parse(0).is_err());
    assert_eq!(Timeout::parse(900).unwrap().seconds(), 900);
    assert!(Timeout::parse(901).is_err());
    assert!(EphemeralStorage::parse(511).is_err());
    assert_eq!(EphemeralStorage::parse(10_240).unwrap().mib(), 10_240);
}

#[test]
fn roles_have_the_form_of_aws_pattern() {
    for fits in [
        "arn:aws:iam::123456789012:role/name",
        "arn:aws-cn:iam::123456789012:role/path/to/na.me+=,@-_",
        "arn::iam::123456789012:role/x",
        "arn:aws:iam::123456789012:rolename",
    ] {
        assert!(RoleArn::parse(fits).is_ok(), "{fits}");
    }
    for refused in [
        "",
        "r1",
        "arn:aws:iam::12345678901:role/name",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role",
        "arn:aws:iam::123456789012:user/name",
        "arn:aws:iam:us-east-1:123456789012:role/name",
        "arn:gcp:iam::123456789012:role/name",
        "arn:aws:iam::123456789012:role/na me",
    ] {
        assert!(RoleArn::parse(refused).is_err(), "{refused}");
    }
}

#[test]
fn handlers_have_no_white_space_and_at_most_128_characters() {
    assert!(Handler::parse("dir/file.handler").is_ok());
    assert!(Handler::parse(&"h".repeat(128)).is_ok());
    for refused in ["", "a b", "a\n", "a\0", &"h".repeat(129)] {
        assert!(Handler::parse(refused).is_err(), "{refused:?}");
    }
}

#[test]
fn runtime_identifiers_are_lower_case_words() {
    assert!(RuntimeId::parse("provided.al2023").is_ok());
    for refused in ["", "PYTHON3.9", "python 3", "../python", &"p".repeat(65)] {
        assert!(RuntimeId::parse(refused).is_err(), "{refused:?}");
    }
}

#[test]
fn log_groups_are_names_and_not_paths_out_of_anywhere() {
    assert!(LogGroup::parse("/aws/lambda/echo").is_ok());
    for refused in ["", "a b", "a:b", "a*", &"g".repeat(513)] {
        assert!(LogGroup::parse(refused).is_err(), "{refused:?}");
    }
}
