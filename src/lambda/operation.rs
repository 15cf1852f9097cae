//! Which operation a method and a path mean.
//!
//! Templates are compared segment by segment. Some operations share method and path and are told apart
//! by the query (`?List=ALL`): a template that names a query is looked at before those that name none.

use std::borrow::Cow;
use std::fmt;

use crate::generated::operations::{Operation, ROWS};
use crate::shape::Shape;

/// What the model says about an operation.
#[derive(Debug)]
pub struct Row {
    /// Which.
    pub operation: Operation,
    /// AWS's name.
    pub name: &'static str,
    /// `GET` and the like.
    pub method: &'static str,
    /// The template: `/2015-03-31/functions/{FunctionName}`, perhaps with a query.
    pub path: &'static str,
    /// Of the answer if all is well.
    pub status: u16,
    /// The structure that a request is.
    pub input: &'static Shape,
    /// The structure that an answer is.
    pub output: Option<&'static Shape>,
}

/// An error that the model has a shape for.
#[derive(Debug)]
pub struct Fault {
    /// `ResourceNotFoundException` and the like.
    pub code: &'static str,
    /// Of the answer.
    pub status: u16,
    /// How the body spells `message`, if it has one: there are two spellings.
    pub message: Option<&'static str>,
}

/// A request of one operation, as a type.
pub trait Input {
    /// Whose request it is.
    const OPERATION: Operation;
}

/// What stands in a path where its template has names: at most three, in the path's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels<'a>([(&'static str, Cow<'a, str>); 3]);

// === impl Operation ===

impl Operation {
    /// All of them, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.operation)
    }

    /// What the model says about it.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The operation of a method, the decoded segments of a path, and a raw query.
    pub fn find<'a>(
        method: &str,
        segments: &[Cow<'a, str>],
        query: Option<&str>,
    ) -> Option<(Self, Labels<'a>)> {
        let asks = |wanted: &str| query.is_some_and(|all| all.split('&').any(|one| one == wanted));
        let fits = |row: &&Row| row.method == method && row.template().fits(segments);
        let mut plain = None;
        for row in ROWS.iter().filter(fits) {
            match row.template().query {
                Some(wanted) if asks(wanted) => {
                    plain = Some(row);
                    break;
                }
                Some(_) => {}
                None => plain = Some(row),
            }
        }
        plain.map(|row| (row.operation, row.template().labels(segments)))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

// === impl Row ===

impl Row {
    fn template(&self) -> Template {
        let (path, query) = match self.path.split_once('?') {
            None => (self.path, None),
            Some((path, query)) => (path, Some(query)),
        };
        Template { path, query }
    }
}

/// A path with names in braces, and the query that goes with it.
#[derive(Debug, Clone, Copy)]
struct Template {
    path: &'static str,
    query: Option<&'static str>,
}

// === impl Template ===

impl Template {
    fn segments(self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').skip(1)
    }

    fn fits(self, segments: &[Cow<'_, str>]) -> bool {
        let mut given = segments.iter();
        let same = self.segments().all(|wanted| {
            given.next().is_some_and(|given| label(wanted).is_some() || wanted == given.as_ref())
        });
        same && given.next().is_none()
    }

    fn labels<'a>(self, segments: &[Cow<'a, str>]) -> Labels<'a> {
        let mut labels = Labels::default();
        let named = self.segments().zip(segments);
        let named = named.filter_map(|(wanted, given)| Some((label(wanted)?, given.clone())));
        for (slot, named) in labels.0.iter_mut().zip(named) {
            *slot = named;
        }
        labels
    }
}

/// The name, if a segment of a template is one.
fn label(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

// === impl Labels ===

impl<'a> Labels<'a> {
    /// One name and what stands for it.
    pub fn one(name: &'static str, value: Cow<'a, str>) -> Self {
        let mut labels = Self::default();
        labels.0[0] = (name, value);
        labels
    }

    /// What stands where the template has a name; empty where it has no such name.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value)
    }

    /// What stands at the first name, whatever it is called; empty if there is none.
    pub fn first(&self) -> &str {
        &self.0[0].1
    }
}

#[cfg(test)]
mod tests;
