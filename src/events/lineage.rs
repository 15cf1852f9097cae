//! Which functions an event has come through, so that a circle of destinations ends.
//!
//! AWS stops a function that has been called about sixteen times in one chain of requests. A record
//! for a destination carries the lineage of the event it tells of, and that event's function; it is
//! written as `12:3,15:1`, identifiers of functions and how often each was called.

use model::FunctionId;

/// How often one function may be called in one chain (AWS: about sixteen times).
pub const MOST: u32 = 16;

/// The functions of a chain, and how often each was called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage(Vec<(FunctionId, u32)>);

// === impl Lineage ===

impl Lineage {
    /// Reads what [`Lineage`] prints; what is no lineage is passed over, and none of ours.
    pub fn parse(text: &str) -> Self {
        let one = |part: &str| {
            let (function, calls) = part.split_once(':')?;
            Some((FunctionId(function.parse().ok()?), calls.parse().ok()?))
        };
        Self(text.split(',').filter_map(one).collect())
    }

    /// How often a function was called.
    pub fn calls(&self, function: FunctionId) -> u32 {
        self.0.iter().find(|(other, _)| *other == function).map_or(0, |(_, calls)| *calls)
    }

    /// With one more call of a function.
    #[must_use]
    pub fn with(mut self, function: FunctionId) -> Self {
        match self.0.iter_mut().find(|(other, _)| *other == function) {
            Some((_, calls)) => *calls = calls.saturating_add(1),
            None => self.0.push((function, 1)),
        }
        self
    }
}

impl std::fmt::Display for Lineage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (function, calls)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}:{calls}", function.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
