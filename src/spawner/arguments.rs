//! What the program is told when it starts.
//!
//! Whoever starts it is already whom it runs as, so these are trusted as far as their meaning goes;
//! they are checked so that a mistake is a sentence and not a surprise.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use sandbox::checks::Need;
use sandbox::identity::Allotment;

/// Where machine-wide allocation is kept unless it is said otherwise.
const DEFAULT_STATE: &str = "/run/hearth";
/// Ids of a nursery would do for sixty thousand; the process table of the host does not.
const MOST_CELLS: u32 = 10_000;
/// Long enough for a UUID or a digest.
const LONGEST_INSTANCE: usize = 64;

/// The program's arguments, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// `--images DIR`: runtime images, `sha256/<hex>/tree`.
    pub images: PathBuf,
    /// `--code DIR`: functions' code, the same.
    pub code: PathBuf,
    /// `--state DIR`: slot files, shared by all spawners of the machine.
    pub state: PathBuf,
    /// `--instance ID`: names the data directory this spawner works for.
    pub instance: String,
    /// `--capacity N`: how many cells may live at once.
    pub capacity: u32,
    /// `--runner-fd N`: the runner, in a sealed memory file.
    pub runner: i32,
    /// `--allow-unenforced=LIST`: limits the operator goes without.
    pub unenforced: Vec<Need>,
    /// `--notify SOCKET`: a service manager that wants to know when it is up, `NOTIFY_SOCKET`.
    pub notify: Option<OsString>,
    /// `--subordinate-ids USER:GROUP:COUNT`: what an ordinary user has for his cells; root's spawner
    /// pays no attention to it.
    pub subordinate: Option<Allotment>,
}

/// Why the arguments make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentsError {
    /// One that is not known.
    #[error("unknown argument {argument}")]
    Unknown {
        /// As it was given.
        argument: String,
    },
    /// One without its value.
    #[error("{argument} needs a value")]
    NoValue {
        /// Which.
        argument: String,
    },
    /// One that must be there and is not.
    #[error("{argument} is missing")]
    Missing {
        /// Which.
        argument: &'static str,
    },
    /// One with a value that cannot be.
    #[error("{argument} {value}: {expected}")]
    Invalid {
        /// Which.
        argument: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

// === impl Arguments ===

impl Arguments {
    /// Reads the arguments after the program's name: `--name value` or `--name=value`.
    ///
    /// # Errors
    /// [`ArgumentsError`].
    pub fn parse(given: &[OsString]) -> Result<Self, ArgumentsError> {
        let mut typed = Typed::default();
        let mut given = given.iter();
        while let Some(argument) = given.next() {
            let text = argument.to_string_lossy().into_owned();
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
                None => (text, None),
            };
            let Some(field) = typed.field(&name) else {
                return Err(ArgumentsError::Unknown { argument: name });
            };
            let value = value.or_else(|| given.next().cloned());
            *field = Some(value.ok_or(ArgumentsError::NoValue { argument: name })?);
        }
        typed.check()
    }
}

/// As it was typed.
#[derive(Default)]
struct Typed {
    images: Option<OsString>,
    code: Option<OsString>,
    state: Option<OsString>,
    instance: Option<OsString>,
    capacity: Option<OsString>,
    runner: Option<OsString>,
    unenforced: Option<OsString>,
    notify: Option<OsString>,
    subordinate: Option<OsString>,
}

// === impl Typed ===

impl Typed {
    fn field(&mut self, name: &str) -> Option<&mut Option<OsString>> {
        Some(match name {
            "--images" => &mut self.images,
            "--code" => &mut self.code,
            "--state" => &mut self.state,
            "--instance" => &mut self.instance,
            "--capacity" => &mut self.capacity,
            "--runner-fd" => &mut self.runner,
            "--allow-unenforced" => &mut self.unenforced,
            "--notify" => &mut self.notify,
            "--subordinate-ids" => &mut self.subordinate,
            _ => return None,
        })
    }

