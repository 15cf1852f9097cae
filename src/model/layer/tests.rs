//! Promises about layers of functions.

use super::*;

fn layer(name: &str, version: u64) -> AttachedLayer {
    AttachedLayer {
        name: LayerName::parse(name).unwrap(),
        version,
        archive: Digest([version as u8; 32]),
        size: 10,
        unzipped: 100,
    }
}

#[test]
fn a_name_has_140_characters_at_most() {
    assert!(LayerName::parse(&"a".repeat(140)).is_ok());
    assert!(matches!(
        LayerName::parse(&"a".repeat(141)),
        Err(NameError::TooLong { limit: 140, .. })
    ));
}

#[test]
fn names_are_letters_digits_dashes_and_underscores() {
    for good in ["a", "A-1_b", "0"] {
        assert_eq!(LayerName::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a:1", "a.b", "a b", "ä", "a/b", "a\0"] {
        assert!(LayerName::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_function_has_one_to_five_layers_of_different_names() {
    let tree = Digest([9; 32]);
    let some = |count: u64| (1..=count).map(|n| layer(&format!("l{n}"), n)).collect::<Vec<_>>();
    assert_eq!(AttachedLayers::of(some(0), tree), None);
    for count in 1..=5 {
        let layers = AttachedLayers::of(some(count), tree).unwrap();
        assert_eq!(layers.unzipped(), 100 * count);
        assert_eq!(layers.packages().count() as u64, count + 1);
    }
    assert_eq!(AttachedLayers::of(some(6), tree), None);
    assert_eq!(AttachedLayers::of(vec![layer("a", 1), layer("b", 1), layer("a", 2)], tree), None);
}
