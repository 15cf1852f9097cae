//! `hearth service install` and `uninstall`: the service put in place, and taken away again.
//!
//! Both make a plan first, a list of [`Step`]s, and print it (`--dry-run`) or perform it. A step that
//! has been done before is nothing the second time, so that installing again is how one upgrades, and
//! uninstalling again does no harm.
//!
//! ```text
//!   install    program ─► user ─► configuration ─► kernel settings ─► units ─► start
//!   uninstall  stop ─► units ─► kernel settings ─► program ─► (--purge: data, configuration, user)
//! ```
//!
//! An edited configuration and the data are the operator's: only `--purge` deletes them. The user stays
//! as long as the data does, or its id would go to somebody else, and the data with it. With `--root`
//! the plan is about files only.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{User, geteuid};
use sandbox::budget::HostLimits;
use serde_json::json;

use crate::args::{Format, Install, Place, Service, Uninstall};
use crate::exit::Exit;
use crate::output;
use crate::units::{self, ALL, CONFIGURATION, DATA, PROGRAM, SYSCTLS, SYSUSERS, UNITS};

/// There exactly where systemd is the service manager: `sd_booted(3)`.
const BOOTED: &str = "/run/systemd/system";
/// Who serves requests.
const USER: &str = "hearth";
const FILE: u32 = 0o644;
const EXECUTABLE: u32 = 0o755;

