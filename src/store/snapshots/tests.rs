//! Promises about versions that are initialised before they are ready.

use model::{FunctionId, Qualifier};

use super::*;
use crate::example::new_function;
use crate::function::FailureCode;
use crate::lifecycle::{Publication, Update};
use crate::provisioned::Provisioning;
use crate::refusal::Refusal;
use crate::snapshot::Totals;
use crate::store::Unreserved;

/// Gives out generations 1, 2, …
struct Generations(u64);

impl Generations {
    fn next(&mut self) -> Generation {
        self.0 += 1;
        Generation(self.0)
    }
}

fn with_snap_start(publish: bool, generations: &mut Generations) -> Function {
    let mut new = new_function("f");
    new.configuration.snap_start = SnapStart::PublishedVersions;
    new.publish = publish;
    Function::create(FunctionId(1), new, || generations.next())
}

fn published(generations: &mut Generations) -> Function {
    let created = with_snap_start(false, generations);
    let active = created.settle(created.latest.generation, &Settlement::Ready).unwrap();
    active.publish(&Publication::default(), || generations.next()).unwrap().0
}

#[test]
fn a_version_waits_for_its_snapshot_and_latest_does_not() {
    let mut generations = Generations(0);
    let function = published(&mut generations);
    assert_eq!(function.latest.state, State::Active);
    assert_eq!(function.versions[&1].state, State::Pending);
    let waiting: Vec<_> = function.to_be_prepared().map(|it| it.generation).collect();
    assert_eq!(waiting, [function.versions[&1].generation]);
}

#[test]
fn one_that_is_published_with_its_function_waits_for_that_first() {
    let mut generations = Generations(0);
    let created = with_snap_start(true, &mut generations);
    assert_eq!(created.to_be_prepared().count(), 0);
    let settled = created.settle(created.latest.generation, &Settlement::Ready).unwrap();
    assert_eq!(settled.latest.state, State::Active);
    assert_eq!(settled.versions[&1].state, State::Pending);
    assert_eq!(settled.to_be_prepared().count(), 1);
    let failure = Failure { code: FailureCode::InternalError, reason: "no".to_owned() };
    let broken = created.settle(created.latest.generation, &Settlement::Broken(failure)).unwrap();
    assert!(matches!(broken.versions[&1].state, State::Failed(_)));
}

#[test]
fn what_came_of_it_is_shown_with_a_revision_of_its_own_and_once() {
    let mut generations = Generations(0);
    let function = published(&mut generations);
    let generation = function.versions[&1].generation;
    let on = function.prepared(generation, &Preparation::Ready(Optimization::On)).unwrap();
    assert_eq!(on.versions[&1].state, State::Active);
    assert_eq!(on.versions[&1].optimization, Optimization::On);
    assert_ne!(on.versions[&1].revision, function.versions[&1].revision);
    assert_eq!(on.to_be_prepared().count(), 0);
    assert_eq!(on.prepared(generation, &Preparation::Ready(Optimization::On)), None);

    let why = Optimization::Off { reason: Some("it has a thread".to_owned()) };
    let off = function.prepared(generation, &Preparation::Ready(why.clone())).unwrap();
    assert_eq!((&off.versions[&1].state, &off.versions[&1].optimization), (&State::Active, &why));

    let failure = Failure { code: FailureCode::InitError, reason: "no".to_owned() };
    let broken = function.prepared(generation, &Preparation::Broken(failure.clone())).unwrap();
    assert_eq!(broken.versions[&1].state, State::Failed(failure));
    assert_eq!(broken.latest.state, State::Active);
}

#[test]
fn an_update_meanwhile_does_not_keep_a_version_from_becoming_ready() {
    let mut generations = Generations(0);
    let function = published(&mut generations);
    let updating = function.begin_update(&Update::default(), || generations.next()).unwrap();
    let generation = function.versions[&1].generation;
    let done = updating.prepared(generation, &Preparation::Ready(Optimization::On)).unwrap();
    assert_eq!(done.versions[&1].state, State::Active);
}

#[test]
fn without_it_a_version_is_ready_at_once() {
    let mut generations = Generations(0);
    let created = Function::create(FunctionId(1), new_function("f"), || generations.next());
    let active = created.settle(created.latest.generation, &Settlement::Ready).unwrap();
    let (function, version) =
        active.publish(&Publication::default(), || generations.next()).unwrap();
    assert_eq!(version.state, State::Active);
    assert_eq!(function.to_be_prepared().count(), 0);
}

#[test]
fn nothing_is_provisioned_of_a_version_that_is_restored() {
    let mut generations = Generations(0);
    let function = published(&mut generations);
    let new = Provisioning { qualifier: Qualifier::Version(1), wanted: 1, at_ms: 0 };
    let unreserved = Unreserved { limit: 1000, minimum: 100 };
    let refused = function.with_provisioned(&new, Totals::default(), unreserved);
    assert_eq!(refused, Err(Refusal::SnapStartProvisioned));
}
