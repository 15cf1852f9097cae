//! What of the control groups an ordinary user may use: what was handed to him, and nothing else.
//!
//! A group is delegated by giving its directory and `cgroup.procs` to the user (systemd's
//! `Delegate=yes` does, and so does an administrator's `chown`). Whoever may write there may make
//! groups beneath it and put his own processes into them.

use super::Layout;
use super::room::may_make_groups;

// === impl Layout ===

impl Layout {
    /// This layout without the hierarchies in which this process may not make groups.
    #[must_use]
    pub fn delegated(mut self) -> Self {
        self.v1.retain(|_, home| may_make_groups(&home.own));
        self.v2 = self.v2.filter(|home| may_make_groups(&home.own));
        self
    }
}
