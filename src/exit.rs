//! How the program ends.

use std::process::ExitCode;

/// Exit statuses; they are documented in `README.md` and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// Something failed; the message says what and what to do.
    Failed,
    /// The function answered with an error of its own.
    FunctionFailed,
    /// The daemon lost its spawner; a service manager should start both again.
    SpawnerLost,
    /// This machine cannot enforce a wall or limit, and it was not allowed to be left out.
    Unenforceable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // 2 is what the argument parser uses for a line it cannot read.
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::FunctionFailed => 3,
            Exit::SpawnerLost => 70,
            Exit::Unenforceable => 78,
        })
    }
}
