//! Promises about `node/bootstrap.cjs`, every one of them for both ways in which Node comes to its
//! function ([`Way`]).
//!
//! * `loading`: which handler is found, and what is said about one that is not.
//! * `answering`: events and results of every size and kind, and every way to give one.
//! * `failing`: what the caller and the log learn about an error.
//! * `surroundings`: the context, the environment.
//! * `logs`: what is printed and logged, and when.
//! * `processes`: exits and the end.
//! * [`compiling`]: modules that were compiled when the code was taken in.
//! * [`spares`]: what is the same for both of them.

use std::ffi::OsString;

use crate::instance::{Function, Way, interpreter, path};

mod compiling;
mod spares;

/// What every function finds in its environment and a spare is started with.
const CONSTANTS: [(&str, &str); 4] = [
    ("PATH", "/usr/bin:/bin"),
    ("LANG", "C.UTF-8"),
    ("TZ", ":UTC"),
    ("NODE_PATH", "/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules"),
];

/// A function whose files are in `tests/functions/node`, or in a folder beneath it.
fn function_by(way: Way, folder: &str, handler: &str) -> Function {
    let node = interpreter("HEARTH_NODE", "/usr/bin/node");
    let argv: Vec<OsString> = vec![node, path("node/bootstrap.cjs").into()];
    let function = Function::new(argv.clone(), &format!("node/{folder}"), handler)
        .with("AWS_EXECUTION_ENV", "AWS_Lambda_nodejs20.x");
    match way {
        Way::Executed => function,
        Way::Ahead => function.ahead([argv, vec!["spare".into()]].concat(), &CONSTANTS),
        Way::Template => unreachable!("Node is not forked: it has threads"),
    }
}

macro_rules! promises {
    ($($name:ident: $way:expr),*) => {$(
        #[allow(clippy::duplicate_mod, reason = "one promise, kept in several ways")]
        #[path = "node"]
        mod $name {
            use crate::instance::{Function, Way};

            #[path = "answering.rs"]
            mod answering;
            #[path = "failing.rs"]
            mod failing;
            #[path = "loading.rs"]
            mod loading;
            #[path = "logs.rs"]
            mod logs;
            #[path = "processes.rs"]
            mod processes;
            #[path = "surroundings.rs"]
            mod surroundings;

            const WAY: Way = $way;

            fn function_in(folder: &str, handler: &str) -> Function {
                super::function_by(WAY, folder, handler)
            }

            fn function(handler: &str) -> Function {
                function_in("", handler)
            }
        }
    )*};
}

promises!(executed: Way::Executed, ahead: Way::Ahead);
