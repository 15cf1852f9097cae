//! Failures read well.

use nix::errno::Errno;

use super::{StepError, explain};
use crate::plan::EnterStep;

#[test]
fn a_failed_step_is_explained_in_the_plans_words() {
    let error = StepError::at(&EnterStep::Pivot, Errno::EPERM);
    let text = explain(&error);
    assert_eq!(text, "pivot_root, detach the old root: EPERM: Operation not permitted");
}
