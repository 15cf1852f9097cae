//! What was typed and what a file says become what is meant.
//!
//! [`File`] is the configuration file as written, every value optional, unknown keys refused;
//! [`Config`] is the result, every value present and checked. Flags win over the file, the file over
//! the defaults.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use images::RuntimePath;
use model::{AccountId, Home, Region};
use pool::TemplateSharing;
use sandbox::checks::Need;
use serde::Deserialize;

use crate::args::{HostOptions, Serve, SpawnerUnit};

/// Where root's daemon keeps everything unless told otherwise.
const ROOT: &str = "/var/lib/hearth";
/// Where machine-wide allocations are recorded; gone after a reboot, as what they describe is.
const STATE: &str = "/run/hearth";

/// Longest drain: no function runs longer.
const LONGEST_DRAIN: Duration = Duration::from_secs(900);

/// What the process table and descriptors of one host bear; the spawner's own bound.
const MOST_INSTANCES: u32 = 10_000;

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    image_dir: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    api_listen: Option<SocketAddr>,
    http_listen: Option<SocketAddr>,
    account: Option<String>,
    region: Option<String>,
    domain: Option<String>,
    runtime_path: Option<BTreeMap<String, PathBuf>>,
    runtime_alias: Option<BTreeMap<String, String>>,
    python_packages: Option<PathBuf>,
    connections_per_peer: Option<usize>,
    account_concurrency: Option<u32>,
    max_instances: Option<u32>,
    ready_cells: Option<u32>,
    ready_spares: Option<u32>,
    spare_memory_mib: Option<u64>,
    template_sharing: Option<Sharing>,
    idle_seconds: Option<u64>,
    drain_seconds: Option<u64>,
    memory_reserve_mib: Option<u64>,
    log_total_mib: Option<u64>,
    log_function_mib: Option<u64>,
    log_days: Option<u64>,
    allow_unenforced: Option<Vec<String>>,
}

/// Who shares a template, as it is written.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sharing {
    Image,
    Function,
}

/// Everything `hearth serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Code, configuration, logs.
    pub data_dir: PathBuf,
    /// Runtime images.
    pub image_dir: PathBuf,
    /// Machine-wide allocations.
    pub state_dir: PathBuf,
    /// Management listener.
    pub api_listen: SocketAddr,
    /// Trigger listener.
    pub http_listen: SocketAddr,
    /// Accept requests without a signature.
    pub dev: bool,
    /// The spawner is behind this socket, and not ours.
    pub spawner_socket: Option<PathBuf>,
    /// Account and region.
    pub home: Home,
    /// Last labels of the hosts of function URLs.
    pub domain: String,
    /// Interpreters from elsewhere; of two for one identifier the later counts.
    pub runtime_path: Vec<RuntimePath>,
    /// Runtime identifiers knowingly served by another.
    pub runtime_alias: BTreeMap<String, String>,
    /// Installed packages that every Python of the image is to have.
    pub python_packages: Option<PathBuf>,
    /// Connections that one address may have to the trigger listener; no bound where all come from one
    /// reverse proxy.
    pub connections_per_peer: Option<usize>,
    /// Concurrent executions of the account (AWS's default is 1,000).
    pub account_concurrency: u32,
    /// Sandboxes that may live at once.
    pub max_instances: u32,
    /// Empty sandboxes kept ready.
    pub ready_cells: u32,
    /// Warm interpreters without a function kept ready of each runtime; more follow demand.
    pub ready_spares: u32,
    /// Most memory they may hold; `None` for a part of what the machine has to give.
    pub spare_memory: Option<u64>,
    /// Who may be forked from the same process.
    pub template_sharing: TemplateSharing,
    /// How long an idle instance is kept.
    pub idle: Duration,
    /// How long requests in hand may take once the daemon is told to stop.
    pub drain: Duration,
    /// Memory of the machine that functions never get.
    pub memory_reserve: u64,
    /// Bytes of logs in all.
    pub log_total: u64,
    /// Bytes of logs of one function.
    pub log_function: u64,
    /// How long log lines are kept.
    pub log_age: Duration,
    /// Walls and limits that may be missing.
    pub allow_unenforced: Vec<String>,
    /// Written once requests are served.
    pub ready_file: Option<PathBuf>,
    /// Stop when standard input ends.
    pub until_stdin_closes: bool,
}

// === impl Config ===