    fn check(self) -> Result<Arguments, ArgumentsError> {
        let there =
            |argument, value: Option<OsString>| value.ok_or(ArgumentsError::Missing { argument });
        let state = self.state.unwrap_or_else(|| DEFAULT_STATE.into());
        Ok(Arguments {
            images: directory("--images", there("--images", self.images)?)?,
            code: directory("--code", there("--code", self.code)?)?,
            state: directory("--state", state)?,
            instance: instance(there("--instance", self.instance)?)?,
            capacity: capacity(there("--capacity", self.capacity)?)?,
            runner: descriptor(there("--runner-fd", self.runner)?)?,
            unenforced: self.unenforced.map_or(Ok(Vec::new()), unenforced)?,
            notify: self.notify.map(manager).transpose()?,
            subordinate: self.subordinate.map(allotment).transpose()?,
        })
    }
}

fn directory(argument: &'static str, value: OsString) -> Result<PathBuf, ArgumentsError> {
    let path = PathBuf::from(value);
    if path.is_absolute() {
        return Ok(path);
    }
    let expected = "an absolute path is needed";
    Err(ArgumentsError::Invalid { argument, value: path.display().to_string(), expected })
}

fn manager(value: OsString) -> Result<OsString, ArgumentsError> {
    if matches!(value.as_bytes(), [b'/' | b'@', _, ..]) {
        return Ok(value);
    }
    let value = value.to_string_lossy().into_owned();
    let expected = "an absolute path, or @ and an abstract name, is needed";
    Err(ArgumentsError::Invalid { argument: "--notify", value, expected })
}

fn instance(value: OsString) -> Result<String, ArgumentsError> {
    let value = value.to_string_lossy().into_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=LONGEST_INSTANCE).contains(&value.len()) && value.chars().all(plain) {
        return Ok(value);
    }
    let expected = "1 to 64 letters, digits, hyphens and underscores are needed";
    Err(ArgumentsError::Invalid { argument: "--instance", value, expected })
}

fn capacity(value: OsString) -> Result<u32, ArgumentsError> {
    let value = value.to_string_lossy().into_owned();
    match value.parse() {
        Ok(number) if (1..=MOST_CELLS).contains(&number) => Ok(number),
        _ => {
            let expected = "a number from 1 to 10000 is needed";
            Err(ArgumentsError::Invalid { argument: "--capacity", value, expected })
        }
    }
}

fn descriptor(value: OsString) -> Result<i32, ArgumentsError> {
    let value = value.to_string_lossy().into_owned();
    match value.parse() {
        // 0 to 2 are the standard streams, 3 is the control plane's socket.
        Ok(number) if number > 3 => Ok(number),
        _ => {
            let expected = "a descriptor above 3 is needed";
            Err(ArgumentsError::Invalid { argument: "--runner-fd", value, expected })
        }
    }
}

fn allotment(value: OsString) -> Result<Allotment, ArgumentsError> {
    let value = value.to_string_lossy().into_owned();
    let numbers: Vec<u32> = value.split(':').map_while(|number| number.parse().ok()).collect();
    match numbers[..] {
        [first_user, first_group, count]
            if [first_user, first_group].iter().all(|first| {
                // 2³²−1 is no id but the word for none.
                *first > 0 && first.checked_add(count).is_some_and(|end| end < u32::MAX)
            }) && count >= Allotment::LEAST =>
        {
            Ok(Allotment { first_user, first_group, count })
        }
        _ => {
            let expected = "first user, first group and a count are needed: 100000:100000:65536";
            Err(ArgumentsError::Invalid { argument: "--subordinate-ids", value, expected })
        }
    }
}

fn unenforced(value: OsString) -> Result<Vec<Need>, ArgumentsError> {
    let value = value.to_string_lossy().into_owned();
    let one = |name: &str| {
        let need = Need::ALL.into_iter().find(|need| need.name() == name);
        need.filter(|need| need.may_be_missing()).ok_or_else(|| ArgumentsError::Invalid {
            argument: "--allow-unenforced",
            value: name.to_owned(),
            expected: "memory, pids, cpu and swap can be gone without",
        })
    };
    value.split(',').filter(|name| !name.is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests;
