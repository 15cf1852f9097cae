//! Promises about names.

use model::{AccountId, Region};

use super::*;

/// Region, account, name, qualifier.
type Parts<'a> = (Option<&'a str>, Option<&'a str>, &'a str, Option<&'a str>);

fn parts(text: &str) -> Option<Parts<'_>> {
    Target::parse(text).map(|t| (t.region, t.account, t.name, t.qualifier))
}

#[test]
fn every_form_is_read() {
    let (region, account) = (Some("us-east-1"), Some("123456789012"));
    for (text, expected) in [
        ("f", (None, None, "f", None)),
        ("f:1", (None, None, "f", Some("1"))),
        ("f:$LATEST", (None, None, "f", Some("$LATEST"))),
        ("f:live", (None, None, "f", Some("live"))),
        ("function:f", (None, None, "f", None)),
        ("function", (None, None, "function", None)),
        ("123456789012:f", (None, account, "f", None)),
        ("123456789012:function:f:1", (None, account, "f", Some("1"))),
        ("123456789012", (None, None, "123456789012", None)),
        ("us-east-1:123456789012:function:f", (region, account, "f", None)),
        ("us-east-1:f", (region, None, "f", None)),
        ("arn:aws:lambda:us-east-1:123456789012:function:f", (region, account, "f", None)),
        ("arn:aws:lambda:us-east-1:123456789012:function:f:v", (region, account, "f", Some("v"))),
        ("arn::lambda:f", (None, None, "f", None)),
        (
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f",
            (Some("us-gov-west-1"), account, "f", None),
        ),
        ("name.with.dots", (None, None, "name.with.dots", None)),
        // What the pattern does not say is not asked for: this is a function called `layer`.
        ("123456789012:layer:f", (None, account, "layer", Some("f"))),
    ] {
        assert_eq!(parts(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_name_is_not_read() {
    for text in [
        "",
        ":",
        "f:",
        ":f",
        "function:",
        "invalid:function:name",
        "a b",
        "a/b",
        "ä",
        "f:a:b",
        "f:$OTHER",
        "f:a.b",
        "arn:aws:s3:::b",
        "arn:gcp:lambda:us-east-1:123456789012:function:f",
        "arn:aws:lambda:us-east-1:123400000000@function:myfn",
        "arn:aws:lambda:us-east-1:12345:function:f",
        "arn:aws:lambda:useast1:123456789012:function:f",
    ] {
        assert_eq!(parts(text), None, "{text}");
    }
}

#[test]
fn regions_have_aws_forms() {
    for region in
        ["us-east-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1", "eusc-de-east-1"]
    {
        assert!(is_region(region), "{region}");
    }
    for other in
        ["", "useast1", "us-east-10", "us-east", "US-east-1", "us-isobb-east-1", "u-east-1"]
    {
        assert!(!is_region(other), "{other}");
    }
}

#[test]
fn a_target_is_here_or_it_is_said_where_it_is() {
    let home = Home {
        account: AccountId::parse("123456789012").unwrap(),
        region: Region::parse("eu-west-1").unwrap(),
    };
    let here = |text: &'static str, also| {
        Target::parse(text).unwrap().here(
            also,
            &home,
            Operation::Lambda(lambda::Operation::GetFunction),
        )
    };
    let local = here("123456789012:function:f:1", Some("1")).unwrap();
    assert_eq!((local.name, local.qualifier), ("f", Some("1")));
    assert_eq!(local.arn(&home), "arn:aws:lambda:eu-west-1:123456789012:function:f:1");
    assert_eq!(here("f", Some("v")).unwrap().qualifier, Some("v"));
    assert_eq!(here("f:1", Some("2")).unwrap_err().code, "InvalidParameterValueException");
    assert_eq!(here("us-east-1:f", None).unwrap_err().code, "ResourceNotFoundException");
    assert_eq!(here("000000000000:f", None).unwrap_err().code, "AccessDeniedException");
}