impl Config {
    /// Puts together flags, file and defaults.
    ///
    /// # Errors
    /// A file that cannot be read or holds an unknown key; a value that makes no sense.
    pub fn new(args: &Serve) -> Result<Self> {
        let file = match &args.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("configuration {} cannot be read", path.display()))?;
                toml::from_str(&text)
                    .with_context(|| format!("configuration {} is wrong", path.display()))?
            }
        };
        let host = &args.host;
        let account = file.account.as_deref().map(AccountId::parse).transpose()?;
        let region = file.region.as_deref().map(Region::parse).transpose()?;
        let mut runtime_path = Vec::new();
        for (id, path) in file.runtime_path.unwrap_or_default() {
            runtime_path.push(format!("{id}={}", path.display()).parse()?);
        }
        runtime_path.extend(runtime_paths(host)?);
        // A control plane that joins a spawner is half of a service that root set up.
        let joins = args.spawner_socket.is_some();
        let places = || if joins { Ok(Places::of_root()) } else { Places::usual() };
        let usual = |given: Option<PathBuf>, pick: fn(Places) -> PathBuf| {
            given.map_or_else(|| places().map(pick), Ok)
        };
        let mib = |given: Option<u64>, default: u64| given.unwrap_or(default) << 20;
        let config = Self {
            data_dir: usual(host.data_dir.clone().or(file.data_dir), |places| places.data)?,
            image_dir: usual(host.image_dir.clone().or(file.image_dir), |places| places.images)?,
            state_dir: usual(host.state_dir.clone().or(file.state_dir), |places| places.state)?,
            api_listen: args.api_listen.or(file.api_listen).unwrap_or(loopback(9000)),
            http_listen: args.http_listen.or(file.http_listen).unwrap_or(loopback(8080)),
            dev: args.dev,
            spawner_socket: args.spawner_socket.clone(),
            home: Home { account: account.unwrap_or_default(), region: region.unwrap_or_default() },
            domain: file.domain.unwrap_or_else(|| "localhost".to_owned()),
            runtime_path,
            runtime_alias: file.runtime_alias.unwrap_or_default(),
            python_packages: host.python_packages.clone().or(file.python_packages),
            connections_per_peer: file.connections_per_peer,
            account_concurrency: file.account_concurrency.unwrap_or(1_000),
            // Each needs a user id of the instance's 65,536 and a few descriptors; 1,024 is what
            // fits the usual limit on open files.
            max_instances: file.max_instances.unwrap_or(1_024),
            ready_cells: file.ready_cells.unwrap_or(8),
            ready_spares: file.ready_spares.unwrap_or(pool::READY_SPARES as u32),
            spare_memory: file.spare_memory_mib.map(|mib| mib << 20),
            template_sharing: match file.template_sharing {
                None | Some(Sharing::Image) => TemplateSharing::Image,
                Some(Sharing::Function) => TemplateSharing::Function,
            },
            idle: Duration::from_secs(file.idle_seconds.unwrap_or(600)),
            drain: Duration::from_secs(file.drain_seconds.unwrap_or(10)),
            memory_reserve: mib(file.memory_reserve_mib, 256),
            log_total: mib(file.log_total_mib, 1024),
            log_function: mib(file.log_function_mib, 64),
            log_age: Duration::from_secs(file.log_days.unwrap_or(14) * 86_400),
            allow_unenforced: {
                let mut all = file.allow_unenforced.unwrap_or_default();
                all.extend(host.allow_unenforced.iter().cloned());
                all
            },
            ready_file: args.ready_file.clone(),
            until_stdin_closes: args.until_stdin_closes,
        };
        config.check()?;
        config.absolute()
    }

    /// What the spawner's unit needs to know of the same file.
    ///
    /// # Errors
    /// As [`Config::new`].
    pub fn for_spawner(args: &SpawnerUnit) -> Result<Self> {
        Self::new(&Serve {
            config: args.config.clone(),
            host: args.host.clone(),
            ..Serve::default()
        })
    }

    /// Directories are meant from where the program was started, whoever uses them later.
    fn absolute(mut self) -> Result<Self> {
        let Self { data_dir, image_dir, state_dir, python_packages, .. } = &mut self;
        for path in [data_dir, image_dir, state_dir].into_iter().chain(python_packages) {
            *path = std::path::absolute(&*path)
                .with_context(|| format!("{} means no directory", path.display()))?;
        }
        Ok(self)
    }

    fn check(&self) -> Result<()> {
        for (name, address) in [("api", self.api_listen), ("http", self.http_listen)] {
            if self.dev && !address.ip().is_loopback() {
                bail!(
                    "--dev accepts requests without credentials, so {name} may only listen on \
                     loopback, not on {address}"
                );
            }
        }
        if !(1..=MOST_INSTANCES).contains(&self.max_instances) {
            bail!("max_instances is {}, it must be 1 to {MOST_INSTANCES}", self.max_instances);
        }
        if self.account_concurrency == 0 {
            bail!("account_concurrency is 0: nobody could call a function");
        }
        if self.drain > LONGEST_DRAIN {
            bail!("drain_seconds is {}, it may be up to 900", self.drain.as_secs());
        }
        if self.connections_per_peer == Some(0) {
            bail!("connections_per_peer is 0: nobody could call a function");
        }
        if self.ready_cells >= self.max_instances {
            bail!("ready_cells ({}) must be below max_instances", self.ready_cells);
        }
        if self.ready_spares >= self.max_instances {
            bail!("ready_spares ({}) must be below max_instances", self.ready_spares);
        }
        // The spawner looks again; here it is before an image is copied for nothing.
        let may_be_missing = |name: &str| {
            Need::ALL.into_iter().any(|need| need.name() == name && need.may_be_missing())
        };
        if let Some(name) = self.allow_unenforced.iter().find(|name| !may_be_missing(name)) {
            bail!("--allow-unenforced {name}: memory, pids, cpu and swap can be gone without");
        }
        Ok(())
    }
}

