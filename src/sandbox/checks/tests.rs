//! What is missing is said, with a remedy.

use super::{Need, findings, kernel, missing_controller};
use crate::cgroup::{Controller, Layout};

#[test]
fn kernels_before_6_1_are_refused_by_number() {
    for release in ["6.1.0-18-amd64", "6.18.44", "10.0.1"] {
        assert_eq!(kernel(release), None, "{release}");
    }
    for release in ["5.15.0", "6.0.19", "4.19.0-1"] {
        let missing = kernel(release).expect(release);
        assert!(missing.what.contains(release));
    }
}

#[test]
fn a_controller_counts_wherever_it_is() {
    let mounts = "1 0 0:1 / /cg/pids rw - cgroup c rw,pids\n2 0 0:2 / /cg/u rw - cgroup2 c rw\n";
    let layout = Layout::parse("3:pids:/\n0::/\n", mounts);
    let v2 = [Controller::Cpu];
    assert_eq!(missing_controller(Controller::Pids, &layout, &v2), None);
    assert_eq!(missing_controller(Controller::Cpu, &layout, &v2), None);
    let missing = missing_controller(Controller::Memory, &layout, &v2).unwrap();
    assert!(missing.what.contains("memory"), "{missing:?}");
}

#[test]
fn every_need_is_looked_at_once_and_only_limits_may_be_missing() {
    let found: Vec<Need> = findings(&[]).into_iter().map(|finding| finding.need).collect();
    assert_eq!(found, Need::ALL);
    let waivable: Vec<&str> =
        Need::ALL.into_iter().filter(|need| need.may_be_missing()).map(Need::name).collect();
    assert_eq!(waivable, ["memory", "pids", "cpu", "swap"]);
}
