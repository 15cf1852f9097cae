//! What may be provisioned, and what that takes from whom.

use super::*;
use crate::example::{name, new_function};
use crate::lifecycle::{NewFunction, Settlement};
use model::name::AliasName;
use model::{FunctionId, Generation};

const ACCOUNT: Unreserved = Unreserved { limit: 1000, minimum: 100 };

/// A function with version 1, ready.
fn function() -> Function {
    let mut next = 0;
    let new = NewFunction { publish: true, ..new_function("f") };
    let generations = || {
        next += 1;
        Generation(next)
    };
    let function = Function::create(FunctionId(1), new, generations);
    function.settle(function.latest.generation, &Settlement::Ready).unwrap()
}

fn provisioning(number: u64, wanted: u32) -> Provisioning {
    Provisioning { qualifier: Qualifier::Version(number), wanted, at_ms: 7 }
}

fn provision(function: &Function, wanted: u32, set_aside: u64) -> Result<Function, Refusal> {
    let totals = Totals { set_aside, ..Totals::default() };
    function.with_provisioned(&provisioning(1, wanted), totals, ACCOUNT)
}

#[test]
fn both_sides_of_what_stays_for_everybody() {
    let function = function();
    assert_eq!(provision(&function, 900, 0).unwrap().set_aside(), 900);
    let refused = Refusal::Unprovisioned { minimum: 100 };
    assert_eq!(provision(&function, 901, 0).unwrap_err(), refused);
    assert_eq!(provision(&function, 1000, 0).unwrap_err(), refused);
    assert_eq!(
        provision(&function, 1001, 0).unwrap_err(),
        Refusal::BeyondUnreserved { left: 1000 }
    );
    assert_eq!(provision(&function, 500, 400).unwrap().provisioned_total(), 500);
    assert_eq!(provision(&function, 501, 400).unwrap_err(), refused);
}

#[test]
fn a_change_takes_only_the_difference() {
    let function = provision(&function(), 900, 0).unwrap();
    let less = provision(&function, 899, 900).unwrap();
    assert_eq!(provision(&less, 900, 899).unwrap(), function);
    assert_eq!(less.provisioned[&Qualifier::Version(1)].modified_ms, 7);
}

#[test]
fn a_reservation_holds_all_that_is_provisioned_and_is_all_that_is_set_aside() {
    let function = function().with_reserved_concurrency(Some(5));
    // Whatever others have reserved: this is reserved already.
    let within = provision(&function, 5, 5 + 900).unwrap();
    assert_eq!((within.provisioned_total(), within.set_aside()), (5, 5));
    assert_eq!(provision(&function, 6, 5).unwrap_err(), Refusal::BeyondReserved);
    let without = within.without_provisioned(&Qualifier::Version(1));
    assert_eq!((without.provisioned_total(), without.set_aside()), (0, 5));
}

#[test]
fn a_version_has_a_floor_once_it_can_be_served() {
    let function = provision(&function(), 3, 0).unwrap();
    let floors = function.floors();
    assert_eq!(floors.len(), 1);
    assert_eq!((floors[0].0.version.text().as_str(), floors[0].1), ("1", 3));
    let mut pending = (*function.versions[&1]).clone();
    pending.state = State::Pending;
    let versions = BTreeMap::from([(1, Arc::new(pending))]);
    let function = Function { versions: Arc::new(versions), ..function };
    assert!(function.floors().is_empty());
}

#[test]
fn a_version_that_is_deleted_takes_what_it_had_provisioned_with_it() {
    let function = provision(&function(), 3, 0).unwrap().without_version(1).unwrap();
    assert_eq!((function.provisioned_total(), function.floors().len()), (0, 0));
}

#[test]
fn nothing_is_provisioned_for_what_there_is_not() {
    let function = function();
    let totals = Totals::default();
    let missing = function.with_provisioned(&provisioning(2, 1), totals, ACCOUNT);
    assert_eq!(missing.unwrap_err(), Refusal::NoVersion);
    let qualifier = Qualifier::Alias(AliasName::parse("live").unwrap());
    let missing = Provisioning { qualifier, ..provisioning(1, 1) };
    let missing = function.with_provisioned(&missing, totals, ACCOUNT);
    assert_eq!(missing.unwrap_err(), Refusal::NoVersion);
    assert_eq!(function.name, name("f"));
}
