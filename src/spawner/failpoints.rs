//! The privileged program as tests kill it: the same library, with points to stop at.
//!
//! A program of its own, so that no build of the shipped one can be mistaken for it.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(err) = sandbox::failpoint::arm() {
        panic!("the test that armed a point is not there: {err}");
    }
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    ExitCode::from(spawner::run(&arguments))
}
