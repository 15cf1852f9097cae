//! Nothing in the filter is there without effect, and what is there is small and balanced.

use std::collections::{BTreeMap, BTreeSet};

use super::{apply, arch, policies, steps};
use crate::seccomp::{Condition, Decision, Entry, Policy, Rule, Verdict, entries, own, program};

/// Every table of ours, and what it decides about a number that is not in it.
fn tables() -> [(Vec<&'static Entry>, Policy); 5] {
    let empty = |otherwise| Policy { entries: BTreeMap::new(), otherwise };
    let refuse = Verdict::Refuse(libc::EPERM);
    [
        (entries().collect(), empty(refuse)),
        (own::maker().collect(), Policy::complete()),
        (own::spawner().collect(), empty(Verdict::Kill)),
        (own::outer().collect(), empty(Verdict::Kill)),
        (own::control_plane().collect(), empty(Verdict::Allow)),
    ]
}

#[test]
fn every_table_names_each_call_once_and_says_why() {
    for (entries, _) in tables() {
        let mut seen = BTreeSet::new();
        for entry in entries {
            assert!(seen.insert(entry.number), "{} is there twice", entry.name);
            assert!(!entry.why.is_empty());
            assert!(entry.number <= arch::HIGHEST);
        }
    }
}

#[test]
fn no_entry_says_what_would_be_decided_without_it() {
    for (entries, without) in tables() {
        for entry in entries {
            assert_ne!(entry.decision, without.decide(entry.number), "{} is redundant", entry.name);
        }
    }
}

#[test]
fn no_rule_is_without_effect() {
    let all = tables().into_iter().flat_map(|(entries, _)| entries);
    let ruled = all.filter_map(|entry| match entry.decision {
        Decision::Arguments(rules) => Some((entry.name, rules)),
        Decision::Always(_) => None,
    });
    for (name, rules) in ruled {
        assert!(rules.last().unwrap().when.is_empty(), "{name} may fall through");
        let vectors = interesting(rules);
        // The last one decides the rest; each of the others must change something for somebody.
        for left_out in 0..rules.len() - 1 {
            let mut fewer = rules.to_vec();
            let rule = fewer.remove(left_out);
            assert!(!rule.when.is_empty(), "{name}: nothing is decided behind rule {left_out}");
            let matters = vectors
                .iter()
                .any(|arguments| apply(rules, *arguments) != apply(&fewer, *arguments));
            assert!(matters, "{name}: rule {left_out} is redundant: {rule:?}");
        }
    }
}

/// No condition looks for it.
const STRANGE: u64 = 0x0800_0007;

/// Every combination of argument values that some condition looks for, of two such flags together,
/// and of a value none looks for.
fn interesting(rules: &[Rule]) -> Vec<[u64; 6]> {
    let mut values: [BTreeSet<u64>; 6] = Default::default();
    for condition in rules.iter().flat_map(|rule| rule.when) {
        let (argument, value) = match *condition {
            Condition::Is(argument, value) => (argument, value),
            Condition::Masked(argument, _, value) => (argument, value),
            Condition::Any(argument, bits) => (argument, bits),
            Condition::Absent(argument) => (argument, 0),
        };
        values[usize::from(argument)].extend([0, value.into(), STRANGE]);
    }
    for values in &mut values {
        let single: Vec<u64> = values.iter().copied().collect();
        values.extend(single.iter().flat_map(|one| single.iter().map(move |other| one | other)));
    }
    let mut vectors = vec![[0; 6]];
    for (argument, values) in values.iter().enumerate() {
        vectors = vectors
            .into_iter()
            .flat_map(|vector| {
                let or_none = values.is_empty().then_some(0);
                values.iter().copied().chain(or_none).map(move |value| {
                    let mut vector = vector;
                    vector[argument] = value;
                    vector
                })
            })
            .collect();
    }
    vectors
}

/// What loading costs, where nothing else runs: 8 µs for any filter, 0.1 µs for each instruction that is
/// translated, and 1.2 µs for each step that the average number takes (half of it on top of the
/// maker's, where the kernel asks only about what that always allows). 40 µs are allowed; a cell, which
/// loads no more than its difference to the maker's, takes 20. The maker loads the whole list, once.
const MOST_INSTRUCTIONS: usize = 100;

#[test]
fn the_filter_of_a_cell_is_small_enough_to_be_loaded_in_40_microseconds() {
    let length = program(&Policy::cell()).instructions().len();
    println!("{length} instructions");
    assert!(length <= MOST_INSTRUCTIONS, "{length} instructions");
}

#[test]
fn no_number_is_far_from_the_root_of_the_tree() {
    for policy in policies() {
        let filter = program(&policy);
        let ranges = (1..=arch::HIGHEST + 1)
            .filter(|number| policy.decide(*number) != policy.decide(number - 1))
            .count()
            + 1;
        // Two instructions per level where a half is longer than a jump reaches, seven before the
        // tree and the verdict.
        let depth = ranges.next_power_of_two().ilog2() as usize;
        for number in 0..1024 {
            if let Decision::Always(_) = policy.decide(number) {
                let (_, count) = steps(&filter, arch::AUDIT, number, [0; 6]);
                assert!(count <= depth + 10, "call {number}: {count} steps, {ranges} ranges");
            }
        }
    }
}
