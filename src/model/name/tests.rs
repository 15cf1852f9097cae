//! Promises about names.

use super::*;

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
