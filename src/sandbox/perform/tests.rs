//! Failures read well.

use std::io;

use nix::errno::Errno;

use super::{Cause, StepError, explain, is_shortage};
use crate::cgroup::LeafError;
use crate::plan::EnterStep;

#[test]
fn a_failed_step_is_explained_in_the_plans_words() {
    let error = StepError::at(&EnterStep::Pivot, Errno::EPERM);
    let text = explain(&error);
    assert_eq!(text, "pivot_root, detach the old root: EPERM: Operation not permitted");
}

#[test]
fn what_may_succeed_later_is_told_from_what_will_not_however_deep_it_lies() {
    let step = |cause: Cause| StepError::at(&EnterStep::Pivot, cause);
    let group = |errno: Errno| {
        let (operation, path, source) = ("create", "/c1".into(), io::Error::from(errno));
        step(LeafError::File { operation, path, source }.into())
    };
    for errno in [Errno::EAGAIN, Errno::EMFILE, Errno::ENOMEM, Errno::ENOSPC] {
        assert!(is_shortage(&step(errno.into())), "{errno}");
        assert!(is_shortage(&group(errno)), "{errno}");
        assert!(is_shortage(&errno), "{errno}");
    }
    for errno in [Errno::ENOENT, Errno::EPERM, Errno::EINVAL] {
        assert!(!is_shortage(&step(errno.into())), "{errno}");
        assert!(!is_shortage(&group(errno)), "{errno}");
    }
}
