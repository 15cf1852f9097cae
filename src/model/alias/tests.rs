//! Where calls go.

use proptest::prelude::*;

use super::*;

fn alias(weight: f64) -> Alias {
    Alias {
        name: AliasName::parse("live").unwrap(),
        version: Version::Number(1),
        description: Description::default(),
        second: Some(Share { version: 2, weight: Weight::parse(weight).unwrap() }),
        revision: RevisionId::random(),
    }
}

/// A request whose first 48 bits are these.
fn request(bits: u64) -> RequestId {
    let digits = format!("{bits:012x}");
    let (first, second) = digits.split_at(8);
    RequestId::parse(&format!("{first}-{second}-4000-8000-000000000000")).unwrap()
}

const ALL: u64 = 1 << 48;

#[test]
fn a_weight_is_a_number_from_nothing_to_all() {
    for (part, fits) in
        [(0.0, true), (1.0, true), (0.5, true), (-0.1, false), (1.1, false), (f64::NAN, false)]
    {
        assert_eq!(Weight::parse(part).is_some(), fits, "{part}");
    }
}

#[test]
fn without_a_second_version_every_call_goes_to_the_first() {
    let alias = Alias { second: None, ..alias(1.0) };
    for bits in [0, ALL / 2, ALL - 1] {
        assert_eq!(alias.draw(Roll::of(&request(bits))), Version::Number(1));
    }
    assert_eq!(alias.parts(7).collect::<Vec<_>>(), [(Version::Number(1), 7)]);
}

#[test]
fn a_weight_of_nothing_is_never_drawn_and_the_whole_always() {
    for bits in [0, 1, ALL / 2, ALL - 1] {
        let roll = Roll::of(&request(bits));
        assert_eq!(alias(0.0).draw(roll), Version::Number(1));
        assert_eq!(alias(1.0).draw(roll), Version::Number(2));
    }
}

#[test]
fn only_the_digits_before_the_kind_of_identifier_count() {
    let same = "00000000-0000-4fff-bfff-ffffffffffff";
    assert_eq!(Roll::of(&RequestId::parse(same).unwrap()), Roll(0.0));
    let half = "80000000-0000-4000-8000-000000000000";
    assert_eq!(Roll::of(&RequestId::parse(half).unwrap()), Roll(0.5));
    let upper = "FFFFFFFF-FFFF-4000-8000-000000000000";
    assert_eq!(Roll::of(&RequestId::parse(upper).unwrap()), Roll::of(&request(ALL - 1)));
}

#[test]
fn the_identifiers_that_are_given_to_calls_are_as_even_as_a_fair_coin() {
    let alias = alias(0.25);
    let calls = 40_000;
    let second = (0..calls)
        .filter(|_| alias.draw(Roll::of(&RequestId::random())) == Version::Number(2))
        .count();
    // Ten standard deviations of a fair draw: less than once in the age of the universe.
    let deviation = (f64::from(calls) * 0.25 * 0.75).sqrt();
    assert!((second as f64 - 10_000.0).abs() < 10.0 * deviation, "{second} of {calls}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Rolls at even distances, so that nothing here is left to chance.
    #[test]
    fn a_version_is_drawn_as_often_as_its_weight_says(weight in 0.0..=1.0_f64) {
        let alias = alias(weight);
        let calls = 1_000;
        let second = (0..calls)
            .map(|n| Roll::of(&request(ALL / calls * n)))
            .filter(|roll| alias.draw(*roll) == Version::Number(2))
            .count();
        prop_assert!((second as f64 - weight * calls as f64).abs() <= 1.0, "{second} at {weight}");
    }

    #[test]
    fn a_call_that_goes_to_the_second_version_goes_there_at_every_greater_weight(
        bits in 0..ALL, one in 0.0..=1.0_f64, other in 0.0..=1.0_f64,
    ) {
        let roll = Roll::of(&request(bits));
        let (less, more) = (one.min(other), one.max(other));
        if alias(less).draw(roll) == Version::Number(2) {
            prop_assert_eq!(alias(more).draw(roll), Version::Number(2));
        }
    }

    #[test]
    fn parts_are_whole_and_make_up_the_whole(weight in 0.0..=1.0_f64, count in 0..=u32::MAX) {
        let parts: Vec<(Version, u32)> = alias(weight).parts(count).collect();
        prop_assert_eq!(parts.iter().map(|(_, part)| u64::from(*part)).sum::<u64>(), count.into());
        let off = (f64::from(parts[1].1) - weight * f64::from(count)).abs();
        prop_assert!(off <= 0.5, "{parts:?}");
    }
}
