//! Promises about identifiers.

use std::collections::HashSet;

use super::*;

#[test]
fn a_request_id_is_a_uuid_of_version_4() {
    let id = RequestId::random();
    let text = id.as_str();
    assert_eq!(text.len(), 36);
    assert_eq!(&text[14..15], "4");
    assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
    assert_eq!(RequestId::parse(text), Some(id));
}

#[test]
fn ten_thousand_request_ids_are_all_different() {
    let ids: HashSet<_> = (0..10_000).map(|_| RequestId::random()).collect();
    assert_eq!(ids.len(), 10_000);
}

#[test]
fn what_is_not_of_a_uuids_form_is_no_identifier() {
    for text in
        ["", "x", "8476a536-e9f4-11e8-9739-2dfe598c3fc", "8476a536+e9f4-11e8-9739-2dfe598c3fcd"]
    {
        assert_eq!(RequestId::parse(text), None, "{text}");
        assert_eq!(RevisionId::parse(text), None, "{text}");
    }
}
