//! Promises about states, revisions, and versions.

use model::configuration::{MemorySize, Timeout};

use super::*;
use crate::example::{code, new_function};
use crate::function::FailureCode;

/// Gives out generations 1, 2, …
struct Generations(u64);

impl Generations {
    fn next(&mut self) -> Generation {
        self.0 += 1;
        Generation(self.0)
    }
}

fn failure() -> Settlement {
    Settlement::Broken(Failure { code: FailureCode::InternalError, reason: "no".to_owned() })
}

fn active(generations: &mut Generations) -> Function {
    let function = Function::create(FunctionId(1), new_function("f"), || generations.next());
    function.settle(function.latest.generation, &Settlement::Ready).unwrap()
}

fn memory(mib: u64) -> Update {
    let memory = Some(MemorySize::parse(mib).unwrap());
    let configuration = ConfigurationChange { memory, ..ConfigurationChange::default() };
    Update { configuration, at_ms: 2000, ..Update::default() }
}

#[test]
fn a_new_function_is_pending_and_has_no_update_status() {
    let mut generations = Generations(0);
    let function = Function::create(FunctionId(1), new_function("f"), || generations.next());
    assert_eq!(function.latest.state, State::Pending);
    assert_eq!(function.latest.last_update, None);
}

#[test]
fn every_transition_draws_a_new_revision() {
    let mut generations = Generations(0);
    let created = Function::create(FunctionId(1), new_function("f"), || generations.next());
    let settled = created.settle(created.latest.generation, &Settlement::Ready).unwrap();
    let updating = settled.begin_update(&memory(256), || generations.next()).unwrap();
    let updated = updating.settle(updating.latest.generation, &Settlement::Ready).unwrap();
    let (published, version) =
        updated.publish(&Publication::default(), || generations.next()).unwrap();
    let mut seen: Vec<_> = [&created, &settled, &updating, &updated, &published]
        .iter()
        .map(|function| function.latest.revision.as_str())
        .chain([version.revision.as_str()])
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn during_an_update_the_new_configuration_is_shown_and_the_old_one_served() {
    let mut generations = Generations(0);
    let before = active(&mut generations);
    let during = before.begin_update(&memory(256), || generations.next()).unwrap();
    assert_eq!(during.latest.last_update, Some(LastUpdate::InProgress));
    assert_eq!(during.latest.configuration.memory.mib(), 256);
    assert_eq!(during.latest.runnable, before.latest.runnable);
    let after = during.settle(during.latest.generation, &Settlement::Ready).unwrap();
    assert_eq!(after.latest.runnable.memory_mib, 256);
    assert_ne!(after.latest.runnable.generation, before.latest.runnable.generation);
    assert_eq!(after.latest.previous, None);
}

#[test]
fn an_update_that_fails_brings_back_what_was_there() {
    let mut generations = Generations(0);
    let before = active(&mut generations);
    let during = before.begin_update(&memory(256), || generations.next()).unwrap();
    let after = during.settle(during.latest.generation, &failure()).unwrap();
    assert!(matches!(after.latest.last_update, Some(LastUpdate::Failed(_))));
    assert_eq!(after.latest.state, State::Active);
    assert_eq!(after.latest.configuration, before.latest.configuration);
    assert_eq!(after.latest.runnable, before.latest.runnable);
}

#[test]
fn a_function_that_could_not_be_made_ready_can_be_updated_into_one_that_can() {
    let mut generations = Generations(0);
    let created = Function::create(FunctionId(1), new_function("f"), || generations.next());
    let failed = created.settle(created.latest.generation, &failure()).unwrap();
    assert_eq!(failed.latest.state.name(), "Failed");
    let update = Update { code: Some(code(2)), ..Update::default() };
    let again = failed.begin_update(&update, || generations.next()).unwrap();
    assert_eq!(again.latest.state, State::Pending);
    let active = again.settle(again.latest.generation, &Settlement::Ready).unwrap();
    assert_eq!(active.latest.state, State::Active);
    assert_eq!(active.latest.runnable.code, code(2).digest);
}

#[test]
fn a_second_update_and_a_publication_wait_for_the_first_to_settle() {
    let mut generations = Generations(0);
    let during =
        active(&mut generations).begin_update(&memory(256), || generations.next()).unwrap();
    let second = during.begin_update(&memory(512), || generations.next());
    assert_eq!(second.unwrap_err(), Refusal::UpdateInProgress);
    let publication = during.publish(&Publication::default(), || generations.next());
    assert_eq!(publication.unwrap_err(), Refusal::UpdateInProgress);
}

#[test]
fn a_pending_function_is_neither_updated_nor_published() {
    let mut generations = Generations(0);
    let pending = Function::create(FunctionId(1), new_function("f"), || generations.next());
    let refusal = Refusal::NotActive { state: "Pending" };
    let update = pending.begin_update(&memory(256), || generations.next());
    assert_eq!(update.unwrap_err(), refusal);
    let publication = pending.publish(&Publication::default(), || generations.next());
    assert_eq!(publication.unwrap_err(), refusal);
}

#[test]
fn a_late_settlement_of_something_else_changes_nothing() {
    let mut generations = Generations(0);
    let before = active(&mut generations);
    assert!(before.settle(before.latest.generation, &Settlement::Ready).is_none());
    let during = before.begin_update(&memory(256), || generations.next()).unwrap();
    assert!(during.settle(before.latest.generation, &Settlement::Ready).is_none());
}

#[test]
fn a_stale_revision_is_refused() {
    let mut generations = Generations(0);
    let function = active(&mut generations);
    let stale = Some("00000000-0000-4000-8000-000000000000".to_owned());
    let update = Update { revision: stale.clone(), ..memory(256) };
    let refused = function.begin_update(&update, || generations.next());
    assert_eq!(refused.unwrap_err(), Refusal::FunctionRevision);
    let publication = Publication { revision: stale, ..Publication::default() };
    let refused = function.publish(&publication, || generations.next());
    assert_eq!(refused.unwrap_err(), Refusal::FunctionRevision);
    let current = Some(function.latest.revision.as_str().to_owned());
    let update = Update { revision: current, ..memory(256) };
    assert!(function.begin_update(&update, || generations.next()).is_ok());
}

#[test]
fn publishing_twice_without_a_change_publishes_once() {
    let mut generations = Generations(0);
    let function = active(&mut generations);
    let described = Publication {
        description: Some(Description::parse("first").unwrap()),
        ..Publication::default()
    };
    let (function, first) = function.publish(&described, || generations.next()).unwrap();
    let (function, second) =
        function.publish(&Publication::default(), || generations.next()).unwrap();
    assert_eq!(first, second);
    assert_eq!(second.configuration.description.as_str(), "first");
    assert_eq!(function.last_version, 1);
}

#[test]
fn publishing_after_a_change_makes_the_next_version_and_numbers_are_not_reused() {
    let mut generations = Generations(0);
    let function = active(&mut generations);
    let (function, _) = function.publish(&Publication::default(), || generations.next()).unwrap();
    let during = function.begin_update(&memory(256), || generations.next()).unwrap();
    let function = during.settle(during.latest.generation, &Settlement::Ready).unwrap();
    let (function, second) =
        function.publish(&Publication::default(), || generations.next()).unwrap();
    assert_eq!(second.version, Version::Number(2));
    let function = function.without_version(2).unwrap();
    let (_, third) = function.publish(&Publication::default(), || generations.next()).unwrap();
    assert_eq!(third.version, Version::Number(3));
}

#[test]
fn publishing_other_code_than_there_is_is_refused() {
    let mut generations = Generations(0);
    let function = active(&mut generations);
    for code in [None, Some(code(9).digest)] {
        let publication = Publication { code: Some(code), ..Publication::default() };
        let refused = function.publish(&publication, || generations.next());
        let current = function.latest.code.digest;
        assert_eq!(refused.unwrap_err(), Refusal::OtherCode { current });
    }
}

#[test]
fn a_version_published_with_the_creation_settles_with_it() {
    let mut generations = Generations(0);
    let new = NewFunction { publish: true, ..new_function("f") };
    let created = Function::create(FunctionId(1), new, || generations.next());
    assert_eq!(created.versions[&1].state, State::Pending);
    let settled = created.settle(created.latest.generation, &Settlement::Ready).unwrap();
    assert_eq!(settled.versions[&1].state, State::Active);
    assert_eq!(settled.versions[&1].runnable.version, Version::Number(1));
    assert_ne!(settled.versions[&1].generation, settled.latest.generation);
}

#[test]
fn a_version_published_with_an_update_settles_with_it() {
    let mut generations = Generations(0);
    let function = active(&mut generations);
    let update = Update { publish: true, code: Some(code(2)), ..Update::default() };
    let during = function.begin_update(&update, || generations.next()).unwrap();
    assert_eq!(during.versions[&1].state, State::Pending);
    assert_eq!(during.versions[&1].code, code(2));
    let failed = during.settle(during.latest.generation, &failure()).unwrap();
    assert!(matches!(failed.versions[&1].state, State::Failed(_)));
    assert_eq!(failed.latest.code, code(1));
    let settled = during.settle(during.latest.generation, &Settlement::Ready).unwrap();
    assert_eq!(settled.versions[&1].state, State::Active);
}

#[test]
fn a_reservation_reaches_every_version_that_is_served() {
    let mut generations = Generations(0);
    let function = active(&mut generations);
    let (function, _) = function.publish(&Publication::default(), || generations.next()).unwrap();
    let timeout = Some(Timeout::parse(60).unwrap());
    let configuration = ConfigurationChange { timeout, ..ConfigurationChange::default() };
    let update = Update { configuration, ..Update::default() };
    let during = function.begin_update(&update, || generations.next()).unwrap();
    let reserved = during.with_reserved_concurrency(Some(7));
    let all = reserved.all_versions().map(|version| version.runnable.reserved_concurrency);
    assert_eq!(all.collect::<Vec<_>>(), [Some(7), Some(7)]);
    for how in [Settlement::Ready, failure()] {
        let settled = reserved.settle(reserved.latest.generation, &how).unwrap();
        assert_eq!(settled.latest.runnable.reserved_concurrency, Some(7), "{how:?}");
    }
    assert_eq!(
        during.generations(),
        reserved.generations(),
        "a reservation is no reason to replace instances"
    );
}
