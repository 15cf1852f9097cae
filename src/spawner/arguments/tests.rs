//! Arguments are read in both spellings, and mistakes are named.

use std::ffi::OsString;

use sandbox::checks::Need;
use sandbox::identity::Allotment;

use super::{Arguments, ArgumentsError};

const GOOD: [&str; 9] = [
    "--images",
    "/i",
    "--code=/c",
    "--instance",
    "a-b",
    "--capacity=7",
    "--runner-fd",
    "9",
    "--allow-unenforced=cpu,swap",
];

fn parse(given: &[&str]) -> Result<Arguments, ArgumentsError> {
    let given: Vec<OsString> = given.iter().map(Into::into).collect();
    Arguments::parse(&given)
}

#[test]
fn both_spellings_are_read_and_the_state_directory_has_a_default() {
    let arguments = parse(&GOOD).unwrap();
    assert_eq!(arguments.state.to_str(), Some("/run/hearth"));
    assert_eq!((arguments.capacity, arguments.runner), (7, 9));
    assert_eq!(arguments.unenforced, [Need::Cpu, Need::Swap]);
}

#[test]
fn ids_of_an_ordinary_user_are_read() {
    let mut given = GOOD.to_vec();
    assert_eq!(parse(&given).unwrap().subordinate, None);
    given.push("--subordinate-ids=100000:200000:65536");
    let expected = Allotment { first_user: 100_000, first_group: 200_000, count: 65_536 };
    assert_eq!(parse(&given).unwrap().subordinate, Some(expected));
}

#[test]
fn what_is_missing_is_named() {
    for at in [0, 2, 3, 5, 6] {
        let mut given = GOOD.to_vec();
        given.remove(at);
        if !GOOD[at].contains('=') {
            given.remove(at);
        }
        let name = GOOD[at].split('=').next().unwrap();
        let refused = parse(&given).unwrap_err();
        assert!(matches!(refused, ArgumentsError::Missing { argument } if argument == name));
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    for bad in [
        "--images=relative",
        "--instance=../x",
        "--instance=",
        "--capacity=0",
        "--capacity=10001",
        "--capacity=many",
        "--runner-fd=3",
        "--runner-fd=-1",
        "--allow-unenforced=namespaces",
        "--allow-unenforced=memory,seccomp",
        "--notify=relative",
        "--notify=@",
        "--subordinate-ids=100000",
        "--subordinate-ids=100000:100000:63",
        "--subordinate-ids=0:100000:65536",
        "--subordinate-ids=4294967000:100000:65536",
        "--subordinate-ids=1:2:65536:4",
    ] {
        let mut given = GOOD.to_vec();
        given.push(bad);
        assert!(matches!(parse(&given), Err(ArgumentsError::Invalid { .. })), "{bad}");
    }
    assert!(matches!(parse(&["--what"]), Err(ArgumentsError::Unknown { .. })));
    assert!(matches!(parse(&["--images"]), Err(ArgumentsError::NoValue { .. })));
}
