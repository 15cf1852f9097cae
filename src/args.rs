//! What can be typed.
//!
//! Only the shape of the command line lives here; what a value means is decided where it is used.
//! Help texts are the reference: they are what `--help`, the manual and shell completion show.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Functions as a service on your own Linux server: AWS Lambda's API, run by one program.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, propagate_version = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Show what the program decides as it goes (repeat for more).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document (of `logs`: one per line).
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a project folder: deploy it, print its URL, redeploy when a file changes.
    Dev(Dev),
    /// Run the daemon.
    Serve(Box<Serve>),
    /// Create or update a function from a folder or a zip. Of a folder, what .gitignore and
    /// .hearthignore name is left out.
    Deploy(Deploy),
    /// Call a function and print its answer.
    Invoke(Invoke),
    /// Show a function's log lines.
    Logs(Logs),
    /// List the functions.
    List(Remote),
    /// Show everything about one function.
    Describe(Named),
    /// Delete a function.
    Delete(Named),
    /// Show a function's URL, making one if it has none.
    Url(Named),
    /// Check what this machine can enforce, and say what to do about the rest.
    Doctor(Doctor),
    /// Install Hearth as a service that starts with the machine, or take it away again.
    #[command(subcommand)]
    Service(Service),
    /// The privileged half of the service: what hearth-spawner.service runs.
    #[command(hide = true)]
    Spawner(Box<SpawnerUnit>),
    /// Print a completion script for a shell.
    Completions(Completions),
}

/// Where the daemon is and who asks.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// Management address of the daemon.
    #[arg(
        long,
        env = "HEARTH_ENDPOINT",
        value_name = "URL",
        default_value = "http://127.0.0.1:9000"
    )]
    pub endpoint: String,
    /// Access key in AWS's shared-credentials format; the daemon's own administrator key by default.
    #[arg(long, env = "HEARTH_CREDENTIALS", value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Region the daemon serves.
    #[arg(long, env = "HEARTH_REGION", default_value = "us-east-1")]
    pub region: String,
}

/// `hearth dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// Folder of the function.
    #[arg(default_value = ".")]
    pub path: PathBuf,
    #[command(flatten)]
    pub function: FunctionOptions,
    /// First management port to try.
    #[arg(long, default_value_t = 9000)]
    pub api_port: u16,
    /// First trigger port to try.
    #[arg(long, default_value_t = 8080)]
    pub http_port: u16,
    #[command(flatten)]
    pub host: HostOptions,
}

/// What this machine provides; shared by `serve`, `dev` and `doctor`.
#[derive(Debug, Clone, Default, Args)]
pub struct HostOptions {
    /// Where code, configuration and logs are kept. [default: /var/lib/hearth/data; for an ordinary
    /// user ~/.local/state/hearth/data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where runtime images are kept; daemons of one user may share it. [default:
    /// /var/lib/hearth/images; for an ordinary user ~/.local/state/hearth/images]
    #[arg(long, value_name = "DIR")]
    pub image_dir: Option<PathBuf>,
    /// Where allocations that daemons share are recorded. [default: /run/hearth; for an ordinary user
    /// $XDG_RUNTIME_DIR/hearth]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Add an interpreter from elsewhere, such as nodejs22.x=/opt/node/bin/node.
    #[arg(long, value_name = "RUNTIME=PATH")]
    pub runtime_path: Vec<String>,
    /// A directory of installed packages (`pip install --target`) that every Python function is to have.
    #[arg(long, value_name = "DIR")]
    pub python_packages: Option<PathBuf>,
    /// Start although these limits cannot be enforced here: memory, pids, cpu, swap (see `hearth
    /// doctor`).
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub allow_unenforced: Vec<String>,
}

/// `hearth serve`.
#[derive(Debug, Default, Args)]
pub struct Serve {
    /// Configuration file; docs/configuration.md lists its keys.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub host: HostOptions,
    /// Management listener; never meant for the internet. [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDRESS")]
    pub api_listen: Option<SocketAddr>,
    /// Trigger listener: function URLs. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub http_listen: Option<SocketAddr>,
    /// Accept any credentials, and none; loopback listeners only.
    #[arg(long)]
    pub dev: bool,
    /// Run without privileges, with the spawner behind this socket (see `hearth service`).
    #[arg(long, value_name = "SOCKET")]
    pub spawner_socket: Option<PathBuf>,
    /// Write addresses and process ids here, as JSON, once requests are served.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// `hearth spawner`.
#[derive(Debug, Args)]
pub struct SpawnerUnit {
    /// Configuration file, the same as the control plane's.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub host: HostOptions,
}

/// `hearth service`.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Put program, user, units and kernel settings in place, and start.
    Install(Install),
    /// Stop, and take everything away that was put in place; functions and logs stay.
    Uninstall(Uninstall),
}

/// Where to; shared by `install` and `uninstall`.
#[derive(Debug, Args)]
pub struct Place {
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Work on the system that lies in this directory, such as an image that is being built: files
    /// only, nothing is started and no user is made.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

/// `hearth service install`.
#[derive(Debug, Args)]
pub struct Install {
    #[command(flatten)]
    pub place: Place,
}

/// `hearth service uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    #[command(flatten)]
    pub place: Place,
    /// Delete functions, logs, keys, the configuration and the user as well.
    #[arg(long)]
    pub purge: bool,
}

/// What a function is; everything that is not given is found out from its folder.
#[derive(Debug, Clone, Default, Args)]
pub struct FunctionOptions {
    /// Name of the function. [default: the folder's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Runtime identifier, such as python3.11. [default: found out]
    #[arg(long)]
    pub runtime: Option<String>,
    /// What is called, such as app.handler. [default: found out]
    #[arg(long)]
    pub handler: Option<String>,
    /// Memory, MiB. [default: 128]
    #[arg(long, value_name = "MIB")]
    pub memory: Option<u32>,
    /// Longest run of one invocation, seconds. [default: 3]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Environment variable; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
}

/// `hearth deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// Folder or zip.
    #[arg(default_value = ".")]
    pub path: PathBuf,
    #[command(flatten)]
    pub function: FunctionOptions,
    /// Give the function a public URL.
    #[arg(long)]
    pub url: bool,
    #[command(flatten)]
    pub remote: Remote,
}

/// `hearth invoke`.
#[derive(Debug, Args)]
pub struct Invoke {
    /// Name, name:qualifier or ARN.
    pub name: String,
    /// Event: JSON, @FILE, or - for standard input.
    #[arg(long, short, default_value = "{}")]
    pub data: String,
    /// Do not wait for the answer: the event is kept, and delivered even if the daemon ends first.
    #[arg(long = "async")]
    pub asynchronous: bool,
    /// Show the log lines of this invocation on standard error.
    #[arg(long)]
    pub log: bool,
    #[command(flatten)]
    pub remote: Remote,
}

/// `hearth logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Function whose lines to show.
    pub name: String,
    /// Keep showing new lines as they come.
    #[arg(long, short)]
    pub follow: bool,
    /// How far back: 30s, 10m, 2h, 7d.
    #[arg(long, default_value = "10m", value_name = "DURATION")]
    pub since: String,
    /// Only lines that match, in CloudWatch's filter syntax.
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

/// A verb about one function.
#[derive(Debug, Args)]
pub struct Named {
    /// Name, name:qualifier or ARN.
    pub name: String,
    #[command(flatten)]
    pub remote: Remote,
}

/// `hearth doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print every step by which a sandbox is made, and stop.
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    pub host: HostOptions,
}

/// `hearth completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell.
    pub shell: clap_complete::Shell,
}
