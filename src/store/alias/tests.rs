//! What aliases point to, and what stands in their way.

use model::alias::Weight;
use model::configuration::RoleArn;
use model::url::AuthType;
use model::{FunctionId, Generation, RequestId};

use super::*;
use crate::access::{NewUrl, Policy};
use crate::example::new_function;
use crate::function::ConfigurationChange;
use crate::lifecycle::{NewFunction, Publication, Settlement, Update};
use crate::provisioned::Provisioning;
use crate::snapshot::Totals;
use crate::store::Unreserved;

const ACCOUNT: Unreserved = Unreserved { limit: 1000, minimum: 100 };
/// Before and after half of everything.
const LOW: &str = "00000000-0000-4000-8000-000000000000";
const HIGH: &str = "ffffffff-ffff-4000-8000-000000000000";

/// A function with versions 1 to 3, ready; the third has another role.
fn function() -> Function {
    let mut last = 0;
    let mut next = || {
        last += 1;
        Generation(last)
    };
    let new = NewFunction { publish: true, ..new_function("f") };
    let mut function = Function::create(FunctionId(1), new, &mut next);
    function = function.settle(function.latest.generation, &Settlement::Ready).unwrap();
    for (text, role) in [("second", "r"), ("third", "other")] {
        let role = RoleArn::parse(&format!("arn:aws:iam::000000000000:role/{role}")).unwrap();
        let configuration = ConfigurationChange {
            role: Some(role),
            description: Some(Description::parse(text).unwrap()),
            ..ConfigurationChange::default()
        };
        let update = Update { configuration, ..Update::default() };
        function = function.begin_update(&update, &mut next).unwrap();
        function = function.settle(function.latest.generation, &Settlement::Ready).unwrap();
        function = function.publish(&Publication::default(), &mut next).unwrap().0;
    }
    function
}

fn named(text: &str) -> AliasName {
    AliasName::parse(text).unwrap()
}

fn share(version: u64, weight: f64) -> Option<Share> {
    Some(Share { version, weight: Weight::parse(weight).unwrap() })
}

fn new(name: &str, version: u64, second: Option<Share>) -> NewAlias {
    let version = Version::Number(version);
    NewAlias { name: named(name), version, description: Description::default(), second }
}

/// The function with alias `live` for version 1.
fn live(second: Option<Share>) -> Function {
    function().with_alias(new("live", 1, second)).unwrap().0
}

fn change(function: &Function, change: AliasChange) -> Result<Function, Refusal> {
    function.with_alias_changed(&named("live"), change).map(|(function, _)| function)
}

fn provision(function: &Function, qualifier: Qualifier) -> Result<Function, Refusal> {
    let provisioning = Provisioning { qualifier, wanted: 10, at_ms: 7 };
    function.with_provisioned(&provisioning, Totals::default(), ACCOUNT)
}

fn floors(function: &Function) -> Vec<(String, u32)> {
    let floors = function.floors().into_iter();
    floors.map(|(runnable, wanted)| (runnable.version.text(), wanted)).collect()
}

fn alias() -> Qualifier {
    Qualifier::Alias(named("live"))
}

fn to(version: u64) -> AliasChange {
    AliasChange { version: Some(Version::Number(version)), ..AliasChange::default() }
}

fn serves(function: &Function, request: &str) -> Version {
    let roll = || Roll::of(&RequestId::parse(request).unwrap());
    function.serving(Some(&alias()), roll).unwrap().version
}

#[test]
fn a_call_goes_to_what_the_alias_points_to() {
    let function = live(None);
    let never = || -> Roll { panic!("there is nothing to draw") };
    let serving = function.serving(Some(&alias()), never).unwrap();
    assert_eq!(serving.version, Version::Number(1));
    let moved = change(&function, to(2)).unwrap();
    assert_eq!(moved.serving(Some(&alias()), never).unwrap().version, Version::Number(2));
    assert_eq!(moved.version(Some(&alias())).unwrap().version, Version::Number(2));
    let other = Qualifier::Alias(named("other"));
    assert!(moved.serving(Some(&other), never).is_none());
    assert!(moved.version(Some(&other)).is_none());
}

#[test]
fn an_alias_may_point_to_what_is_not_published() {
    let latest = NewAlias { version: Version::Latest, ..new("live", 1, None) };
    let (function, _) = function().with_alias(latest).unwrap();
    assert_eq!(serves(&function, LOW), Version::Latest);
}

#[test]
fn an_alias_with_a_second_version_divides_its_calls() {
    let function = live(share(2, 0.5));
    assert_eq!(serves(&function, LOW), Version::Number(2));
    assert_eq!(serves(&function, HIGH), Version::Number(1));
    let first = function.version(Some(&alias())).unwrap();
    assert_eq!(first.version, Version::Number(1), "who looks sees the first");
    let whole = AliasChange { second: Some(None), ..to(2) };
    let function = change(&function, whole).unwrap();
    assert_eq!(serves(&function, HIGH), Version::Number(2));
}

#[test]
fn an_alias_points_to_versions_that_are_there_published_different_and_of_one_role() {
    let function = function();
    let refused = |version, second| {
        let new = NewAlias { version, ..new("live", 1, second) };
        function.with_alias(new).unwrap_err()
    };
    let missing = |number| Refusal::VersionMissing { version: Version::Number(number) };
    assert_eq!(refused(Version::Number(4), None), missing(4));
    assert_eq!(refused(Version::Number(1), share(4, 0.1)), missing(4));
    assert_eq!(refused(Version::Latest, share(1, 0.1)), Refusal::LatestWeighted);
    let twice = Refusal::VersionRepeated { version: Version::Number(1) };
    assert_eq!(refused(Version::Number(1), share(1, 0.1)), twice);
    assert_eq!(refused(Version::Number(1), share(3, 0.1)), Refusal::RolesDiffer);
    let function = live(share(2, 0.1));
    let into_itself = change(&function, to(2)).unwrap_err();
    assert_eq!(into_itself, Refusal::VersionRepeated { version: Version::Number(2) });
}

