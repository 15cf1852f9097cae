//! Promises about `python/bootstrap.py`.
//!
//! * [`loading`]: which handler is found, and what is said about one that is not.
//! * [`answering`]: events and results of every size and kind.
//! * [`failing`]: what the caller and the log learn about an exception.
//! * [`surroundings`]: the context, the search path, the environment.
//! * [`logs`]: what is printed and logged, and when.
//! * [`processes`]: exits, forks, children, the end.

mod answering;
mod failing;
mod loading;
mod logs;
mod processes;
mod surroundings;

use crate::instance::{Function, interpreter, path};

/// A function whose files are in `tests/functions/python`, or in a folder beneath it.
fn function_in(folder: &str, handler: &str) -> Function {
    let argv = vec![
        interpreter("HEARTH_PYTHON", "/usr/bin/python3"),
        "-s".into(),
        "-B".into(),
        path("python/bootstrap.py").into(),
    ];
    Function::new(argv, &format!("python/{folder}"), handler)
        .with("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12")
        .with("PYTHONPATH", "/var/runtime")
}

fn function(handler: &str) -> Function {
    function_in("", handler)
}
