//! The privileged program itself: everything is in the library, where it can be tested.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    ExitCode::from(spawner::run(&arguments))
}
