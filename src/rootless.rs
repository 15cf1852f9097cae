//! The same start without root: an ordinary user's daemon, and what he is told about it.
//!
//! ```text
//!   hearth serve (the user, one thread)
//!     directories  ─ his: ~/.local/state/hearth, $XDG_RUNTIME_DIR/hearth
//!     listeners    ─ bound
//!     spawner      ─ started; makes a user namespace of its own, sandboxes beneath it
//!     … then: a user namespace of our own as well, no capability in it, no way to any
//! ```
//!
//! There is nobody else this process could become, so it keeps the user's rights to his files. What
//! it must not keep is his power over the spawner: whoever made a user namespace may do anything in
//! it, from outside. From within another one he may not, so the control plane moves into one that it
//! holds nothing in. What remains is that processes of one user can send each other signals.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use caps::CapSet;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{AccessFlags, User, access, getegid, geteuid, getgroups};
use sandbox::checks;
use sandbox::identity::Allotment;
use sandbox::subordinate::{self, Absent};

use crate::config::{Config, Places};
use crate::split::{self, Split};
use crate::{activation, output};

/// Where an ordinary user's daemon keeps things.
///
/// # Errors
/// Without a home directory there is no such place.
pub fn places() -> Result<Places> {
    let state = match variable("XDG_STATE_HOME") {
        Some(state) => state,
        None => home()
            .context(
                "neither XDG_STATE_HOME nor HOME says where your files are: give --data-dir, \
                 --image-dir and --state-dir",
            )?
            .join(".local/state"),
    };
    let root = state.join("hearth");
    let run = variable("XDG_RUNTIME_DIR").map(|run| run.join("hearth"));
    Ok(Places::beneath(&root, run.unwrap_or_else(|| root.join("run"))))
}

/// An absolute path in the environment; the XDG specification has others ignored.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn home() -> Option<PathBuf> {
    variable("HOME").or_else(|| User::from_uid(geteuid()).ok().flatten().map(|user| user.dir))
}

/// Does without root what [`split::split`] does with it.
///
/// # Errors
/// Each says what failed and what to do about it; nothing is left half done but directories.
pub fn split(config: &mut Config) -> Result<Split> {
    config.data_dir = own_dir(&config.data_dir, 0o700)?;
    config.image_dir = own_dir(&config.image_dir, 0o755)?;
    config.state_dir = own_dir(&config.state_dir, 0o700)?;
    let lock = split::lock(&config.data_dir)?;
    let instance = split::instance(&config.data_dir)?;
    let code = split::code_dir(&config.data_dir)?;
    let ids = ids();
    for note in notes(&ids) {
        output::say(&note);
    }
    let images = split::served(&split::host_image(config)?, config)?;
    let (api, http) = activation::listeners(config)?;
    let ready = config.ready_file.as_deref().map(split::create_ready_file).transpose()?;
    split::raise_descriptor_limit()?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (control, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
        .context("no socket to the spawner can be made")?;
    let spawner = {
        let (mut command, _program) = split::spawner(config, &code, &instance, theirs)?;
        if let Ok(Allotment { first_user, first_group, count }) = ids {
            command.arg(format!("--subordinate-ids={first_user}:{first_group}:{count}"));
        }
        // The terminal's Ctrl-C is for the daemon, which then ends the spawner by closing its socket.
        command.process_group(0).spawn().context("the spawner cannot be started")?
    };
    confine()?;
    Ok(Split { api, http, control, spawner: Some(spawner), images, ready, lock })
}

/// Makes a directory and makes sure that it is nobody else's; its real path.
fn own_dir(path: &Path, mode: u32) -> Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(mode).create(path).with_context(|| {
        format!(
            "{} cannot be made; see that HOME and XDG_RUNTIME_DIR are yours, or give --data-dir, --image-dir and \
                 --state-dir",
            path.display()
        )
    })?;
    let path = path.canonicalize()?;
    let facts = fs::metadata(&path)?;
    let user = geteuid();
    if facts.uid() != user.as_raw() || facts.mode() & 0o022 != 0 {
        bail!(
            "{} belongs to user {} with mode {:o}; it must belong to you (user {user}) and be \
             writable by no one else",
            path.display(),
            facts.uid(),
            facts.mode() & 0o7777
        );
    }
    Ok(path)
}