/// What `--runtime-path` names.
///
/// # Errors
/// If one is not `RUNTIME=/ABSOLUTE/PATH`.
pub fn runtime_paths(host: &HostOptions) -> Result<Vec<RuntimePath>> {
    let one = |text: &String| text.parse().with_context(|| format!("--runtime-path {text}"));
    host.runtime_path.iter().map(one).collect()
}

/// Where a daemon keeps things unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Code, configuration, logs. Root's daemon gives it to another user, so it lies beneath a
    /// directory of root's: that user must not be able to put something else in place of it or of the
    /// images beside it.
    pub data: PathBuf,
    /// A data directory for every folder that is served by `hearth dev`.
    pub dev: PathBuf,
    /// Runtime images.
    pub images: PathBuf,
    /// Allocations that daemons share.
    pub state: PathBuf,
}

// === impl Places ===

impl Places {
    /// Of whoever asks.
    ///
    /// # Errors
    /// An ordinary user without a home directory has none.
    pub fn usual() -> Result<Self> {
        match nix::unistd::geteuid().is_root() {
            true => Ok(Self::of_root()),
            false => crate::rootless::places(),
        }
    }

    /// `/var/lib/hearth` and `/run/hearth`.
    pub fn of_root() -> Self {
        Self::beneath(Path::new(ROOT), PathBuf::from(STATE))
    }

    /// Everything but `state` beneath one directory.
    pub fn beneath(root: &Path, state: PathBuf) -> Self {
        let [data, dev, images] = ["data", "dev", "images"].map(|name| root.join(name));
        Self { data, dev, images, state }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Result<Config> {
        use clap::Parser;
        let line = ["hearth", "serve"].iter().chain(words);
        match crate::args::Arguments::parse_from(line).command {
            crate::args::Command::Serve(args) => Config::new(&args),
            _ => unreachable!("the line says serve"),
        }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("its text");
        file
    }

    #[test]
    fn defaults_listen_on_loopback_only() {
        let config = typed(&[]).expect("defaults");
        assert_eq!(config.api_listen.to_string(), "127.0.0.1:9000");
        assert_eq!(config.http_listen.to_string(), "127.0.0.1:8080");
        assert_eq!(
            config.home.function_arn(&model::FunctionName::parse("f").expect("a name")),
            "arn:aws:lambda:us-east-1:000000000000:function:f"
        );
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = file("data_dir = \"/a\"\nimage_dir = \"/b\"\nregion = \"eu-west-1\"\n");
        let path = file.path().to_str().expect("a path");
        let config = typed(&["--config", path, "--data-dir", "/c"]).expect("a configuration");
        assert_eq!(config.data_dir, Path::new("/c"));
        assert_eq!(config.image_dir, Path::new("/b"));
        assert_eq!(config.home.region.as_str(), "eu-west-1");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let file = file("data_dri = \"/a\"\n");
        let path = file.path().to_str().expect("a path");
        let message = format!("{:#}", typed(&["--config", path]).expect_err("unknown"));
        assert!(message.contains("data_dri"), "{message}");
    }

    #[test]
    fn limits_under_which_nothing_could_be_called_are_refused() {
        for key in ["account_concurrency", "max_instances", "connections_per_peer"] {
            let file = file(&format!("{key} = 0\n"));
            let path = file.path().to_str().expect("a path");
            let message = typed(&["--config", path]).expect_err(key).to_string();
            assert!(message.contains(key), "{message}");
        }
    }

    #[test]
    fn dev_mode_never_listens_beyond_loopback() {
        assert!(typed(&["--dev", "--api-listen", "0.0.0.0:9000"]).is_err());
        assert!(typed(&["--dev", "--http-listen", "[::]:8080"]).is_err());
        assert!(typed(&["--dev", "--api-listen", "[::1]:9000"]).is_ok());
    }

    #[test]
    fn limits_can_be_gone_without_and_walls_cannot() {
        assert!(typed(&["--allow-unenforced=memory,pids,cpu,swap"]).is_ok());
        for name in ["seccomp", "namespaces", "cgroup-kill", "kernel", "ram", ""] {
            let refused = typed(&["--allow-unenforced", name]).expect_err(name);
            assert!(refused.to_string().contains("memory, pids, cpu and swap"), "{refused}");
        }
        let named = file("allow_unenforced = [\"seccomp\"]\n");
        assert!(typed(&["--config", &named.path().to_string_lossy()]).is_err());
    }
}
