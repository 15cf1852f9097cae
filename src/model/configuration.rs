//! What a function is configured with, within AWS's limits.
//!
//! Each value is parsed once, here; the texts in which the API refuses one belong to the API, which
//! is why errors name a limit and not a sentence. Not here: what Hearth does not have yet (networks,
//! keys). A configuration that asked for it is refused before it gets this far.

use std::fmt;
use std::sync::Arc;

use crate::environment::Environment;
use crate::layer::AttachedLayers;

/// `MemorySize`, in MiB: 128 to 10,240 (AWS limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(u32);

/// `Timeout`, in seconds: 1 to 900 (AWS limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timeout(u32);

/// `EphemeralStorage.Size`, in MiB: 512 to 10,240 (AWS limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EphemeralStorage(u32);

/// A runtime identifier, such as `python3.11`: 1 to 64 lower-case letters, digits, `.`, `-`, `_`.
///
/// Whether an image serves it is not known here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuntimeId(String);

/// What the runtime calls, such as `app.handler`: 1 to 128 characters, none of them white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handler(String);

/// `arn:aws:iam::<account>:role/<path and name>`; kept and shown, not yet used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn(String);

/// Up to 256 characters about a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description(String);

/// Where a function's lines go: 1 to 512 letters, digits and `. - _ / #`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogGroup(String);

/// What the code was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`.
    X86_64,
    /// `arm64`.
    Arm64,
}

/// `SnapStart.ApplyOn`: whether published versions are initialised once, when they are published, and
/// restored from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapStart {
    /// Every instance initialises.
    #[default]
    None,
    /// Those of published versions are restored.
    PublishedVersions,
}

/// The part of a function that `UpdateFunctionConfiguration` changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Which runtime.
    pub runtime: RuntimeId,
    /// What it calls.
    pub handler: Handler,
    /// As whom.
    pub role: RoleArn,
    /// What for, in the owner's words.
    pub description: Description,
    /// How long one invocation may take.
    pub timeout: Timeout,
    /// How much memory a sandbox may use.
    pub memory: MemorySize,
    /// How large its `/tmp` is.
    pub tmp: EphemeralStorage,
    /// The owner's variables; `None` if never given, which the API shows differently from empty.
    pub environment: Option<Environment>,
    /// What the code was built for.
    pub architecture: Architecture,
    /// Another log group than `/aws/lambda/<name>`.
    pub log_group: Option<LogGroup>,
    /// Whether published versions are restored from a snapshot.
    pub snap_start: SnapStart,
    /// What lies in its `/opt`; shared by every version that has the same.
    pub layers: Option<Arc<AttachedLayers>>,
}

/// A value outside its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A number below or above.
    #[error("{what} of {value} is not between {least} and {most}")]
    Range {
        /// Which value.
        what: &'static str,
        /// What was given.
        value: u64,
        /// The smallest allowed.
        least: u32,
        /// The largest allowed.
        most: u32,
    },
    /// A text of another form, or too long.
    #[error("'{value}' cannot be a {what}")]
    Form {
        /// Which value.
        what: &'static str,
        /// What was given.
        value: String,
    },
}

// === impl MemorySize ===

impl MemorySize {
    /// The smallest, MiB.
    pub const LEAST: u32 = 128;
    /// The largest, MiB.
    pub const MOST: u32 = 10_240;
    /// What AWS gives a function that does not say, MiB.
    pub const DEFAULT: Self = Self(128);

    /// Reads a number of MiB.
    ///
    /// # Errors
    /// If it is outside the limits.
    pub fn parse(mib: u64) -> Result<Self, LimitError> {
        ranged("MemorySize", mib, Self::LEAST, Self::MOST).map(Self)
    }

    /// MiB.
    pub fn mib(self) -> u32 {
        self.0
    }
}

// === impl Timeout ===

impl Timeout {
    /// The shortest, seconds.
    pub const LEAST: u32 = 1;
    /// The longest, seconds.
    pub const MOST: u32 = 900;
    /// What AWS gives a function that does not say, seconds.
    pub const DEFAULT: Self = Self(3);

