//! A function, as the engine needs it.
//!
//! What the API stores is wider (descriptions, tags, roles); [`Runnable`] is the narrow part that
//! decides how an invocation runs. It is built once per change, shared by reference, and never
//! altered: a change makes a new one with a new [`Generation`].

use std::time::Duration;

use crate::digest::Digest;
use crate::name::FunctionName;

/// Names a function for as long as it exists; a function that is deleted and created again under
/// the same name is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u64);

/// Names one state of the code and configuration of one version, for all time.
///
/// An instance that has run code of one generation never serves another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// A resolved version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// `$LATEST`.
    Latest,
    /// A published one.
    Number(u64),
}

/// Everything the engine needs to run one version of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runnable {
    /// Which function, for what is counted per function.
    pub function: FunctionId,
    /// Which state of which version, for what is kept per instance.
    pub generation: Generation,
    /// The function's name.
    pub name: FunctionName,
    /// The version; the function sees it as `AWS_LAMBDA_FUNCTION_VERSION`.
    pub version: Version,
    /// Runtime identifier, such as `python3.11`; an image that serves it was there at creation.
    pub runtime: String,
    /// What the runtime calls, such as `app.handler`; the function sees it as `_HANDLER`.
    pub handler: String,
    /// Which deployment package.
    pub code: Digest,
    /// What lies in `/opt`: its layers, merged; if it has any.
    pub layers: Option<Digest>,
    /// MemorySize, MiB.
    pub memory_mib: u32,
    /// EphemeralStorage, MiB.
    pub tmp_mib: u32,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// The user's variables.
    pub environment: Vec<(String, String)>,
    /// Where its lines go, such as `/aws/lambda/echo`.
    pub log_group: String,
    /// ReservedConcurrentExecutions of the function, if any.
    pub reserved_concurrency: Option<u32>,
    /// How many events one instance serves at once; one unless the function asks for more.
    pub concurrency: u32,
}

// === impl Version ===

impl Version {
    /// `$LATEST` or the number.
    pub fn text(self) -> String {
        match self {
            Self::Latest => "$LATEST".to_owned(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}
