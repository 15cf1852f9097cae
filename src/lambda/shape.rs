//! What a value may be: the words in which the tables say it.

use crate::pattern::Pattern;

/// A shape of the model.
#[derive(Debug)]
pub struct Shape {
    /// AWS's name.
    pub name: &'static str,
    /// Whether its values are never repeated to anybody.
    pub secret: bool,
    /// What it is.
    pub kind: Kind,
}

/// What a shape is.
#[derive(Debug)]
pub enum Kind {
    /// Members by name, in the model's order, which is the order in which AWS tells what is wrong.
    Structure(&'static [Member]),
    /// Values of one shape, one after the other.
    List {
        /// Their shape.
        of: &'static Shape,
        /// How many.
        length: Option<Length>,
        /// Whether a member outside its set is told of the list as a whole.
        flat: bool,
    },
    /// Values by name.
    Map {
        /// The shape of the names, a text.
        key: &'static Shape,
        /// The shape of the values.
        value: &'static Shape,
        /// How many.
        length: Option<Length>,
    },
    /// A text.
    Text {
        /// How many characters.
        length: Option<Length>,
        /// Its form.
        pattern: Option<&'static Pattern>,
        /// What it is one of; empty where it may be anything.
        set: &'static [&'static str],
    },
    /// Bytes: base64 in a body.
    Blob,
    /// A whole number.
    Integer {
        /// Its limits.
        range: Range<i64>,
        /// Whether it has 64 bits; 32 otherwise.
        long: bool,
    },
    /// A number.
    Double {
        /// Its limits.
        range: Range<f64>,
    },
    /// Yes or no.
    Boolean,
    /// Seconds since 1970.
    Timestamp,
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// AWS's name.
    pub name: &'static str,
    /// Where a request or response has it.
    pub place: Place,
    /// Whether a request must have it.
    pub required: bool,
    /// Whether its set is not looked at with the model, but later, by the operation.
    pub later: bool,
    /// What it is.
    pub shape: &'static Shape,
}

/// Where a request or response has a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path, by its name in the template.
    Path(&'static str),
    /// Behind the `?`, by its name there.
    Query(&'static str),
    /// In the head, by the name of its line.
    Header(&'static str),
    /// A member of the body, which is a JSON object.
    Body,
    /// The body itself.
    Payload,
    /// The status code of a response.
    Status,
}

/// Limits of a length, both allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// The shortest.
    pub least: usize,
    /// The longest.
    pub most: usize,
}

/// Limits of a number, both allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range<T> {
    /// The smallest.
    pub least: Option<T>,
    /// The largest.
    pub most: Option<T>,
}

// === impl Shape ===

impl Shape {
    /// Members, if it is a structure.
    pub fn members(&self) -> &'static [Member] {
        match self.kind {
            Kind::Structure(members) => members,
            _ => &[],
        }
    }

    /// A member by AWS's name.
    pub fn member(&self, name: &str) -> Option<&'static Member> {
        self.members().iter().find(|member| member.name == name)
    }
}
