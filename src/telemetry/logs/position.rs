//! Where an event is: places to continue reading at, and identifiers.

use std::fmt;

/// A place in a group's log. It stays valid while time passes; one whose segment has been deleted
/// means the oldest event that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub(super) segment: u64,
    /// Byte in it.
    pub(super) offset: u64,
}

/// Names one event of a group; later events have larger ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Position);

// === impl Position ===

impl Position {
    /// Before everything.
    pub const START: Self = Self { segment: 0, offset: 0 };

    /// After everything.
    pub const END: Self = Self { segment: u64::MAX, offset: u64::MAX };

    /// Reads what `Display` writes. The text may come from a client: a position that never was one
    /// is harmless, reading begins at the next record.
    pub fn parse(text: &str) -> Option<Self> {
        let (segment, offset) = text.split_once('-')?;
        Some(Self { segment: hex(segment)?, offset: hex(offset)? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.segment, self.offset)
    }
}

fn hex(text: &str) -> Option<u64> {
    let fits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

// === impl EventId ===

impl EventId {
    pub(super) fn new(position: Position) -> Self {
        Self(position)
    }

    /// Where the event is.
    pub fn position(self) -> Position {
        self.0
    }
}

impl fmt::Display for EventId {
    /// 56 digits, as AWS's have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:028}{:028}", self.0.segment, self.0.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_from_its_text_and_nothing_else_does() {
        for position in
            [Position::START, Position::END, Position { segment: 1_795_132_800_000, offset: 24 }]
        {
            assert_eq!(Position::parse(&position.to_string()), Some(position));
        }
        for text in ["", "-", "1-2", "+000000000000001-0000000000000001", "x", "é"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    #[test]
    fn event_ids_have_56_digits_and_sort_as_text_as_events_do() {
        let ids: Vec<String> = [(1, 2), (1, 10), (2, 0), (u64::MAX, u64::MAX)]
            .map(|(segment, offset)| EventId::new(Position { segment, offset }).to_string())
            .into();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.len() == 56));
    }
}
