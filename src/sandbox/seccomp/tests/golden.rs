//! Every number from 0 to 1023, against the lists in `golden/`, in both directions.
//!
//! The lists are written down apart from the tables on purpose: a change of a table shows in them as
//! what it does, number by number, and both must be changed.

use std::collections::BTreeMap;

use super::{ALLOW, KILL, arch, run};
use crate::seccomp::{Decision, Policy, Verdict, entries, program};

/// Behind the highest number that the program in a real cell calls.
const END: u32 = 1024;
/// Two trampolines of the kernel itself, which it lets through every filter and answers with `SIGILL`
/// anywhere but in their place.
const TRAMPOLINES: [u32; 2] = [335, 336];

/// A line of a list without its number: name, decision, and for a function what the program in a
/// real cell sees when every argument is -1.
type Row = (String, String, Option<String>);

fn word(errno: i32) -> String {
    match errno {
        // As if it had been done.
        0 => "done".to_owned(),
        errno => format!("{:?}", nix::errno::Errno::from_raw(errno)),
    }
}

fn decision(decision: Decision) -> String {
    match decision {
        Decision::Always(Verdict::Allow) => "allow".to_owned(),
        Decision::Always(Verdict::Kill) => "kill".to_owned(),
        Decision::Always(Verdict::Refuse(errno)) => word(errno),
        Decision::Arguments(_) => "arguments".to_owned(),
    }
}

/// The lines of a list; `from..to` stands for every number of the range.
fn read(text: &str) -> BTreeMap<u32, Row> {
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let mut fields = line.split_whitespace();
        let mut next = || fields.next().map(str::to_owned);
        let (numbers, name, decision) = (next().unwrap(), next().unwrap(), next().unwrap());
        let probe = next();
        let (from, to) = numbers.split_once("..").unwrap_or((&numbers, &numbers));
        for number in from.parse().unwrap()..=to.parse().unwrap() {
            let row = (name.clone(), decision.clone(), probe.clone());
            assert!(rows.insert(number, row).is_none(), "{number} is there twice");
        }
    }
    rows
}

/// Compares number by number; what differs is printed as the list would have to say it.
#[track_caller]
fn compare(list: &str, decided: impl Fn(u32) -> Option<(String, Option<String>)>) {
    let listed = read(list);
    let mut wrong = Vec::new();
    for number in 0..END {
        let row = listed.get(&number);
        let there = row.map(|(_, decision, probe)| (decision.clone(), probe.clone()));
        let expected = decided(number);
        if there != expected {
            let name = row.map_or("?", |(name, _, _)| name);
            wrong.push(match expected {
                None => format!("{number} must not be listed"),
                Some((decision, probe)) => {
                    format!("{number} {name} {decision} {}", probe.unwrap_or_default())
                }
            });
        }
    }
    assert!(wrong.is_empty(), "list and tables differ:\n{}", wrong.join("\n"));
    assert!(listed.keys().all(|number| *number < END));
}

#[test]
fn every_number_of_a_function_is_on_the_golden_list() {
    let policy = Policy::complete();
    let filter = program(&policy);
    let list = include_str!("../golden/function.txt");
    compare(list, |number| {
        let seen = match run(&filter, arch::AUDIT, number, [u64::MAX; 6]) {
            ALLOW => "passes".to_owned(),
            KILL => "kill".to_owned(),
            _ if TRAMPOLINES.contains(&number) => "trampoline".to_owned(),
            refused => word((refused & libc::SECCOMP_RET_DATA).cast_signed()),
        };
        Some((decision(policy.decide(number)), Some(seen)))
    });
    // The list's names are the table's.
    let listed = read(list);
    for entry in entries() {
        assert_eq!(listed[&entry.number].0, entry.name);
    }
}

#[test]
fn what_our_own_processes_may_call_is_on_their_golden_lists() {
    let unlisted = |otherwise| {
        move |policy: &Policy, number| {
            let decided = policy.decide(number);
            let never = Decision::Always(Verdict::Refuse(libc::ENOSYS));
            let usual = number > arch::HIGHEST || (arch::GAP.0..=arch::GAP.1).contains(&number);
            let default = if usual { never } else { Decision::Always(otherwise) };
            (decided != default).then(|| (decision(decided), None))
        }
    };
    let killed = unlisted(Verdict::Kill);
    let spawner = Policy::spawner();
    compare(include_str!("../golden/spawner.txt"), |number| killed(&spawner, number));
    let outer = Policy::outer();
    compare(include_str!("../golden/outer.txt"), |number| killed(&outer, number));
    let allowed = unlisted(Verdict::Allow);
    let control_plane = Policy::control_plane();
    compare(include_str!("../golden/control_plane.txt"), |number| allowed(&control_plane, number));
    // The maker's is what it has beside a function's.
    let (maker, function) = (Policy::maker(), Policy::complete());
    compare(include_str!("../golden/maker.txt"), |number| {
        let decided = maker.decide(number);
        (decided != function.decide(number)).then(|| (decision(decided), None))
    });
    // And so is a template's.
    let template = Policy::template();
    compare(include_str!("../golden/template.txt"), |number| {
        let decided = template.decide(number);
        (decided != function.decide(number)).then(|| (decision(decided), None))
    });
}