    /// Reads a number of seconds.
    ///
    /// # Errors
    /// If it is outside the limits.
    pub fn parse(seconds: u64) -> Result<Self, LimitError> {
        ranged("Timeout", seconds, Self::LEAST, Self::MOST).map(Self)
    }

    /// Seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

// === impl EphemeralStorage ===

impl EphemeralStorage {
    /// The smallest, MiB.
    pub const LEAST: u32 = 512;
    /// The largest, MiB.
    pub const MOST: u32 = 10_240;
    /// What AWS gives a function that does not say, MiB.
    pub const DEFAULT: Self = Self(512);

    /// Reads a number of MiB.
    ///
    /// # Errors
    /// If it is outside the limits.
    pub fn parse(mib: u64) -> Result<Self, LimitError> {
        ranged("EphemeralStorage", mib, Self::LEAST, Self::MOST).map(Self)
    }

    /// MiB.
    pub fn mib(self) -> u32 {
        self.0
    }
}

// === impl RuntimeId ===

impl RuntimeId {
    /// Reads an identifier.
    ///
    /// # Errors
    /// If it could not be one.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_')
            });
        checked("runtime identifier", text, fits).map(Self)
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the package's own program that runs.
    pub fn is_custom(&self) -> bool {
        self.0.starts_with("provided")
    }
}

// === impl Handler ===

impl Handler {
    /// Most characters (an AWS limit).
    pub const MAX: usize = 128;

    /// Reads a handler.
    ///
    /// # Errors
    /// If it is empty, too long, or has white space in it.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let fits = !text.is_empty()
            && text.chars().count() <= Self::MAX
            && !text.chars().any(|c| c.is_whitespace() || c == '\0');
        checked("handler", text, fits).map(Self)
    }

    /// The handler.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl RoleArn ===

impl RoleArn {
    /// Reads a role's ARN by AWS's pattern.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        checked("role", text, is_role(text)).map(Self)
    }

    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Description ===

impl Description {
    /// Most characters (an AWS limit).
    pub const MAX: usize = 256;

    /// Reads a description.
    ///
    /// # Errors
    /// If it is too long.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        checked("description", text, text.chars().count() <= Self::MAX).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl LogGroup ===

impl LogGroup {
    /// Most characters (an AWS limit).
    pub const MAX: usize = 512;

    /// Reads a log group's name.
    ///
    /// # Errors
    /// If it is empty, too long, or has another character than AWS's pattern allows.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'#')
            });
        checked("log group", text, fits).map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Architecture ===

impl Architecture {
    /// The machine this program was built for, which is the only one it can run.
    pub const HOST: Self = if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::X86_64 };

    /// Reads AWS's name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "x86_64" => Some(Self::X86_64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

// === impl SnapStart ===

impl SnapStart {
    /// Reads AWS's name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "None" => Some(Self::None),
            "PublishedVersions" => Some(Self::PublishedVersions),
            _ => None,
        }
    }

    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::PublishedVersions => "PublishedVersions",
        }
    }
}

macro_rules! display_as_str {
    ($($name:ty),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

display_as_str!(RuntimeId, Handler, RoleArn, Description, LogGroup, Architecture, SnapStart);

fn ranged(what: &'static str, value: u64, least: u32, most: u32) -> Result<u32, LimitError> {
    match u32::try_from(value) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(LimitError::Range { what, value, least, most }),
    }
}

fn checked(what: &'static str, text: &str, fits: bool) -> Result<String, LimitError> {
    if fits {
        return Ok(text.to_owned());
    }
    Err(LimitError::Form { what, value: text.to_owned() })
}

/// `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`
fn is_role(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("arn:") else { return false };
    let Some((partition, rest)) = rest.split_once(':') else { return false };
    let partition_fits = partition.is_empty()
        || partition
            .strip_prefix("aws")
            .is_some_and(|more| more.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'));
    let Some(rest) = rest.strip_prefix("iam::") else { return false };
    let Some((account, rest)) = rest.split_once(':') else { return false };
    let account_fits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let Some(path) = rest.strip_prefix("role") else { return false };
    let path_fits = !path.is_empty()
        && path != "/"
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b));
    partition_fits && account_fits && path_fits
}

#[cfg(test)]
mod tests;
