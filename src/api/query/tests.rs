//! Promises about queries.

use super::*;

#[test]
fn names_and_values_are_decoded_once() {
    let query = Query::parse(Some("Qualifier=%24LATEST&a=b%2Bc&d=e+f&g=%2525&flag&=x&&")).unwrap();
    assert_eq!(query.get("Qualifier"), Some("$LATEST"));
    assert_eq!(query.get("a"), Some("b+c"));
    assert_eq!(query.get("d"), Some("e f"));
    assert_eq!(query.get("g"), Some("%25"));
    assert_eq!(query.get("flag"), Some(""));
    assert_eq!(query.get("none"), None);
}

#[test]
fn a_name_may_be_repeated_where_a_list_is_meant() {
    let query = Query::parse(Some("tagKeys=a&tagKeys=b")).unwrap();
    let keys: Vec<_> = query.pairs().iter().filter(|(name, _)| name == "tagKeys").collect();
    assert_eq!(keys.iter().map(|(_, value)| value.as_ref()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(query.get("tagKeys"), Some("a"));
}

#[test]
fn what_is_no_text_is_refused() {
    assert!(Query::parse(Some("a=%ff")).is_err());
    assert!(Query::parse(Some("a=+%ff")).is_err());
    assert!(Query::parse(None).unwrap().get("a").is_none());
}
