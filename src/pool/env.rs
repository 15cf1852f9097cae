//! The environment a function's process is started with.
//!
//! Exactly the variables AWS sets, and nothing of the host's. The reserved ones are ours whatever let
//! a user's through; the others (`LANG`, `PATH`, `PYTHONPATH`, …) are defaults that a user's variable
//! of the same name replaces, as on AWS.
//!
//! The credentials are those of a session that may do nothing: drawn for one instance, of the form
//! AWS gives, known to nobody. Roles have no permissions yet and a sandbox no way out, but programs
//! that want to find a key when they start find one. `_X_AMZN_TRACE_ID` belongs to one invocation, so
//! the runtime sets it from each event.

use dispatch::Initialization;
use images::environment::constants;
use images::manifest::Kind;
use model::environment::RESERVED;
use model::id::random_bytes;
use model::{Home, Runnable};

/// Where a custom runtime finds the Runtime API; the listener lives in the sandbox's own network
/// namespace, so the address is the same in all of them.
const RUNTIME_API: &str = "127.0.0.1:9001";

/// A temporary access key.
#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    secret: String,
    token: String,
}

// === impl Session ===

impl Session {
    /// A new one: twenty characters that start with `ASIA`, a secret of forty, and a token.
    pub(crate) fn draw() -> Self {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567abcdefghijklmnopqrstuvwxyz018/+9";
        /// As long as AWS's usually are.
        const TOKEN: usize = 356;
        let draw = |count: usize, kinds: u8| -> String {
            let bytes = std::iter::repeat_with(random_bytes).flatten().take(count);
            bytes.map(|byte| char::from(LETTERS[usize::from(byte % kinds)])).collect()
        };
        Self {
            id: format!("ASIA{}", draw(16, 32)),
            secret: draw(40, 64),
            token: format!("IQoJ{}", draw(TOKEN - 4, 62)),
        }
    }
}

/// Everything the process gets: `NAME=value`, ours first.
///
/// `stream` is the instance's log stream.
pub(crate) fn build(
    home: &Home,
    function: &Runnable,
    kind: Kind,
    initialization: Initialization,
    stream: &str,
    session: &Session,
) -> Vec<Vec<u8>> {
    of_type(home, function, kind, word(initialization), stream, session)
}

/// The same of one that is restored, and of the one that is initialised to be.
pub(crate) fn of_snapshot(
    home: &Home,
    function: &Runnable,
    kind: Kind,
    stream: &str,
) -> Vec<Vec<u8>> {
    of_type(home, function, kind, "snap-start", stream, &Session::draw())
}

fn of_type(
    home: &Home,
    function: &Runnable,
    kind: Kind,
    initialization: &str,
    stream: &str,
    session: &Session,
) -> Vec<Vec<u8>> {
    let region = home.region.as_str();
    let memory = function.memory_mib.to_string();
    let version = function.version.text();
    let mut ours: Vec<(&str, String)> = vec![
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.as_str().to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", version),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory),
        ("AWS_LAMBDA_LOG_GROUP_NAME", function.log_group.clone()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", stream.to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization.to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", RUNTIME_API.to_owned()),
        ("AWS_ACCESS_KEY_ID", session.id.clone()),
        ("AWS_SECRET_ACCESS_KEY", session.secret.clone()),
        ("AWS_SESSION_TOKEN", session.token.clone()),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR".to_owned()),
        ("AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1:2000".to_owned()),
        ("_AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1".to_owned()),
        ("_AWS_XRAY_DAEMON_PORT", "2000".to_owned()),
        ("_HANDLER", function.handler.clone()),
    ];
    ours.extend(constants(kind, &function.runtime));
    if kind != Kind::Custom {
        ours.push(("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", function.runtime)));
    }
    let users: Vec<&(String, String)> = function
        .environment
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .collect();
    ours.retain(|(name, _)| !users.iter().any(|(theirs, _)| theirs == name));
    let ours = ours.iter().map(|(name, value)| (*name, value.as_str()));
    let users = users.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    ours.chain(users).map(|(name, value)| format!("{name}={value}").into_bytes()).collect()
}

/// AWS's word for what an instance is started for.
fn word(initialization: Initialization) -> &'static str {
    match initialization {
        Initialization::OnDemand | Initialization::Ahead => "on-demand",
        Initialization::Provisioned => "provisioned-concurrency",
    }
}

#[cfg(test)]
mod tests;
