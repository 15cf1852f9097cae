//! Shares fit, and what does not fit is named.

use super::{Budget, HostLimits};

const HOST: HostLimits = HostLimits {
    inotify_instances: 128,
    inotify_watches: 192_536,
    pending_signals: 96_365,
    orphaned_connections: 131_072,
};

#[test]
fn a_few_cells_get_what_they_want() {
    let budget = Budget::share(&HOST, 4);
    assert_eq!(budget.inotify_instances, 16);
    assert_eq!(budget.inotify_watches, 8_192);
    assert!(budget.shortfall(&HOST, 4).is_empty());
}

#[test]
fn all_shares_together_leave_a_quarter_to_the_host() {
    for capacity in [1, 7, 20, 60, 90] {
        let budget = Budget::share(&HOST, capacity);
        let capacity = u64::from(capacity);
        assert!(budget.inotify_instances * capacity <= 96);
        assert!(budget.inotify_watches * capacity <= 192_536 / 4 * 3);
        assert!(budget.pending_signals * capacity <= 96_365 / 4 * 3);
    }
}

#[test]
fn what_does_not_fit_is_named_with_the_value_that_would() {
    let budget = Budget::share(&HOST, 1_000);
    assert_eq!(budget.inotify_instances, 1);
    let short = budget.shortfall(&HOST, 1_000);
    let (name, value) = short[0];
    assert_eq!(name, "sysctl fs.inotify.max_user_instances");
    let raised = HostLimits { inotify_instances: value, ..HOST };
    // What no cell can be kept from is named although no share depends on it.
    let [(name, value)] = budget.shortfall(&raised, 1_000)[..] else { panic!("one more") };
    assert_eq!(name, "sysctl net.ipv4.tcp_max_orphans");
    let raised = HostLimits { orphaned_connections: value, ..raised };
    assert!(budget.shortfall(&raised, 1_000).is_empty());
}
