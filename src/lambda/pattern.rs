//! Whether a text has a form.
//!
//! The regular expressions of the model come taken apart; what is left to do is to walk along them with
//! all places in the text where a match could stand, so that no text, however it is made, costs more
//! than its length times that of the expression. Java's `matches` is meant: the whole text, `.` without
//! line ends, `\d` and `\s` of ASCII. `\p{L}` takes the marks that `char::is_alphabetic` takes, too.

use std::collections::BTreeSet;
use std::fmt;

/// A form that texts can have.
pub struct Pattern {
    /// The regular expression, as AWS prints it.
    pub(crate) text: &'static str,
    /// The same, taken apart.
    pub(crate) node: Node,
}

/// A part of a regular expression.
#[derive(Debug)]
pub(crate) enum Node {
    /// These characters.
    Text(&'static str),
    /// One character of these, both ends included, or of these kinds.
    OneOf(&'static [(char, char)], &'static [Category]),
    /// One character that is none of these.
    NoneOf(&'static [(char, char)]),
    /// One after the other.
    All(&'static [Node]),
    /// Any one.
    Either(&'static [Node]),
    /// At least and at most so often.
    Times(&'static Node, usize, Option<usize>),
    /// Not followed by this.
    NotAhead(&'static Node),
    /// Not preceded by this, which is one character.
    NotBehind(&'static Node),
    /// The beginning of the text.
    Start,
    /// The end of the text.
    End,
}

/// A kind of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
}

/// Places between characters, counted from 0.
type Places = BTreeSet<usize>;

// === impl Pattern ===

impl Pattern {
    /// Whether a text, all of it, has the form.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.node.walk(&text, &Places::from([0])).contains(&text.len())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

// === impl Node ===

impl Node {
    /// Where it can end if it begins at one of some places.
    fn walk(&self, text: &[char], from: &Places) -> Places {
        match self {
            Self::Text(wanted) => {
                let wanted: Vec<char> = wanted.chars().collect();
                let fits = |at: &&usize| text[**at..].starts_with(&wanted);
                from.iter().filter(fits).map(|at| at + wanted.len()).collect()
            }
            Self::OneOf(..) | Self::NoneOf(_) => {
                let fits = |at: &&usize| text.get(**at).is_some_and(|c| self.takes(*c));
                from.iter().filter(fits).map(|at| at + 1).collect()
            }
            Self::All(nodes) => nodes.iter().fold(from.clone(), |at, node| node.walk(text, &at)),
            Self::Either(nodes) => nodes.iter().flat_map(|node| node.walk(text, from)).collect(),
            Self::Times(node, least, most) => repeated(node, text, from, *least, *most),
            Self::NotAhead(node) => {
                let absent = |at: &&usize| node.walk(text, &Places::from([**at])).is_empty();
                from.iter().filter(absent).copied().collect()
            }
            Self::NotBehind(node) => {
                let absent = |at: &&usize| {
                    let before = at.checked_sub(1);
                    before.is_none_or(|before| !node.walk(text, &[before].into()).contains(at))
                };
                from.iter().filter(absent).copied().collect()
            }
            Self::Start => from.iter().filter(|at| **at == 0).copied().collect(),
            Self::End => from.iter().filter(|at| **at == text.len()).copied().collect(),
        }
    }

    /// Whether it, being one of characters, takes this one.
    fn takes(&self, c: char) -> bool {
        let within = |ranges: &[(char, char)]| ranges.iter().any(|(a, b)| (*a..=*b).contains(&c));
        match self {
            Self::OneOf(ranges, kinds) => within(ranges) || kinds.iter().any(|kind| kind.has(c)),
            Self::NoneOf(ranges) => !within(ranges),
            _ => false,
        }
    }
}

/// Where a node can end that stands at least and at most so often.
fn repeated(
    node: &Node,
    text: &[char],
    from: &Places,
    least: usize,
    most: Option<usize>,
) -> Places {
    let mut at = from.clone();
    for _ in 0..least {
        at = node.walk(text, &at);
    }
    let mut all = at.clone();
    let mut more = most.map_or(usize::MAX, |most| most - least);
    while more > 0 && !at.is_empty() {
        // A place that was reached before leads nowhere new.
        at = node.walk(text, &at).into_iter().filter(|place| all.insert(*place)).collect();
        more -= 1;
    }
    all
}

// === impl Category ===

impl Category {
    fn has(self, c: char) -> bool {
        match self {
            Self::Letter => c.is_alphabetic(),
            Self::Number => c.is_numeric(),
        }
    }
}

#[cfg(test)]
mod tests;
