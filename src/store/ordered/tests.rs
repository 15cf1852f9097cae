//! Promises about the ordered map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq)]
struct Entry(String, u32);

impl Keyed for Entry {
    type Key = str;

    fn key(&self) -> &str {
        &self.0
    }
}

fn entry(key: u32, value: u32) -> Arc<Entry> {
    Arc::new(Entry(format!("{key:05}"), value))
}

proptest! {
    #[test]
    fn it_behaves_as_the_standard_map_does(
        steps in proptest::collection::vec((0u32..2000, 0u32..4, any::<bool>()), 0..3000),
        page in 0u32..2100,
    ) {
        let mut ours = Ordered::default();
        let mut theirs = BTreeMap::new();
        for (key, value, put) in steps {
            if put || value == 0 {
                let old = ours.insert(entry(key, value)).map(|old| old.1);
                prop_assert_eq!(old, theirs.insert(format!("{key:05}"), value));
            } else {
                let old = ours.remove(&format!("{key:05}")).map(|old| old.1);
                prop_assert_eq!(old, theirs.remove(&format!("{key:05}")));
            }
        }
        prop_assert_eq!(ours.len(), theirs.len());
        let all: Vec<_> = ours.after(None).map(|entry| (entry.0.clone(), entry.1)).collect();
        prop_assert_eq!(all, theirs.clone().into_iter().collect::<Vec<_>>());
        let marker = format!("{page:05}");
        let rest: Vec<_> = ours.after(Some(&marker)).map(|entry| entry.0.clone()).collect();
        let expected: Vec<_> = theirs.into_keys().filter(|key| *key > marker).collect();
        prop_assert_eq!(rest, expected);
    }
}

#[test]
fn a_change_to_one_of_a_hundred_thousand_entries_shares_all_but_one_run() {
    let mut map = Ordered::default();
    for key in 0..100_000 {
        map.insert(entry(key, 0));
    }
    let before = map.clone();
    map.insert(entry(50_000, 1));
    let copied =
        before.runs.iter().zip(&map.runs).filter(|(old, new)| !Arc::ptr_eq(old, new)).count();
    assert_eq!(copied, 1);
    assert_eq!(before.get("50000").unwrap().1, 0);
    assert_eq!(map.get("50000").unwrap().1, 1);
}

#[test]
fn a_key_before_the_first_is_not_found_and_can_be_put_there() {
    let mut map = Ordered::default();
    map.insert(entry(5, 0));
    assert!(map.get("00001").is_none());
    map.insert(entry(1, 0));
    assert_eq!(
        map.after(None).map(|entry| entry.0.as_str()).collect::<Vec<_>>(),
        ["00001", "00005"]
    );
}

#[test]
fn made_of_many_at_once_it_is_as_if_they_had_come_one_by_one() {
    for count in [0, 1, FILLED, FILLED + 1, 5_000] {
        // Every number once, in no order: 7 has no factor in common with 5,000 and the like.
        let entries: Vec<_> = (0..count).map(|n| entry((n * 7 % count) as u32, 0)).collect();
        let mut one_by_one = Ordered::default();
        for entry in &entries {
            one_by_one.insert(Arc::clone(entry));
        }
        let at_once = Ordered::of(entries);
        assert_eq!(at_once.len(), one_by_one.len());
        assert!(at_once.after(None).eq(one_by_one.after(None)));
    }
}

#[test]
fn a_change_copies_one_run_and_shares_all_others() {
    let mut all = Ordered::default();
    for number in 0..10_000 {
        all.insert(entry(number, 0));
    }
    for change in [entry(5_000, 1), entry(10_000, 0)] {
        let before = all.clone();
        all.insert(change);
        let kept = |run: &Arc<_>| before.runs.iter().any(|other| Arc::ptr_eq(run, other));
        // The run it belongs to; two, if that had to be split.
        assert!(all.runs.iter().filter(|run| !kept(run)).count() <= 2);
        assert!(all.runs.len() < 200, "{} runs", all.runs.len());
    }
}
