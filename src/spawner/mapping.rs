//! The maps of the spawner's own user namespace, when an ordinary user started it.
//!
//! Whoever has ids beneath his own has them handed out by `newuidmap` and `newgidmap`, which look for
//! themselves whether they are his. Whoever has none may map his own id, alone, and has to give up
//! leaving groups first.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use sandbox::Identity;
use sandbox::identity::{Mapping, Maps};
use sandbox::subordinate::Helpers;

/// Why a map was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MappingError {
    /// The kernel refused it.
    #[error("write {file} of the spawner's user namespace")]
    Refused {
        file: &'static str,
        #[source]
        source: io::Error,
    },
    /// They were there a moment ago.
    #[error("newuidmap and newgidmap are not installed")]
    NoHelpers,
    /// A helper could not be started.
    #[error("{program} does not start")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    /// A helper refused.
    #[error("{program} says: {said}")]
    Helper { program: String, said: String },
}

/// Gives a process in a new user namespace the ids of this identity, if it has a namespace at all.
pub(crate) fn give(pid: i32, identity: &Identity) -> Result<(), MappingError> {
    let Some(maps) = identity.spawner_maps() else { return Ok(()) };
    if identity.can_drop_groups() {
        let helpers = Helpers::find().ok_or(MappingError::NoHelpers)?;
        hand_out(&helpers.groups, pid, &maps.groups)?;
        return hand_out(&helpers.users, pid, &maps.users);
    }
    let write = |file, text: &str| {
        fs::write(format!("/proc/{pid}/{file}"), text)
            .map_err(|source| MappingError::Refused { file, source })
    };
    write("setgroups", "deny")?;
    write("gid_map", &Maps::text(&maps.groups))?;
    write("uid_map", &Maps::text(&maps.users))
}

fn hand_out(helper: &Path, pid: i32, map: &[Mapping]) -> Result<(), MappingError> {
    let program = helper.display().to_string();
    let mut command = Command::new(helper);
    command.arg(pid.to_string()).env_clear().stdin(Stdio::null());
    for Mapping { inside, outside, count } in map {
        command.args([inside, outside, count].map(u32::to_string));
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(source) => return Err(MappingError::Start { program, source }),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(MappingError::Helper { program, said })
}
