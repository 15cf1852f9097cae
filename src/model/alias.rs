//! Aliases: names that point to a version, or divide their calls between two.
//!
//! Which of two versions serves a call is drawn from the call's own identifier ([`Roll`]): a call that
//! has to be resolved once more goes where it went before, nothing random is read on the way, and
//! whoever gives the identifier knows the outcome.

use crate::configuration::Description;
use crate::function::Version;
use crate::id::{RequestId, RevisionId};
use crate::name::AliasName;

/// An alias of one function.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// Its name, unique within the function.
    pub name: AliasName,
    /// What it points to.
    pub version: Version,
    /// What somebody wrote about it.
    pub description: Description,
    /// A second version that gets a part of the calls; AWS calls it RoutingConfig.
    pub second: Option<Share>,
    /// Changes with every change.
    pub revision: RevisionId,
}

/// A published version and its part of an alias' calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Its number.
    pub version: u64,
    /// Its part.
    pub weight: Weight,
}

/// A part of something: 0 is nothing, 1 is all of it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Weight(f64);

/// A place between 0 and 1, as even as the identifiers it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Roll(f64);

// === impl Alias ===

impl Alias {
    /// The version that serves a call.
    pub fn draw(&self, roll: Roll) -> Version {
        match self.second {
            Some(Share { version, weight }) if roll.0 < weight.0 => Version::Number(version),
            _ => self.version,
        }
    }

    /// Whether any call goes to a version.
    pub fn points_to(&self, version: Version) -> bool {
        self.version == version
            || self.second.is_some_and(|share| Version::Number(share.version) == version)
    }

    /// What of `count` each version gets that it points to; together they get all of it.
    pub fn parts(&self, count: u32) -> impl Iterator<Item = (Version, u32)> + use<> {
        let second = self.second.map(|Share { version, weight }| {
            // A product of a number and at most one is no larger than the number.
            (Version::Number(version), (f64::from(count) * weight.0).round() as u32)
        });
        let first = (self.version, count - second.map_or(0, |(_, part)| part));
        std::iter::once(first).chain(second)
    }
}

// === impl Weight ===

impl Weight {
    /// Reads a number from 0 to 1.
    pub fn parse(part: f64) -> Option<Self> {
        (0.0..=1.0).contains(&part).then_some(Self(part))
    }

    /// From 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

// === impl Roll ===

impl Roll {
    /// Digits of a UUID before those that say which kind it is: 48 bits nobody could foresee.
    const DIGITS: usize = 12;

    /// What a call draws. It is below 1, so that the whole weight is always drawn and none never.
    pub fn of(request: &RequestId) -> Self {
        let digits = request.as_str().bytes().filter(u8::is_ascii_hexdigit).take(Self::DIGITS);
        let number = digits.fold(0_u64, |number, digit| {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                _ => digit.to_ascii_lowercase() - b'a' + 10,
            };
            number << 4 | u64::from(value)
        });
        // 48 bits are exact in a double, and so is their quotient.
        Self(number as f64 / (1_u64 << (4 * Self::DIGITS)) as f64)
    }
}

#[cfg(test)]
mod tests;
