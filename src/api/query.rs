//! What stands behind the `?`.

use std::borrow::Cow;

use httpd::AwsError;
use percent_encoding::percent_decode_str;

use crate::errors;

/// Names and values, decoded.
#[derive(Debug, Default)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

// === impl Query ===

impl<'a> Query<'a> {
    /// Reads a raw query.
    ///
    /// # Errors
    /// If it is not UTF-8 once decoded.
    pub(crate) fn parse(raw: Option<&'a str>) -> Result<Self, AwsError> {
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else { return Ok(Self::default()) };
        let pair = |pair: &'a str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        };
        raw.split('&').filter(|part| !part.is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// All of it, in order.
    pub(crate) fn pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.0
    }

    /// All values of a name.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(other, _)| other == name);
        values.map(|(_, value)| value.clone().into_owned()).collect()
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_ref())
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, AwsError> {
    let not_text = |_| errors::validation("The query string is not UTF-8");
    if raw.contains('+') {
        let spaced = raw.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(not_text)?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(raw).decode_utf8().map_err(not_text)
}

#[cfg(test)]
mod tests;
