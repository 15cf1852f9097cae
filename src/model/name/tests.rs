//! Promises about names.

use super::*;

fn parsed(text: &str) -> FunctionRef {
    FunctionRef::parse(text).unwrap_or_else(|err| panic!("{text}: {err}"))
}

#[test]
fn every_form_of_a_function_name_is_read() {
    let bare = parsed("echo");
    assert_eq!((bare.name.as_str(), &bare.qualifier, &bare.account), ("echo", &None, &None));
    assert_eq!(parsed("echo:7").qualifier, Some(Qualifier::Version(7)));
    assert_eq!(parsed("echo:$LATEST").qualifier, Some(Qualifier::Latest));
    assert_eq!(parsed("echo:live").qualifier.unwrap().to_string(), "live");
    let partial = parsed("123456789012:function:echo:live");
    assert_eq!(partial.account.as_deref(), Some("123456789012"));
    assert_eq!(partial.region, None);
    let full = parsed("arn:aws:lambda:eu-west-1:123456789012:function:echo");
    assert_eq!(full.region.as_deref(), Some("eu-west-1"));
    assert_eq!(full.name.as_str(), "echo");
}

#[test]
fn what_names_no_function_is_refused() {
    for text in [
        "",
        "a b",
        "a/b",
        "../x",
        "a:b:c",
        "invalid:function:name",
        "arn:aws:lambda:eu-west-1:1234:function:echo",
        "arn:aws:s3:eu-west-1:123456789012:function:echo",
        "arn:aws:lambda:eu-west-1:123456789012:function",
        "echo:",
        "echo:a+b",
        "é",
    ] {
        assert!(FunctionRef::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_name_of_64_characters_is_accepted_and_one_of_65_is_not() {
    assert!(FunctionName::parse(&"a".repeat(64)).is_ok());
    assert!(matches!(
        FunctionName::parse(&"a".repeat(65)),
        Err(NameError::TooLong { limit: 64, .. })
    ));
}

#[test]
fn an_alias_is_never_all_digits() {
    assert!(AliasName::parse("v1").is_ok());
    assert!(AliasName::parse("12").is_err());
    assert_eq!(Qualifier::parse("12").unwrap(), Qualifier::Version(12));
}