/// Ids that this user has for sandboxes.
fn ids() -> Result<Allotment, Absent> {
    let user = geteuid();
    // A user database that cannot be read knows no names; ids are given to numbers, too.
    let name = User::from_uid(user).ok().flatten().map(|user| user.name);
    subordinate::allotment(user.as_raw(), name.as_deref())
}

/// What is not as it is with root, in sentences.
fn notes(ids: &Result<Allotment, Absent>) -> Vec<String> {
    let user = geteuid();
    let mut notes = vec![format!(
        "started as user {user}, without root: requests are served with this user's rights to files"
    )];
    if variable("XDG_RUNTIME_DIR").is_none() {
        notes.push(
            "XDG_RUNTIME_DIR is not set: which daemon has what is recorded beside the data".into(),
        );
    }
    if let Err(absent) = ids {
        notes.push(format!("all sandboxes share one user id, {user}: {absent}"));
        if has_groups() {
            notes.push(
                "sandboxes keep this user's supplementary groups, for the same reason".into(),
            );
        }
    }
    notes
}

fn has_groups() -> bool {
    let own = getegid();
    getgroups().is_ok_and(|groups| groups.iter().any(|group| *group != own))
}

/// The way into a user namespace in which this process has nothing, and never will.
fn confine() -> Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).context("no user namespace for the control plane")?;
    let write = |file: &str, text: String| {
        let path = Path::new("/proc/self").join(file);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("{group} {group} 1\n"))?;
    write("uid_map", format!("{user} {user} 1\n"))?;
    for capability in caps::all() {
        caps::drop(None, CapSet::Bounding, capability).context("the bounding set stays")?;
    }
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).context("a capability stays")?;
    }
    prctl::set_no_new_privs().context("privileges could still be gained")?;
    prctl::set_dumpable(false).context("other processes of this user could read its memory")?;
    umask(Mode::from_bits_truncate(0o077));
    Ok(())
}

/// One thing `hearth doctor` says to an ordinary user.
#[derive(Debug)]
pub struct Note {
    /// About what.
    pub what: &'static str,
    /// Whether it is as good as with root.
    pub good: bool,
    /// How it is.
    pub said: String,
    /// What would make it better.
    pub remedy: Option<String>,
}

/// What an ordinary user should know beside what root is told.
pub fn findings() -> Vec<Note> {
    let user = geteuid();
    let note = |what, said: &str, remedy: &str| Note {
        what,
        good: false,
        said: said.to_owned(),
        remedy: Some(remedy.to_owned()),
    };
    let mut out = vec![note(
        "privilege",
        &format!("not root: requests are served with the rights of user {user} to files"),
        "start as root for a control plane that has none",
    )];
    match ids() {
        Ok(ids) => out.push(Note {
            what: "subordinate ids",
            good: true,
            said: format!("{} from {} on: each sandbox has its own", ids.count, ids.first_user),
            remedy: None,
        }),
        Err(absent) => {
            let remedy = match absent {
                Absent::Helpers => "apt install uidmap".to_owned(),
                Absent::Range { .. } => {
                    format!(
                        "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \
                             <name of user {user}> (ids that nobody has)"
                    )
                }
            };
            let said = format!("all sandboxes share user id {user}: {absent}");
            out.push(note("subordinate ids", &said, &remedy));
            if has_groups() {
                let said =
                    "sandboxes keep this user's: without subordinate ids they cannot be left";
                out.push(note("supplementary groups", said, &remedy));
            }
        }
    }
    if !checks::kills_by_group() {
        out.push(note(
            "killing",
            "a sandbox is ended through its first process, and never frozen: no version-2 control \
             group was delegated",
            "start in a delegated group (systemd-run --user --scope -p Delegate=yes hearth …)",
        ));
    }
    match variable("XDG_RUNTIME_DIR") {
        None => out.push(note(
            "runtime directory",
            "XDG_RUNTIME_DIR is not set: allocations are recorded beside the data",
            "log in through a session manager, or export XDG_RUNTIME_DIR",
        )),
        // Whoever became this user by sudo or su has often brought his own along.
        Some(run) if !may_be_made(&run.join("hearth")) => out.push(note(
            "runtime directory",
            &format!("this user may not write to XDG_RUNTIME_DIR, {}", run.display()),
            "unset it, log in through a session manager, or give --state-dir",
        )),
        Some(_) => {}
    }
    out
}

/// Whether it is there and can be written, or can be made.
fn may_be_made(path: &Path) -> bool {
    let there = path.ancestors().find(|path| path.exists());
    there.is_some_and(|path| access(path, AccessFlags::W_OK).is_ok())
}
