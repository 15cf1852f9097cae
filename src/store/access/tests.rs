//! Promises about policies and URLs.

use model::configuration::Description;
use model::{FunctionId, Generation, Version};

use super::*;
use crate::alias::NewAlias;
use crate::example::new_function;

fn function() -> Function {
    Function::create(FunctionId(1), new_function("f"), || Generation(1))
}

fn statement(id: &str) -> Statement {
    Statement {
        id: id.to_owned(),
        action: "lambda:InvokeFunction".to_owned(),
        principal: "*".to_owned(),
        source_arn: None,
        source_account: None,
        event_source_token: None,
        principal_org_id: None,
        url_auth: None,
        via_url: None,
    }
}

fn new_url(alias: Option<&str>) -> NewUrl {
    NewUrl {
        alias: alias.map(|alias| AliasName::parse(alias).unwrap()),
        auth: AuthType::None,
        cors: None,
        invoke_mode: None,
        at_ms: 5,
    }
}

#[test]
fn a_statement_id_is_taken_until_it_is_removed() {
    let with =
        function().with_statement(PolicyScope::Function, None, statement("s1"), |_| 10).unwrap();
    let again = with.with_statement(PolicyScope::Function, None, statement("s1"), |_| 10);
    assert_eq!(again.unwrap_err(), Refusal::StatementExists);
    let without = with.without_statement(&PolicyScope::Function, None, "s1").unwrap();
    assert!(without.policies.is_empty());
    let missing = without.without_statement(&PolicyScope::Function, None, "s1");
    assert_eq!(missing.unwrap_err(), Refusal::NoStatement);
}

#[test]
fn a_policy_has_a_revision_of_its_own_and_a_stale_one_is_refused() {
    let before = function();
    let first =
        before.with_statement(PolicyScope::Function, None, statement("s1"), |_| 10).unwrap();
    assert_eq!(first.latest.revision, before.latest.revision);
    let seen = first.policies[&PolicyScope::Function].revision;
    let second = first
        .with_statement(PolicyScope::Function, Some(seen.as_str()), statement("s2"), |_| 10)
        .unwrap();
    let stale =
        second.with_statement(PolicyScope::Function, Some(seen.as_str()), statement("s3"), |_| 10);
    assert_eq!(stale.unwrap_err(), Refusal::PolicyRevision);
    let stale = second.without_statement(&PolicyScope::Function, Some(seen.as_str()), "s1");
    assert_eq!(stale.unwrap_err(), Refusal::PolicyRevision);
}

#[test]
fn a_policy_that_grows_past_its_limit_is_refused() {
    let refused =
        function().with_statement(PolicyScope::Function, None, statement("s"), |_| 20 * 1024 + 1);
    assert_eq!(refused.unwrap_err(), Refusal::PolicyTooLong { bytes: 20 * 1024 + 1 });
}

#[test]
fn a_qualifier_has_one_url_and_keeps_its_identifier_when_changed() {
    let (with, url) = function().with_url(new_url(None)).unwrap();
    assert_eq!(with.with_url(new_url(None)).unwrap_err(), Refusal::UrlExists);
    let alias = NewAlias {
        name: AliasName::parse("live").unwrap(),
        version: Version::Latest,
        description: Description::default(),
        second: None,
    };
    let (with, _) = with.with_alias(alias).unwrap();
    let (with, _) = with.with_url(new_url(Some("live"))).unwrap();
    let change = UrlChange { auth: Some(AuthType::AwsIam), at_ms: 9, ..UrlChange::default() };
    let (with, changed) = with.with_url_changed(None, change).unwrap();
    assert_eq!((&changed.id, changed.created_ms, changed.modified_ms), (&url.id, 5, 9));
    assert_eq!(changed.auth, AuthType::AwsIam);
    let without = with.without_url(None).unwrap();
    assert_eq!(without.without_url(None).unwrap_err(), Refusal::NoUrl);
    assert_eq!(without.urls.len(), 1);
}

#[test]
fn a_secret_is_not_printed() {
    let key = AccessKey { id: "AK".to_owned(), secret: "hush".to_owned(), created_ms: 0 };
    assert!(!format!("{key:?}").contains("hush"));
}
