//! Promises about `python/bootstrap.py`, every one of them for every way in which an interpreter comes
//! to its function ([`Way`]).
//!
//! * `loading`: which handler is found, and what is said about one that is not.
//! * `answering`: events and results of every size and kind.
//! * `failing`: what the caller and the log learn about an exception.
//! * `surroundings`: the context, the search path, the environment.
//! * `logs`: what is printed and logged, and when.
//! * `processes`: exits, forks, children, the end.
//! * [`compiling`]: modules that were compiled when the code was taken in.
//! * [`spares`]: what is the same for all of them, and what must not be.

use std::ffi::OsString;

use crate::instance::{Function, Way, interpreter, path};

mod compiling;
mod spares;

/// What every function finds in its environment and a spare is started with.
const CONSTANTS: [(&str, &str); 4] = [
    ("PATH", "/usr/bin:/bin"),
    ("LANG", "C.UTF-8"),
    ("TZ", ":UTC"),
    ("PYTHONPATH", "/var/runtime"),
];

/// What a template imports here; as `rootfs/host.toml` has it.
const PREIMPORT: [&str; 17] = [
    "json",
    "logging",
    "decimal",
    "re",
    "traceback",
    "asyncio",
    "base64",
    "collections",
    "datetime",
    "email",
    "hashlib",
    "http.client",
    "socket",
    "ssl",
    "typing",
    "urllib.request",
    "uuid",
];

/// A function whose files are in `tests/functions/python`, or in a folder beneath it.
fn function_by(way: Way, folder: &str, handler: &str) -> Function {
    let function =
        Function::new(argv("python/bootstrap.py", &[]), &format!("python/{folder}"), handler)
            .with("AWS_EXECUTION_ENV", "AWS_Lambda_python3.12")
            .with("PYTHONPATH", "/var/runtime");
    match way {
        Way::Executed => function,
        Way::Ahead => function.ahead(argv("python/bootstrap.py", &["spare"]), &CONSTANTS),
        // What functions here ask for most; the rest would only take time.
        Way::Template => from_template(&PREIMPORT[..5], folder, handler),
    }
}

/// The same, with these modules imported ahead of time.
fn from_template(modules: &[&str], folder: &str, handler: &str) -> Function {
    let function = function_by(Way::Executed, folder, handler);
    function.ahead(argv("tests/template.py", modules), &CONSTANTS)
}

fn argv(script: &str, arguments: &[&str]) -> Vec<OsString> {
    let python = interpreter("HEARTH_PYTHON", "/usr/bin/python3");
    let mut argv = vec![python, "-s".into(), "-B".into(), path(script).into()];
    argv.extend(arguments.iter().map(Into::into));
    argv
}

macro_rules! promises {
    ($($name:ident: $way:expr),*) => {$(
        #[allow(clippy::duplicate_mod, reason = "one promise, kept in several ways")]
        #[path = "python"]
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

promises!(executed: Way::Executed, ahead: Way::Ahead, template: Way::Template);
