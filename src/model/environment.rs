//! A function's variables, as its owner set them.

use std::collections::BTreeMap;

/// Names and values: names of AWS's form, none of them reserved, together within 4 KiB.
///
/// Kept in the order of their names, so that equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment(BTreeMap<String, String>);

/// Why a set of variables is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A name outside AWS's pattern, or a value that no process can be given.
    #[error("'{name}' is not a variable that can be set")]
    Form {
        /// The variable.
        name: String,
    },
    /// Names that belong to the runtime.
    #[error("reserved variables: {}", names.join(", "))]
    Reserved {
        /// All of them, in the order given.
        names: Vec<String>,
    },
    /// Events at once are a number, from one to [`MAX_CONCURRENCY`].
    #[error("{CONCURRENCY} is '{value}'")]
    Concurrency {
        /// What was given.
        value: String,
    },
    /// More than 4 KiB as JSON.
    #[error("variables take {} bytes of 4096", measured.len())]
    TooLarge {
        /// The JSON object that was measured.
        measured: String,
    },
}

/// What AWS measures the limit in: bytes of the variables as a JSON object.
pub const MAX_BYTES: usize = 4096;

/// How a function asks for several events at once. On AWS the platform sets it for functions on
/// instances that it manages, and runtime clients read it; here it is the owner's to set, where the
/// runtime is the owner's own.
pub const CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";

/// Most events at once: each is a connection of the sandbox's that waits in this process, and a
/// thousand sandboxes share the descriptors there are. AWS's own newer service has 64 as its default.
pub const MAX_CONCURRENCY: u32 = 64;

/// Variables only the runtime sets (AWS's list in "Defined runtime environment variables").
pub const RESERVED: [&str; 20] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

// === impl Environment ===

impl Environment {
    /// Reads variables; the order is that of the request and matters for what is measured only.
    ///
    /// # Errors
    /// A name that cannot be one or is reserved, a value with a NUL byte, or too much of both.
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, EnvironmentError> {
        // A reserved name of another form (`_HANDLER`) is told to be reserved, further down.
        let cannot_be = |(name, value): &&(String, String)| {
            !RESERVED.contains(&name.as_str()) && (!is_name(name) || value.contains('\0'))
        };
        if let Some((name, _)) = pairs.iter().find(cannot_be) {
            return Err(EnvironmentError::Form { name: name.clone() });
        }
        let names: Vec<String> = pairs
            .iter()
            .filter(|(name, _)| RESERVED.contains(&name.as_str()))
            .map(|(name, _)| name.clone())
            .collect();
        if !names.is_empty() {
            return Err(EnvironmentError::Reserved { names });
        }
        let asked = pairs.iter().find(|(name, _)| name == CONCURRENCY);
        if let Some((_, value)) = asked.filter(|(_, value)| read_concurrency(value).is_none()) {
            return Err(EnvironmentError::Concurrency { value: value.clone() });
        }
        let measured = json(&pairs);
        if measured.len() > MAX_BYTES {
            return Err(EnvironmentError::TooLarge { measured });
        }
        Ok(Self(pairs.into_iter().collect()))
    }

    /// How many events at once are asked for, if any number is.
    pub fn concurrency(&self) -> Option<u32> {
        self.0.get(CONCURRENCY).and_then(|value| read_concurrency(value))
    }

    /// Every variable, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether AWS's pattern `[a-zA-Z]([a-zA-Z0-9_])+` allows it.
pub fn is_name(text: &str) -> bool {
    text.len() >= 2
        && text.as_bytes()[0].is_ascii_alphabetic()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn read_concurrency(value: &str) -> Option<u32> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.filter(|number| (1..=MAX_CONCURRENCY).contains(number))
}

/// A compact JSON object, as AWS prints it beside the limit.
fn json(pairs: &[(String, String)]) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(&mut out, name);
        out.push(':');
        quote(&mut out, value);
    }
    out.push('}');
    out
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
