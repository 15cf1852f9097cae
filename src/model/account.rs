//! Whose functions these are and where they are said to live.
//!
//! Hearth serves one account in one region; both are configuration, and every ARN is built from
//! them.

use std::fmt;

use crate::layer::LayerName;
use crate::name::{FunctionName, Qualifier};

/// Twelve digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountId(String);

/// A region's name, such as `us-east-1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Region(String);

/// Account and region: what an ARN says beside the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Home {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
}

/// A configured account or region that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// Not twelve digits.
    #[error("account '{value}' is not a number of twelve digits")]
    Account {
        /// What was given.
        value: String,
    },
    /// Not of the form of a region's name.
    #[error("region '{value}' is not a region's name such as us-east-1")]
    Region {
        /// What was given.
        value: String,
    },
}

// === impl AccountId ===

impl AccountId {
    /// Reads twelve digits.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn parse(text: &str) -> Result<Self, HomeError> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(HomeError::Account { value: text.to_owned() })
    }

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AccountId {
    fn default() -> Self {
        Self("000000000000".to_owned())
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Region ===

impl Region {
    /// Reads a region: lower-case words joined by `-`, a number last.
    ///
    /// # Errors
    /// If it has another form.
    pub fn parse(text: &str) -> Result<Self, HomeError> {
        let parts: Vec<&str> = text.split('-').collect();
        let words = parts.len() >= 3
            && parts[..parts.len() - 1]
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()));
        let number = parts
            .last()
            .is_some_and(|part| part.len() == 1 && part.bytes().all(|b| b.is_ascii_digit()));
        if words && number {
            return Ok(Self(text.to_owned()));
        }
        Err(HomeError::Region { value: text.to_owned() })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Region {
    fn default() -> Self {
        Self("us-east-1".to_owned())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Home ===

impl Home {
    /// `arn:aws:lambda:<region>:<account>:function:<name>`.
    pub fn function_arn(&self, name: &FunctionName) -> String {
        format!("arn:aws:lambda:{}:{}:function:{name}", self.region, self.account)
    }

    /// The same with `:<qualifier>`.
    pub fn qualified_arn(&self, name: &FunctionName, qualifier: &Qualifier) -> String {
        format!("{}:{qualifier}", self.function_arn(name))
    }

    /// `arn:aws:lambda:<region>:<account>:layer:<name>`.
    pub fn layer_arn(&self, name: &LayerName) -> String {
        format!("arn:aws:lambda:{}:{}:layer:{name}", self.region, self.account)
    }

    /// The same with `:<version>`.
    pub fn layer_version_arn(&self, name: &LayerName, version: u64) -> String {
        format!("{}:{version}", self.layer_arn(name))
    }
}
