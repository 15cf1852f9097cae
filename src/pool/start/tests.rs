//! What of a start can be said without one.

use images::manifest::{Kind, Start};

use super::{refused, version, weight};

#[test]
fn processor_time_follows_memory() {
    assert_eq!(weight(128), 72);
    assert_eq!(weight(1769), 1000);
    assert_eq!(weight(3538), 2000);
    assert_eq!(weight(10_240), 5788);
}

#[test]
fn a_runtime_is_called_by_its_language_and_version() {
    let start = |kind, version: Option<&str>| Start {
        version: version.map(str::to_owned),
        ..Start::executed(kind, vec![])
    };
    assert_eq!(version("python3.11", &start(Kind::Python, Some("3.11.2"))), "python:3.11.2");
    assert_eq!(version("nodejs22.x", &start(Kind::Node, Some("22.1.0"))), "nodejs:22.1.0");
    assert_eq!(version("provided.al2023", &start(Kind::Custom, None)), "provided:al2023");
}

#[test]
fn a_program_that_is_not_there_is_only_a_missing_bootstrap_where_one_was_looked_for() {
    let missing = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]";
    assert_eq!(refused("/var/task/bootstrap", 2), missing);
    assert_eq!(refused("/usr/bin/node", 2), "fork/exec /usr/bin/node: no such file or directory");
}
