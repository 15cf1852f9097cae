//! What dispatching said, performed: still under its lock, and still without waiting for anything.

use std::sync::{Arc, MutexGuard};

use dispatch::{Action, Initialization, StartFailure};
use model::Runnable;

use super::{Core, Failure, Shell, no_room};
use crate::{end, start};

// === impl Shell ===

impl Shell {
    /// Performs what dispatching said. `function` is whose instances are started; `failure` is what
    /// a failed start is answered with.
    pub(super) fn perform(
        self: &Arc<Self>,
        mut core: MutexGuard<'_, Core>,
        function: Option<&Arc<Runnable>>,
        failure: Option<Failure>,
    ) {
        while !core.out.is_empty() {
            let mut out = std::mem::take(&mut core.out);
            for action in out.drain(..) {
                self.act(&mut core, action, function, failure.as_ref());
            }
            // The allocation is kept for the next time, unless that has come already.
            if core.out.is_empty() {
                core.out = out;
                return;
            }
        }
    }

    fn act(
        self: &Arc<Self>,
        core: &mut Core,
        action: Action,
        function: Option<&Arc<Runnable>>,
        failure: Option<&Failure>,
    ) {
        match action {
            Action::Start { instance, generation, phase, initialization } => {
                // Starts are caused by an event of the function or by a start of it; by one that
                // is expected, where there were such before; or by what it has provisioned.
                let function = function
                    .filter(|function| function.generation == generation)
                    .or_else(|| core.known.get(&generation))
                    .or_else(|| core.provisioned.get(&generation));
                let Some(function) = function.map(Arc::clone) else {
                    let Core { dispatch, out, .. } = core;
                    return dispatch.start_failed(instance, StartFailure::NoCell, out);
                };
                if initialization == Initialization::OnDemand {
                    core.known.insert(generation, Arc::clone(&function));
                }
                let shell = Arc::clone(self);
                let start = start::run(shell, instance, function, phase, initialization);
                self.runtime.spawn(start);
            }
            Action::Run { instance, event } => {
                let found = core.instances.get(&instance).map(Arc::clone);
                if let (Some(found), Some(waiter)) = (found, core.waiting.remove(&event)) {
                    // Its task lives until it has an answer, so there is somebody to take it.
                    let _taken = waiter.send(Ok(found));
                }
            }
            Action::End { instance, reason } => {
                if let Some(found) = core.instances.remove(&instance) {
                    self.runtime.spawn(end::run(Arc::clone(self), found, reason));
                }
            }
            Action::Fail { event, failure: what } => {
                let Some(waiter) = core.waiting.remove(&event) else { return };
                let why = match (what, failure) {
                    (None, _) => Failure::Closed,
                    (Some(StartFailure::NoCell), Some(Failure::Broke { .. })) => no_room(),
                    (Some(_), failure) => failure.cloned().unwrap_or_else(no_room),
                };
                let _taken = waiter.send(Err(why));
            }
        }
    }
}