#[test]
fn an_alias_is_changed_by_who_has_seen_it_and_every_change_shows() {
    let function = live(None);
    assert_eq!(function.with_alias(new("live", 2, None)).unwrap_err(), Refusal::AliasExists);
    let seen = function.alias(&named("live")).unwrap().revision;
    let by = |revision: &str| AliasChange { revision: Some(revision.to_owned()), ..to(2) };
    assert_eq!(change(&function, by("stale")).unwrap_err(), Refusal::FunctionRevision);
    let changed = change(&function, by(seen.as_str())).unwrap();
    let now = changed.alias(&named("live")).unwrap();
    assert_ne!(now.revision, seen);
    assert_eq!(change(&changed, by(seen.as_str())).unwrap_err(), Refusal::FunctionRevision);
    let missing = function.with_alias_changed(&named("none"), AliasChange::default());
    assert_eq!(missing.unwrap_err(), Refusal::NoAlias);
}

#[test]
fn a_version_stays_while_any_alias_sends_it_calls() {
    let function = live(share(2, 0.0));
    let (function, _) = function.with_alias(new("beta", 2, None)).unwrap();
    let refused = |number| function.without_version(number).unwrap_err();
    assert_eq!(refused(1), Refusal::VersionAliased { aliases: vec![named("live")] });
    let both = vec![named("beta"), named("live")];
    assert_eq!(refused(2), Refusal::VersionAliased { aliases: both });
    assert!(function.without_version(3).is_ok());
    let without = function.without_alias(&named("live"));
    assert!(without.without_version(1).is_ok());
}

#[test]
fn what_is_provisioned_follows_the_alias_and_is_divided_as_its_calls_are() {
    let function = provision(&live(None), alias()).unwrap();
    assert_eq!(floors(&function), [("1".to_owned(), 10)]);
    let second = Some(share(2, 0.25));
    let divided = change(&function, AliasChange { second, ..AliasChange::default() }).unwrap();
    assert_eq!(floors(&divided), [("1".to_owned(), 7), ("2".to_owned(), 3)]);
    assert_eq!(provision(&divided, alias()).unwrap_err(), Refusal::AliasWeighted);
    let whole = change(&divided, AliasChange { second: Some(None), ..to(2) }).unwrap();
    assert_eq!(floors(&whole), [("2".to_owned(), 10)]);
    assert!(floors(&whole.without_alias(&named("live"))).is_empty());
}

#[test]
fn a_version_is_provisioned_itself_or_by_aliases_and_never_both() {
    let (one, two) = (Qualifier::Version(1), Qualifier::Version(2));
    let by_alias = provision(&live(None), alias()).unwrap();
    assert_eq!(provision(&by_alias, one.clone()).unwrap_err(), Refusal::AliasProvisioned);
    let both = provision(&by_alias, two).unwrap();
    assert_eq!(change(&both, to(2)).unwrap_err(), Refusal::VersionProvisioned);
    let second = Some(share(2, 0.1));
    let refused = change(&both, AliasChange { second, ..AliasChange::default() });
    assert_eq!(refused.unwrap_err(), Refusal::VersionProvisioned);
    assert_eq!(floors(&change(&both, to(3)).unwrap()).len(), 2);
    let by_itself = provision(&live(None), one).unwrap();
    assert_eq!(provision(&by_itself, alias()).unwrap_err(), Refusal::VersionProvisioned);
    let (other, _) = by_alias.with_alias(new("beta", 1, None)).unwrap();
    let beta = provision(&other, Qualifier::Alias(named("beta"))).unwrap();
    assert_eq!(floors(&beta), [("1".to_owned(), 20)], "two aliases may share a version");
}

#[test]
fn what_is_not_published_is_provisioned_by_no_way() {
    let latest = AliasChange { version: Some(Version::Latest), ..AliasChange::default() };
    let unpublished = change(&live(None), latest.clone()).unwrap();
    assert_eq!(provision(&unpublished, alias()).unwrap_err(), Refusal::Unpublished);
    let provisioned = provision(&live(None), alias()).unwrap();
    assert_eq!(change(&provisioned, latest).unwrap_err(), Refusal::Unpublished);
}

#[test]
fn an_alias_takes_its_policy_along_and_leaves_its_url() {
    let mut function = provision(&live(None), alias()).unwrap();
    let policy = Policy { revision: RevisionId::random(), statements: vec![] };
    let scope = PolicyScope::Alias(named("live"));
    function.policies = Arc::new(BTreeMap::from([(scope, policy)]));
    let url = |alias| NewUrl {
        alias: Some(named(alias)),
        auth: AuthType::None,
        cors: None,
        invoke_mode: None,
        at_ms: 1,
    };
    assert_eq!(function.with_url(url("none")).unwrap_err(), Refusal::NoAlias);
    let (function, _) = function.with_url(url("live")).unwrap();
    let without = function.without_alias(&named("live"));
    assert!(without.policies.is_empty() && without.provisioned.is_empty());
    assert!(without.url(Some(&named("live"))).is_some(), "as on AWS");
}
