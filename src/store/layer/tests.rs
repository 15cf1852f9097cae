//! Promises about layers and their policies.

use super::*;
use crate::example::code;

pub(crate) fn new(called: &str, byte: u8) -> NewLayerVersion {
    NewLayerVersion {
        name: LayerName::parse(called).unwrap(),
        code: code(byte),
        unzipped: 10_000,
        about: AboutLayer::default(),
        at_ms: 1000,
    }
}

fn statement(id: &str) -> Statement {
    Statement {
        id: id.to_owned(),
        action: "lambda:GetLayerVersion".to_owned(),
        principal: "*".to_owned(),
        source_arn: None,
        source_account: None,
        event_source_token: None,
        principal_org_id: None,
        url_auth: None,
        via_url: None,
    }
}

fn layer(versions: u8) -> Layer {
    let empty = Layer::named(LayerName::parse("l").unwrap());
    (1..=versions).fold(empty, |layer, byte| layer.with_version(new("l", byte)).0)
}

#[test]
fn numbers_go_up_by_one_and_are_not_used_again() {
    let layer = layer(2).without_version(2);
    let (layer, third) = layer.with_version(new("l", 3));
    assert_eq!(third.number, 3);
    let layer = layer.without_version(1).without_version(3);
    assert!(layer.versions.is_empty());
    assert_eq!(layer.with_version(new("l", 4)).1.number, 4);
}

#[test]
fn the_newest_is_the_newest_of_those_that_fit() {
    let layer = layer(3);
    let number = |found: Option<&Arc<LayerVersion>>| found.map(|version| version.number);
    assert_eq!(number(layer.newest(|_| true)), Some(3));
    assert_eq!(number(layer.newest(|version| version.number < 3)), Some(2));
    assert_eq!(number(layer.newest(|_| false)), None);
}

#[test]
fn a_statement_changes_the_revision_and_the_last_one_takes_the_policy_along() {
    let (layer, first) = layer(1).with_statement(1, None, statement("a"), |_| 100).unwrap();
    let (layer, second) =
        layer.with_statement(1, Some(first.as_str()), statement("b"), |_| 100).unwrap();
    assert_ne!(first, second);
    assert_eq!(layer.versions[&1].policy.as_ref().unwrap().revision, second);
    let layer = layer.without_statement(1, Some(second.as_str()), "a").unwrap();
    assert_eq!(layer.versions[&1].statements().len(), 1);
    let layer = layer.without_statement(1, None, "b").unwrap();
    assert_eq!(layer.versions[&1].policy, None);
}

#[test]
fn whoever_has_seen_another_policy_changes_nothing() {
    let (with, revision) = layer(1).with_statement(1, None, statement("a"), |_| 100).unwrap();
    let stale = |result: Result<_, Refusal>| matches!(result, Err(Refusal::PolicyRevision));
    assert!(stale(with.with_statement(1, Some("x"), statement("b"), |_| 1).map(drop)));
    assert!(stale(with.without_statement(1, Some("x"), "a").map(drop)));
    // Before there is a policy nobody can have seen it.
    let seen = Some(revision.as_str());
    assert!(stale(layer(1).with_statement(1, seen, statement("a"), |_| 1).map(drop)));
}

#[test]
fn statements_have_names_of_their_own_and_versions_that_are_there() {
    let (with, _) = layer(1).with_statement(1, None, statement("a"), |_| 100).unwrap();
    let refused = |number, id: &str| {
        with.with_statement(number, None, statement(id), |_| 100).map(drop).unwrap_err()
    };
    assert_eq!(refused(1, "a"), Refusal::StatementExists);
    assert_eq!(refused(2, "b"), Refusal::NoLayerVersion);
    assert_eq!(with.without_statement(1, None, "b").unwrap_err(), Refusal::NoStatement);
    assert_eq!(with.without_statement(2, None, "a").unwrap_err(), Refusal::NoLayerVersion);
}

#[test]
fn a_policy_has_twenty_kibibytes_at_most() {
    let with = |bytes| layer(1).with_statement(1, None, statement("a"), move |_| bytes).map(drop);
    assert_eq!(with(20 * 1024), Ok(()));
    assert_eq!(with(20 * 1024 + 1), Err(Refusal::PolicyTooLong { bytes: 20 * 1024 + 1 }));
}

#[test]
fn a_version_without_its_policy_is_as_it_was() {
    let before = layer(2);
    let (with, _) = before.with_statement(1, None, statement("a"), |_| 100).unwrap();
    assert_eq!(with.without_statement(1, None, "a").unwrap(), before);
    assert!(Arc::ptr_eq(&with.versions[&2], &before.versions[&2]));
}
