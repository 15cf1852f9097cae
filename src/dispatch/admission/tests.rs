//! What the two kinds of room promise.

use model::{FunctionId, Generation};

use super::{Charge, Concurrency, Facts, Limits, Memory, Throttle};

const A: FunctionId = FunctionId(1);
const B: FunctionId = FunctionId(2);

const MIB: u64 = 1 << 20;

fn memory(ceiling: Option<u64>) -> Memory {
    Memory::new(&Limits {
        memory_reserve: 100 * MIB,
        memory_ceiling: ceiling,
        start_estimate: 10 * MIB,
        ..Limits::default()
    })
}

#[test]
fn the_account_limit_is_reached_exactly() {
    let mut concurrency = Concurrency::new(2);
    assert_eq!(concurrency.admit(A, None, || None), Ok(Charge::Unreserved));
    assert_eq!(concurrency.admit(B, None, || None), Ok(Charge::Unreserved));
    assert_eq!(concurrency.admit(A, None, || None), Err(Throttle::Account));
    concurrency.release(B, Charge::Unreserved);
    assert_eq!(concurrency.admit(A, None, || None), Ok(Charge::Unreserved));
}

#[test]
fn reserved_zero_refuses_every_event() {
    assert_eq!(Concurrency::new(10).admit(A, Some(0), || None), Err(Throttle::Function));
}

#[test]
fn what_others_have_reserved_is_not_given_to_those_without() {
    let mut concurrency = Concurrency::new(10);
    concurrency.set_reserved(8);
    assert_eq!(concurrency.admit(A, None, || None), Ok(Charge::Unreserved));
    assert_eq!(concurrency.admit(A, None, || None), Ok(Charge::Unreserved));
    assert_eq!(concurrency.admit(A, None, || None), Err(Throttle::Account));
    for _ in 0..8 {
        assert_eq!(concurrency.admit(B, Some(8), || None), Ok(Charge::Reserved));
    }
    assert_eq!(concurrency.admit(B, Some(8), || None), Err(Throttle::Function));
}

#[test]
fn events_in_flight_count_when_a_reservation_is_made_over_them() {
    let mut concurrency = Concurrency::new(10);
    assert_eq!(concurrency.admit(A, None, || None), Ok(Charge::Unreserved));
    assert_eq!(concurrency.admit(A, Some(1), || None), Err(Throttle::Function));
    concurrency.release(A, Charge::Unreserved);
    assert_eq!(concurrency.admit(A, Some(1), || None), Ok(Charge::Reserved));
    concurrency.release(A, Charge::Reserved);
    assert_eq!((concurrency.admitted(), concurrency.of(A)), (0, 0));
}

#[test]
fn reservations_above_the_account_leave_the_rest_nothing_rather_than_everything() {
    let mut concurrency = Concurrency::new(10);
    concurrency.set_reserved(11);
    assert_eq!(concurrency.admit(A, None, || None), Err(Throttle::Account));
}

#[test]
fn throttles_have_the_reasons_clients_know() {
    assert_eq!(Throttle::Function.reason(), "ReservedFunctionConcurrentInvocationLimitExceeded");
    for throttle in [Throttle::Account, Throttle::Rate, Throttle::Memory, Throttle::Capacity] {
        assert_eq!(throttle.reason(), "ConcurrentInvocationLimitExceeded");
    }
}

#[test]
fn nothing_is_short_before_it_was_measured() {
    assert!(memory(None).fits(0));
}

#[test]
fn the_reserve_stays_free() {
    let mut memory = memory(None);
    memory.observe(Facts { used: 0, available: 110 * MIB });
    assert!(memory.fits(0));
    memory.observe(Facts { used: 0, available: 110 * MIB - 1 });
    assert!(!memory.fits(0));
    assert!(memory.fits(1));
}

#[test]
fn starts_count_before_they_can_be_measured() {
    let mut memory = memory(None);
    memory.observe(Facts { used: 0, available: 125 * MIB });
    assert!(memory.fits(0));
    memory.promise();
    assert!(memory.fits(0));
    memory.promise();
    assert!(!memory.fits(0));
    memory.observe(Facts { used: 20 * MIB, available: 125 * MIB });
    assert!(memory.fits(0));
}

#[test]
fn the_ceiling_bounds_what_sandboxes_use() {
    let mut memory = memory(Some(50 * MIB));
    memory.observe(Facts { used: 40 * MIB, available: u64::MAX });
    assert!(memory.fits(0));
    memory.promise();
    assert!(!memory.fits(0));
    memory.give_back(10 * MIB);
    assert!(memory.fits(0));
}

#[test]
fn what_is_provisioned_counts_against_what_is_set_aside_and_not_against_the_rest() {
    let mut concurrency = Concurrency::new(10);
    concurrency.set_reserved(9);
    let floor = Charge::Provisioned(Generation(1));
    assert_eq!(concurrency.admit(A, None, || Some(Generation(1))), Ok(floor));
    assert_eq!(concurrency.admit(A, None, || None), Ok(Charge::Unreserved));
    assert_eq!(concurrency.admit(A, None, || None), Err(Throttle::Account));
    assert_eq!(concurrency.admit(A, None, || Some(Generation(1))), Ok(floor));
    concurrency.release(A, floor);
    assert_eq!(concurrency.admit(A, None, || None), Err(Throttle::Account));
    // A reservation is the function's, floors and all.
    assert_eq!(concurrency.admit(B, Some(1), || unreachable!("not asked")), Ok(Charge::Reserved));
    assert_eq!(concurrency.admitted(), 3);
}
