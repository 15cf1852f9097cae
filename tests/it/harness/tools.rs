//! AWS's own clients, pointed at a daemon the way a user points them: by environment variables.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::package::dedent;
use super::{Daemon, setup};

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs Python with boto3; the script's standard output must be one JSON document.
#[track_caller]
pub fn boto3(daemon: &Daemon, script: &str, arguments: &[&str]) -> Value {
    let mut command = Command::new(setup::venv());
    command.arg("-c").arg(dedent(script)).args(arguments);
    let ran = run(pointed(&mut command, daemon), "");
    assert_eq!(ran.code, 0, "{ran:#?}");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|err| panic!("{err} in {ran:#?}"))
}

/// Runs the AWS CLI.
#[track_caller]
pub fn aws(daemon: &Daemon, arguments: &[&str]) -> Ran {
    let program = setup::venv().with_file_name("aws");
    let mut command = Command::new(setup::venv());
    command.arg(program).args(arguments);
    run(pointed(&mut command, daemon), "")
}

/// Runs `hearth` as a client of the daemon.
#[track_caller]
pub fn hearth(daemon: &Daemon, arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(arguments);
    command.env("HEARTH_ENDPOINT", format!("http://{}", daemon.api));
    command.env("HEARTH_CREDENTIALS", &daemon.credentials);
    run(&mut command, input)
}

/// Runs a command to its end, with `input` on its standard input.
#[track_caller]
pub fn run(command: &mut Command, input: &str) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = Path::new(command.get_program()).display().to_string();
    let mut child = command.spawn().unwrap_or_else(|err| panic!("{program}: {err}"));
    let mut stdin = child.stdin.take().expect("piped");
    // A program that does not read its input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Ran::from(child.wait_with_output().expect("our own child"))
}

fn pointed<'c>(command: &'c mut Command, daemon: &Daemon) -> &'c mut Command {
    command
        .env("AWS_ENDPOINT_URL", format!("http://{}", daemon.api))
        .env("AWS_SHARED_CREDENTIALS_FILE", &daemon.credentials)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PAGER", "")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_SESSION_TOKEN")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHON_RUNTIME", setup::python_runtime())
        .env("NODE_RUNTIME", &setup::node().runtime)
}

// === impl Ran ===

impl Ran {
    /// Standard output as JSON, of a program that succeeded.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|err| panic!("{err} in {self:#?}"))
    }

    /// Itself, if it succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
