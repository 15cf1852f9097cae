//! What is said about functions beside their configuration: who must have signed their code, whether
//! they may call themselves, when their runtime changes.

use std::collections::BTreeMap;

use crate::id::random_bytes;

/// What tells code signing configurations apart: `csc-` and 17 small letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SigningId(String);

/// Who must have signed the code of the functions that refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningConfig {
    /// Its identifier.
    pub id: SigningId,
    /// Description, if it was given one.
    pub description: Option<String>,
    /// AllowedPublishers: ARNs of the versions of signing profiles, 1 to 20.
    pub publishers: Vec<String>,
    /// UntrustedArtifactOnDeployment.
    pub untrusted: Untrusted,
    /// When it last changed, milliseconds since the epoch.
    pub modified_ms: u64,
    /// Tags, at most 50.
    pub tags: BTreeMap<String, String>,
}

/// What becomes of code that nobody allowed has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Untrusted {
    /// It is deployed.
    #[default]
    Warn,
    /// It is refused.
    Enforce,
}

/// What becomes of a function that calls itself in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecursiveLoop {
    /// It is ended.
    #[default]
    Terminate,
    /// It goes on.
    Allow,
}

/// When a version gets another version of its runtime.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RuntimeUpdate {
    /// As soon as there is one.
    #[default]
    Auto,
    /// With the next change of the function.
    FunctionUpdate,
    /// Never by itself: it has the one of this ARN.
    Manual(String),
}

/// Everything that is said of one function; nothing, for almost all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Who must have signed its code.
    pub signing: Option<SigningId>,
    /// Whether it may call itself in a loop.
    pub recursion: RecursiveLoop,
    /// When its runtime changes, by the version's number or `$LATEST`; `Auto` is not listed.
    pub runtime: BTreeMap<String, RuntimeUpdate>,
}

// === impl SigningId ===

impl SigningId {
    /// Characters behind `csc-` (AWS's model).
    const DIGITS: usize = 17;

    /// A new one, which nobody has seen.
    pub fn random() -> Self {
        let bytes = random_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("csc-{}", &hex[..Self::DIGITS]))
    }

    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("csc-")?;
        let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = digits.len() == Self::DIGITS && digits.bytes().all(small);
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Untrusted ===

impl Untrusted {
    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "Warn",
            Self::Enforce => "Enforce",
        }
    }

    /// Reads AWS's name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Warn, Self::Enforce].into_iter().find(|one| one.as_str() == text)
    }
}

// === impl RecursiveLoop ===

impl RecursiveLoop {
    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "Terminate",
            Self::Allow => "Allow",
        }
    }

    /// Reads AWS's name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Terminate, Self::Allow].into_iter().find(|one| one.as_str() == text)
    }
}

// === impl RuntimeUpdate ===

impl RuntimeUpdate {
    /// AWS's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::FunctionUpdate => "FunctionUpdate",
            Self::Manual(_) => "Manual",
        }
    }

    /// Reads AWS's name, and the ARN that goes with one of them.
    pub fn parse(text: &str, version_arn: Option<String>) -> Option<Self> {
        match (text, version_arn) {
            ("Auto", _) => Some(Self::Auto),
            ("FunctionUpdate", _) => Some(Self::FunctionUpdate),
            ("Manual", Some(arn)) => Some(Self::Manual(arn)),
            _ => None,
        }
    }

    /// The version it stays at, if it does.
    pub fn version_arn(&self) -> Option<&str> {
        match self {
            Self::Manual(arn) => Some(arn),
            Self::Auto | Self::FunctionUpdate => None,
        }
    }
}

#[cfg(test)]
mod tests;