/// One thing to do. Paths are as the installed system sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Put this program there.
    Program(&'static str),
    /// Write a file, whole.
    File { path: String, text: String },
    /// The same, unless there is one.
    FileOnce { path: &'static str, text: &'static str },
    /// Start a unit with the machine.
    Link { unit: &'static str, target: &'static str },
    /// Set a kernel setting now.
    Sysctl { name: &'static str, value: u64 },
    /// Make the user, if need be.
    User,
    /// Delete the user.
    NoUser,
    /// Run a program.
    Run(Vec<&'static str>),
    /// Stop those of these units that are there.
    Stop(Vec<&'static str>),
    /// Start a service anew.
    Restart(&'static str),
    /// Delete a file.
    Remove(String),
    /// Delete a file, if nobody has changed it.
    RemoveUnchanged { path: &'static str, text: &'static str },
    /// Delete a directory that is empty.
    RemoveEmpty(&'static str),
    /// Delete a directory and all that is in it.
    RemoveAll(String),
}

/// Installs or uninstalls.
///
/// # Errors
/// Where there is no root or no systemd; the step that failed.
pub fn run(args: &Service, format: Format) -> Result<Exit> {
    let (place, steps) = match args {
        Service::Install(Install { place }) => (place, install(live(place))),
        Service::Uninstall(Uninstall { place, purge }) => {
            let data = place.root.join(DATA.trim_start_matches('/')).exists();
            (place, uninstall(live(place), *purge, data))
        }
    };
    if place.dry_run && format == Format::Json {
        let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
        output::json(&json!({ "steps": steps }))?;
        return Ok(Exit::Done);
    }
    if place.dry_run {
        for step in &steps {
            output::line(&step.to_string())?;
        }
        return Ok(Exit::Done);
    }
    check(place)?;
    for step in &steps {
        step.perform(&place.root).with_context(|| format!("could not {step}"))?;
    }
    match args {
        Service::Install(_) if live(place) => output::say(
            "Hearth runs: management on 127.0.0.1:9000, function URLs on 127.0.0.1:8080, the \
             administrator's key in /var/lib/hearth/data/credentials",
        ),
        Service::Install(_) => output::say("installed; Hearth starts when that system does"),
        Service::Uninstall(Uninstall { purge: false, place }) if live(place) => {
            output::say(
                "uninstalled; functions and logs stay in /var/lib/hearth (--purge deletes)",
            );
        }
        Service::Uninstall(_) => output::say("uninstalled"),
    }
    Ok(Exit::Done)
}

/// Whether it is about the system that runs.
fn live(place: &Place) -> bool {
    place.root == Path::new("/")
}

fn check(place: &Place) -> Result<()> {
    if !live(place) {
        if !place.root.is_dir() {
            bail!("--root {} is not a directory", place.root.display());
        }
        return Ok(());
    }
    if !geteuid().is_root() {
        bail!("only root can do that; try sudo, or --dry-run to see what it would be");
    }
    if !Path::new(BOOTED).is_dir() {
        bail!(
            "this machine is not run by systemd; have whatever starts services here run `hearth \
             serve` as root: it gives root up before it serves"
        );
    }
    Ok(())
}

fn install(live: bool) -> Vec<Step> {
    // Of another system nothing is known, and what it has is not lowered either: it is set at boot,
    // before anything else would need more.
    let nothing = HostLimits {
        inotify_instances: 0,
        inotify_watches: 0,
        pending_signals: 0,
        orphaned_connections: 0,
    };
    let host = if live { HostLimits::read() } else { nothing };
    let file = |path: &str, text: String| Step::File { path: path.to_owned(), text };
    let mut steps = vec![Step::Program(PROGRAM)];
    steps.push(file(SYSUSERS, units::SYSUSERS_TEXT.to_owned()));
    if live {
        steps.push(Step::User);
    }
    steps.push(Step::FileOnce { path: CONFIGURATION, text: units::CONFIGURATION_TEXT });
    steps.push(file(SYSCTLS, units::sysctls_text(&host)));
    if live {
        let now = units::sysctls(&host).into_iter();
        steps.extend(now.map(|(name, value)| Step::Sysctl { name, value }));
    }
    for unit in &ALL {
        steps.push(file(&unit_path(unit.name), unit.text.to_owned()));
        steps.extend(unit.wanted_by.map(|target| Step::Link { unit: unit.name, target }));
    }
    if live {
        steps.push(Step::Run(vec!["systemctl", "daemon-reload"]));
        let sockets = ALL.iter().map(|unit| unit.name).filter(|name| name.ends_with(".socket"));
        steps.push(Step::Run(["systemctl", "start"].into_iter().chain(sockets).collect()));
        // One that runs already goes on with the new program; clients wait in the sockets.
        steps.push(Step::Restart("hearth.service"));
    }
    steps
}

/// `data` says whether there is anything that belongs to the user.
fn uninstall(live: bool, purge: bool, data: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if live {
        // Services with their sockets, or a connection would start them again.
        steps.push(Step::Stop(ALL.iter().map(|unit| unit.name).collect()));
    }
    for unit in &ALL {
        if let Some(target) = unit.wanted_by {
            steps.push(Step::Remove(format!("{UNITS}/{target}.wants/{}", unit.name)));
        }
        steps.push(Step::Remove(unit_path(unit.name)));
        if purge {
            // What `systemctl edit` made.
            steps.push(Step::RemoveAll(format!("{UNITS}/{}.d", unit.name)));
        }
    }
    if live {
        steps.push(Step::Run(vec!["systemctl", "daemon-reload"]));
    }
    // The settings in force stay until the next boot: others may have come to rely on them.
    steps.push(Step::Remove(SYSCTLS.to_owned()));
    steps.push(Step::Remove(SYSUSERS.to_owned()));
    if purge {
        steps.push(Step::Remove(CONFIGURATION.to_owned()));
        steps.push(Step::RemoveAll(DATA.to_owned()));
    } else {
        let text = units::CONFIGURATION_TEXT;
        steps.push(Step::RemoveUnchanged { path: CONFIGURATION, text });
    }
    steps.push(Step::RemoveEmpty("/etc/hearth"));
    if live && (purge || !data) {
        steps.push(Step::NoUser);
    }
    steps.push(Step::Remove(PROGRAM.to_owned()));
    steps
}

fn unit_path(name: &str) -> String {
    format!("{UNITS}/{name}")
}

// === impl Step ===

impl Step {
    /// What it changes in the system's tree.
    fn path(&self) -> Option<String> {
        match self {
            Self::File { path, .. } | Self::Remove(path) | Self::RemoveAll(path) => {
                Some(path.clone())
            }
            Self::Program(path)
            | Self::RemoveEmpty(path)
            | Self::FileOnce { path, .. }
            | Self::RemoveUnchanged { path, .. } => Some((*path).to_owned()),
            Self::Link { unit, target } => Some(format!("{UNITS}/{target}.wants/{unit}")),
            Self::Sysctl { .. }
            | Self::User
            | Self::NoUser
            | Self::Run(_)
            | Self::Stop(_)
            | Self::Restart(_) => None,
        }
    }

    fn perform(&self, root: &Path) -> Result<()> {
        let root = &root.canonicalize()?;
        if let Some(path) = self.path() {
            stays_beneath(root, &path)?;
        }
        let at = |path: &str| root.join(path.trim_start_matches('/'));
        match self {
            Self::Program(path) => {
                // The file as it was when this process started, whatever its name leads to by now.
                let program = fs::read("/proc/self/exe").context("this program cannot be read")?;
                put(&at(path), &program, EXECUTABLE)
            }
            Self::File { path, text } => put(&at(path), text.as_bytes(), FILE),
            Self::FileOnce { path, text } => match at(path).exists() {
                true => Ok(()),
                false => put(&at(path), text.as_bytes(), FILE),
            },
            Self::Link { unit, target } => {
                let link = at(&format!("{UNITS}/{target}.wants/{unit}"));
                directory_of(&link)?;
                match symlink(unit_path(unit), &link) {
                    Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
                    done => Ok(done?),
                }
            }
            Self::Sysctl { name, value } => {
                let path = Path::new("/proc/sys").join(name.replace('.', "/"));
                Ok(fs::write(path, value.to_string())?)
            }
            Self::User => make_user(),
            Self::NoUser => match User::from_name(USER)? {
                Some(_) => execute(&["userdel", USER]),
                None => Ok(()),
            },
            Self::Run(words) => execute(words),
            Self::Stop(units) => {
                let there = units.iter().copied().filter(|name| at(&unit_path(name)).exists());
                let words: Vec<&str> = ["systemctl", "stop"].into_iter().chain(there).collect();
                if words.len() > 2 { execute(&words) } else { Ok(()) }
            }
            Self::Restart(unit) => execute(&["systemctl", "restart", unit]).context(
                "`journalctl -u hearth -u hearth-spawner` says why, `hearth doctor` what to do; it is \
                 tried again and again until it starts",
            ),
            Self::Remove(path) => unless_gone(fs::remove_file(at(path))),
            Self::RemoveUnchanged { path, text } => match fs::read_to_string(at(path)) {
                Ok(there) if there == *text => Ok(fs::remove_file(at(path))?),
                Ok(_) => {
                    output::say(&format!("{path} has been edited and stays"));
                    Ok(())
                }
                Err(err) => unless_gone(Err(err)),
            },
            Self::RemoveEmpty(path) => match fs::remove_dir(at(path)) {
                Err(err) if err.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
                done => unless_gone(done),
            },
            Self::RemoveAll(path) => unless_gone(fs::remove_dir_all(at(path))),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Program(path) => write!(f, "copy this program to {path}"),
            Self::File { path, .. } => write!(f, "write {path}"),
            Self::FileOnce { path, .. } => write!(f, "write {path}, unless it is there"),
            Self::Link { unit, target } => write!(f, "have {target} start {unit}"),
            Self::Sysctl { name, value } => write!(f, "set {name} = {value}"),
            Self::User => write!(f, "make the system user {USER}, unless it is there"),
            Self::NoUser => write!(f, "delete the user {USER}"),
            Self::Run(words) => write!(f, "run {}", words.join(" ")),
            Self::Stop(units) => write!(f, "stop {}", units.join(" ")),
            Self::Restart(unit) => write!(f, "start {unit} anew"),
            Self::Remove(path) => write!(f, "delete {path}"),
            Self::RemoveUnchanged { path, .. } => write!(f, "delete {path}, unless it was edited"),
            Self::RemoveEmpty(path) => write!(f, "delete {path}, if it is empty"),
            Self::RemoveAll(path) => write!(f, "delete {path} and everything in it"),
        }
    }
}

/// Makes sure that no link in another system's tree leads to a file of this one: what is absolute there
/// means something else here. `root` is a real path.
fn stays_beneath(root: &Path, path: &str) -> Result<()> {
    let mut real = root.to_owned();
    let folders = Path::new(path.trim_start_matches('/')).parent().unwrap_or(Path::new(""));
    for folder in folders {
        real.push(folder);
        // A link that leads nowhere would be followed once something is there.
        if real.symlink_metadata().is_err() {
            return Ok(());
        }
        let link = real.clone();
        real = link.canonicalize().with_context(|| format!("{} leads nowhere", link.display()))?;
        if !real.starts_with(root) {
            bail!(
                "{} leads to {}, outside of {}; make it a relative link",
                link.display(),
                real.display(),
                root.display()
            );
        }
    }
    Ok(())
}

/// Writes a file beside its place and renames it: whoever reads or executes it finds all of the old or
/// all of the new. One that is as it should be is left alone.
fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    directory_of(path)?;
    let permissions = Permissions::from_mode(mode);
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(fs::set_permissions(path, permissions)?);
    }
    let mut name = path.file_name().context("a file has a name")?.to_owned();
    name.push(".new");
    let aside = path.with_file_name(name);
    unless_gone(fs::remove_file(&aside))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
    file.write_all(content)?;
    // Whatever the umask made of it.
    file.set_permissions(permissions)?;
    file.sync_all()?;
    Ok(fs::rename(&aside, path)?)
}

fn directory_of(path: &Path) -> Result<()> {
    let parent: PathBuf = path.parent().unwrap_or(Path::new("/")).to_owned();
    fs::create_dir_all(&parent).with_context(|| format!("make {}", parent.display()))
}

fn make_user() -> Result<()> {
    if User::from_name(USER)?.is_some() {
        return Ok(());
    }
    match Command::new("systemd-sysusers").arg(SYSUSERS).status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => bail!("systemd-sysusers failed ({status})"),
        Err(err) if err.kind() == ErrorKind::NotFound => {}
        Err(err) => return Err(err).context("systemd-sysusers"),
    }
    let shell = "/usr/sbin/nologin";
    execute(&["useradd", "--system", "--user-group", "--home-dir", DATA, "--shell", shell, USER])
}

fn execute(words: &[&str]) -> Result<()> {
    let line = words.join(" ");
    let (program, arguments) = words.split_first().context("a command has a name")?;
    let status =
        Command::new(program).args(arguments).status().with_context(|| format!("run {line}"))?;
    if !status.success() {
        bail!("{line} failed ({status})");
    }
    Ok(())
}

fn unless_gone(done: std::io::Result<()>) -> Result<()> {
    match done {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        done => Ok(done?),
    }
}
