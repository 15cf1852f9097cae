//! One request, gathered from everywhere it says something.
//!
//! Members come from the path, from behind the `?`, from the head and from the body. They are put
//! together by name, held against the model, and only then given a type.

use std::borrow::Cow;

use serde::Deserialize;
use thiserror::Error;

use crate::Operation;
use crate::check;
use crate::operation::{Input, Labels};
use crate::shape::{Kind, Place, Shape};
use crate::value::Value;

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What stands in the path.
    pub labels: &'a Labels<'a>,
    /// What stands behind the `?`, decoded.
    pub query: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// Lines of the head that are text: name in lower case, value.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Why a request was not read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The body is not JSON.
    #[error("not JSON")]
    NotJson(#[source] serde_json::Error),
    /// A member has another type than the model's; AWS's sentence.
    #[error("{0}")]
    Mistyped(String),
    /// Members break the model; AWS's clauses, one for each.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
}

// === impl Request ===

impl<'a> Request<'a> {
    /// Reads it, if nothing about it breaks the model.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn read<T: Input + Deserialize<'a>>(&self) -> Result<T, Unreadable> {
        let gathered = self.checked(T::OPERATION)?;
        T::deserialize(gathered).map_err(|err| Unreadable::Mistyped(err.to_string()))
    }

    /// Whether anything about it breaks the model of an operation.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn check(&self, operation: Operation) -> Result<(), Unreadable> {
        self.checked(operation).map(drop)
    }

    fn checked(&self, operation: Operation) -> Result<Value<'a>, Unreadable> {
        let input = operation.row().input;
        let gathered = self.gather(input)?;
        if let Some(sentence) = check::misfit(input, &gathered) {
            return Err(Unreadable::Mistyped(sentence));
        }
        let found = check::violations(input, &gathered);
        if found.is_empty() { Ok(gathered) } else { Err(Unreadable::Invalid(found)) }
    }

    /// All that it says, by name.
    fn gather(&self, input: &Shape) -> Result<Value<'a>, Unreadable> {
        let members = input.members();
        let mut gathered = Vec::new();
        if members.iter().any(|member| member.place == Place::Body) && !self.body.is_empty() {
            match serde_json::from_slice(self.body).map_err(Unreadable::NotJson)? {
                Value::Map(body) => gathered = body,
                other => {
                    let sentence =
                        check::misfit(input, &other).unwrap_or_else(|| "Expected null".to_owned());
                    return Err(Unreadable::Mistyped(sentence));
                }
            }
            // What a body says about members that are elsewhere is not theirs.
            let of_body = |name: &str| {
                members.iter().all(|member| member.place == Place::Body || member.name != name)
            };
            gathered.retain(|(name, _)| of_body(name));
        }
        for member in members {
            let value = match member.place {
                Place::Path(label) => plain(self.label(label), member.shape)?,
                Place::Query(name) => self.queried(name, member.shape)?,
                Place::Header(name) => self.header(name),
                Place::Body | Place::Payload | Place::Status => None,
            };
            gathered.extend(value.map(|value| (Cow::Borrowed(member.name), value)));
        }
        Ok(Value::Map(gathered))
    }

    fn label(&self, name: &str) -> &'a str {
        let labels: &'a Labels<'a> = self.labels;
        labels.get(name)
    }

    fn header(&self, name: &str) -> Option<Value<'a>> {
        let lines: &'a [(&'a str, &'a str)] = self.headers;
        let mut lines = lines.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        lines.next().map(|(_, value)| Value::Text(Cow::Borrowed(value)))
    }

    fn queried(&self, name: &str, shape: &Shape) -> Result<Option<Value<'a>>, Unreadable> {
        let query: &'a [(Cow<'a, str>, Cow<'a, str>)] = self.query;
        let mut values = query.iter().filter(|(other, _)| other == name).map(|(_, text)| &**text);
        if let Kind::List { .. } = shape.kind {
            let values: Vec<_> = values.map(|text| Value::Text(Cow::Borrowed(text))).collect();
            return Ok((!values.is_empty()).then_some(Value::List(values)));
        }
        values.next().map_or(Ok(None), |text| plain(text, shape))
    }
}

/// What a text in a path or a query says, if anything.
fn plain<'a>(text: &'a str, shape: &Shape) -> Result<Option<Value<'a>>, Unreadable> {
    let value = Value::Text(Cow::Borrowed(text));
    let read = match shape.kind {
        // Nothing is no number, and none of a set: clients that build queries by hand send it.
        Kind::Integer { .. } | Kind::Boolean if text.is_empty() => return Ok(None),
        Kind::Text { set, .. } if text.is_empty() && !set.is_empty() => return Ok(None),
        Kind::Integer { .. } => text.parse().ok().map(Value::Integer),
        Kind::Boolean => text.parse().ok().map(Value::Boolean),
        Kind::Timestamp | Kind::Double { .. } => text.parse().ok().map(Value::Double),
        _ => return Ok(Some(value)),
    };
    // A text is mistyped as any of these, so that there is a sentence.
    let mistyped = || Unreadable::Mistyped(check::misfit(shape, &value).unwrap_or_default());
    read.map(Some).ok_or_else(mistyped)
}

#[cfg(test)]
mod tests;
