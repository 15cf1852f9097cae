//! What an interpreter is started with before anybody knows for whom.
//!
//! A spare and a template run before their function is known, so they get what every function of the
//! runtime gets; the rest comes with `Assign`. That is possible for whatever a program reads when it
//! wants to know. Some variables are read once and too early for that, by the loader, the C library,
//! the interpreter or a library that it has loaded: a function that *sets* one of those ([`is_early`])
//! is started by executing the interpreter, with everything in place.

use crate::identifier::{Identifier, Language};
use crate::manifest::Kind;

/// What a function finds in its environment unless it sets it itself, and what is the same for every
/// function of a runtime. `runtime` is the identifier that the function names, not the one that serves
/// it: libraries made for the former lie where the former looks.
pub fn constants(kind: Kind, runtime: &str) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()),
        (
            "LD_LIBRARY_PATH",
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:\
             /var/task/lib:/opt/lib"
                .to_owned(),
        ),
    ];
    match kind {
        Kind::Python => all.push(("PYTHONPATH", "/var/runtime".to_owned())),
        Kind::Node => all.push(("NODE_PATH", node_path(runtime))),
        Kind::Custom => {}
    }
    all
}

/// [`constants`] as `NAME=value`.
pub(crate) fn entries(kind: Kind, identifier: Identifier) -> Vec<String> {
    let constants = constants(kind, &identifier.to_string());
    constants.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Whether a variable of a function's own must be there before the interpreter is.
///
/// Rather one too many: what is executed for no need is slower, and right.
pub fn is_early(kind: Kind, name: &str) -> bool {
    /// Languages, and what wraps the interpreter.
    const NAMES: [&str; 3] = ["LANG", "LANGUAGE", "AWS_LAMBDA_EXEC_WRAPPER"];
    /// The loader's and the C library's; what numerical libraries do and how many threads they start;
    /// OpenSSL's configuration.
    const FAMILIES: [&str; 10] = [
        "LC_",
        "LD_",
        "MALLOC_",
        "GLIBC_",
        "OMP_",
        "OPENBLAS_",
        "MKL_",
        "NPY_",
        "NUMPY_",
        "OPENSSL_",
    ];
    /// Read by Node, or by what people run in it, when it is asked for.
    const LATE: [&str; 4] =
        ["NODE_ENV", "NODE_PATH", "NODE_CONFIG", "NODE_TLS_REJECT_UNAUTHORIZED"];
    NAMES.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
        || match kind {
            Kind::Python => name.starts_with("PYTHON"),
            // The pool of threads is made when it is first used, which a spare has done.
            Kind::Node => {
                let nodes = ["NODE_", "UV_", "SSL_CERT_"].iter().any(|it| name.starts_with(it));
                nodes && !LATE.iter().any(|late| name.starts_with(late))
            }
            Kind::Custom => true,
        }
}

/// Where Node looks for modules beside the package; layers put theirs under `/opt/nodejs`.
fn node_path(runtime: &str) -> String {
    let major = runtime.trim_start_matches("nodejs").trim_end_matches(".x");
    format!(
        "/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:\
         /var/runtime/node_modules:/var/runtime:/var/task"
    )
}

// === impl Kind ===

impl From<Language> for Kind {
    fn from(language: Language) -> Self {
        match language {
            Language::Python => Self::Python,
            Language::Node => Self::Node,
        }
    }
}

#[cfg(test)]
mod tests;
