//! Which trees an assigned cell gets to see, and where.
//!
//! Where a tree may be mounted is a closed set: the control plane names a place by its number, the
//! path that belongs to it stands in the spawner's plan. On the wire there are a count and that many
//! pairs of place and digest, in the order of the places, each place at most once, the code first; so
//! that a list has one spelling.

use super::Digest;
use crate::codec::{DecodeError, Reader, Writer};

/// A directory of a cell in which a tree of its function can appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The deployment package. Every assigned cell has one.
    Code = 1,
    /// The function's layers, merged.
    Layers = 2,
}

/// What is mounted into a cell when it is assigned: code, and what else there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trees {
    code: Digest,
    layers: Option<Digest>,
}

// === impl Place ===

impl Place {
    /// All there are, in order.
    pub const ALL: [Self; 2] = [Self::Code, Self::Layers];

    fn decode(tag: u8) -> Result<Self, DecodeError> {
        let found = Self::ALL.into_iter().find(|place| *place as u8 == tag);
        found.ok_or(DecodeError::UnknownTag { what: "place", tag })
    }
}

// === impl Trees ===

impl Trees {
    /// Code, and nothing else.
    pub fn of(code: Digest) -> Self {
        Self { code, layers: None }
    }

    /// The same with something at one more place, or with nothing there; the code is always there.
    pub fn with(mut self, place: Place, tree: Option<Digest>) -> Self {
        match (place, tree) {
            (Place::Code, Some(tree)) => self.code = tree,
            (Place::Code, None) => {}
            (Place::Layers, tree) => self.layers = tree,
        }
        self
    }

    /// What is mounted at a place.
    pub fn at(&self, place: Place) -> Option<&Digest> {
        match place {
            Place::Code => Some(&self.code),
            Place::Layers => self.layers.as_ref(),
        }
    }

    /// What is mounted where, in the order of the places.
    pub fn iter(&self) -> impl Iterator<Item = (Place, &Digest)> {
        Place::ALL.into_iter().filter_map(|place| Some((place, self.at(place)?)))
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        // At most as many as there are places.
        out.u8(self.iter().count() as u8);
        for (place, tree) in self.iter() {
            out.u8(place as u8).raw(tree);
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = from.u8("trees")?;
        let range = |field, value: u8, min: u8, max: u8| match (min..=max).contains(&value) {
            true => Ok(()),
            false => Err(DecodeError::OutOfRange {
                field,
                value: value.into(),
                min: min.into(),
                max: max.into(),
            }),
        };
        range("trees", count, 1, Place::ALL.len() as u8)?;
        let mut trees = Self::of([0; 32]);
        let mut last = 0;
        for _ in 0..count {
            let tag = from.u8("place")?;
            let place = Place::decode(tag)?;
            // The first is the code, and each comes after the one before.
            range("place", tag, last + 1, if last == 0 { Place::Code as u8 } else { u8::MAX })?;
            last = tag;
            trees = trees.with(place, Some(from.array("tree")?));
        }
        Ok(trees)
    }
}

#[cfg(test)]
mod tests;
