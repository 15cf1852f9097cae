//! Function URLs.

use std::sync::Arc;

use crate::name::{AliasName, FunctionName};

/// The first label of a function URL's host: 32 lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UrlId(Arc<str>);

/// Who may call a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// Anybody the resource policy admits.
    None,
    /// Signed requests only.
    AwsIam,
}

/// Whether a response is collected or passed on as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvokeMode {
    /// Collected.
    Buffered,
    /// Passed on.
    ResponseStream,
}

/// Cross-origin resource sharing of a URL; lists are as the caller gave them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cors {
    /// AllowCredentials.
    pub allow_credentials: Option<bool>,
    /// AllowHeaders, at most 100.
    pub allow_headers: Option<Vec<String>>,
    /// AllowMethods, at most 6.
    pub allow_methods: Option<Vec<String>>,
    /// AllowOrigins, at most 100.
    pub allow_origins: Option<Vec<String>>,
    /// ExposeHeaders, at most 100.
    pub expose_headers: Option<Vec<String>>,
    /// MaxAge, seconds, at most 86,400.
    pub max_age: Option<u32>,
}

/// One URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlConfig {
    /// Its identifier.
    pub id: UrlId,
    /// The function it calls.
    pub name: FunctionName,
    /// The alias it calls; `$LATEST` if there is none.
    pub alias: Option<AliasName>,
    /// Who may call it.
    pub auth: AuthType,
    /// Cross-origin sharing, if configured.
    pub cors: Option<Cors>,
    /// Given by the caller, or `None`, which means buffered.
    pub invoke_mode: Option<InvokeMode>,
    /// Milliseconds since the epoch.
    pub created_ms: u64,
    /// Milliseconds since the epoch.
    pub modified_ms: u64,
}

// === impl AuthType ===

impl AuthType {
    /// Reads AWS's name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::AwsIam].into_iter().find(|auth| auth.as_str() == text)
    }

    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
        }
    }
}

// === impl InvokeMode ===

impl InvokeMode {
    /// Reads AWS's name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Buffered, Self::ResponseStream].into_iter().find(|mode| mode.as_str() == text)
    }

    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buffered => "BUFFERED",
            Self::ResponseStream => "RESPONSE_STREAM",
        }
    }
}

// === impl UrlId ===

impl UrlId {
    /// Characters of an identifier (as AWS's are).
    pub const LEN: usize = 32;

    /// A new one.
    pub fn random() -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut out = String::with_capacity(Self::LEN);
        for byte in crate::id::random_bytes().into_iter().chain(crate::id::random_bytes()) {
            out.push(LETTERS[usize::from(byte & 31)].into());
        }
        Self(out.into())
    }

    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == Self::LEN
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        fits.then(|| Self(text.into()))
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for UrlId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
