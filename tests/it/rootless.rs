//! Without root: an ordinary user's daemon, with and without what he may have been given.
//!
//! | | no delegated control groups | delegated ones |
//! |---|---|---|
//! | no subordinate ids | the least there is | limits |
//! | subordinate ids and `newuidmap` | a uid for each sandbox | all that root has |
//!
//! [`crate::harness::account`] arranges each. The probes are those of [`crate::isolation`], in the
//! sandboxes of such daemons.

// The walls, and what the same user's other processes could do to them.
mod walls;
// Limits: those that need control groups, and what is left without.
mod limits;
// Beginning and end: refusals, what is said, nothing left behind.
mod life;

use std::sync::Arc;

use crate::harness::{Account, Daemon, Home, Means, Options};

/// The least there is.
const NOTHING: Means = Means { ids: false, groups: false };
/// All there is.
const EVERYTHING: Means = Means { ids: true, groups: true };

/// What a daemon without groups has to be told.
const WAIVER: &str = "--allow-unenforced=memory,pids,cpu,swap";

fn options(account: &Arc<Account>) -> Options {
    let more = if account.means.groups { Vec::new() } else { vec![WAIVER.to_owned()] };
    Options { account: Some(Arc::clone(account)), more, ..Options::default() }
}

/// A daemon of a user with these means.
fn start(means: Means) -> (Arc<Account>, Daemon) {
    let account = Arc::new(Account::new(means));
    let daemon = Daemon::start_in(&Home::new(), &options(&account));
    (account, daemon)
}

/// Ends it as a service manager would; nothing is left, not even in his groups.
#[track_caller]
fn stop(account: &Account, daemon: Daemon) {
    daemon.stop();
    assert_eq!(account.remaining_groups(), Vec::<std::path::PathBuf>::new());
}
