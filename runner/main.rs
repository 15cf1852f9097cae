//! `hearth-runner`: PID 1 of a sandbox, a static program without arguments.
//!
//! Exit status: 0 when its socket closed, or when the function's process has ended and nothing is
//! left; 1 when the kernel refused a call; 2 when a datagram was not a message.

use std::process::ExitCode;

fn main() -> ExitCode {
    match runner::supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hearth-runner: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
