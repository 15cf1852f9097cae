//! Promises about `node/bootstrap.cjs`.
//!
//! * [`loading`]: which handler is found, and what is said about one that is not.
//! * [`answering`]: events and results of every size and kind, and every way to give one.
//! * [`failing`]: what the caller and the log learn about an error.
//! * [`surroundings`]: the context, the environment.
//! * [`logs`]: what is printed and logged, and when.
//! * [`processes`]: exits and the end.

mod answering;
mod failing;
mod loading;
mod logs;
mod processes;
mod surroundings;

use crate::instance::{Function, interpreter, path};

/// A function whose files are in `tests/functions/node`, or in a folder beneath it.
fn function_in(folder: &str, handler: &str) -> Function {
    let argv = vec![interpreter("HEARTH_NODE", "/usr/bin/node"), path("node/bootstrap.cjs").into()];
    Function::new(argv, &format!("node/{folder}"), handler)
        .with("AWS_EXECUTION_ENV", "AWS_Lambda_nodejs20.x")
}

fn function(handler: &str) -> Function {
    function_in("", handler)
}
