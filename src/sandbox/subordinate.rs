//! Ids that an ordinary user was given for namespaces, and the programs that hand them out.
//!
//! `/etc/subuid` and `/etc/subgid` say who has which; `newuidmap` and `newgidmap` (set-user-id root)
//! write them into a map, after looking themselves. They are looked for where systems keep such
//! programs and never along `PATH`, which whoever starts us has chosen.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::identity::Allotment;

/// Where the two programs may be: the usual places, and NixOS's for set-user-id programs.
const PLACES: [&str; 6] =
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/run/wrappers/bin"];
const USERS: &str = "/etc/subuid";
const GROUPS: &str = "/etc/subgid";

/// The two programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helpers {
    /// `newuidmap`.
    pub users: PathBuf,
    /// `newgidmap`.
    pub groups: PathBuf,
}

/// Why a user has no ids beneath him.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// Nobody gave him any.
    #[error("{file} gives user {user} fewer than {} ids", Allotment::LEAST)]
    Range {
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// Who asked.
        user: String,
    },
    /// Nobody could hand them out.
    #[error("newuidmap and newgidmap are not installed")]
    Helpers,
}

// === impl Helpers ===

impl Helpers {
    /// Both, if both are there.
    pub fn find() -> Option<Self> {
        let find = |name: &str| {
            let paths = PLACES.into_iter().map(|place| Path::new(place).join(name));
            paths.into_iter().find(|path| is_program(path))
        };
        Some(Self { users: find("newuidmap")?, groups: find("newgidmap")? })
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// What a user has, by his number and, if he has one, his name.
///
/// # Errors
/// [`Absent`].
pub fn allotment(user: u32, name: Option<&str>) -> Result<Allotment, Absent> {
    let number = user.to_string();
    let names = [name.unwrap_or(&number), &number];
    let range = |file| {
        // A file that is not there gives nobody anything.
        largest(&fs::read_to_string(file).unwrap_or_default(), &names)
            .ok_or_else(|| Absent::Range { file, user: names[0].to_owned() })
    };
    let (users, groups) = (range(USERS)?, range(GROUPS)?);
    if Helpers::find().is_none() {
        return Err(Absent::Helpers);
    }
    let count = users.1.min(groups.1);
    Ok(Allotment { first_user: users.0, first_group: groups.0, count })
}

/// The largest range of a user, called by any of these names: its first id and how many there are.
fn largest(text: &str, names: &[&str]) -> Option<(u32, u32)> {
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let (first, count): (u32, u32) = (first.parse().ok()?, count.parse().ok()?);
        let whole = first > 0 && first.checked_add(count).is_some_and(|end| end < u32::MAX);
        (names.contains(&name) && whole && count >= Allotment::LEAST).then_some((first, count))
    });
    // Of several equal ones the first: a restart must find the same.
    ranges.fold(None, |best, range| match best {
        Some((_, count)) if count >= range.1 => best,
        _ => Some(range),
    })
}

#[cfg(test)]
mod tests;
