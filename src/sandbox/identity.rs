//! Whose ids a spawner gives to its cells, and through which user namespaces.
//!
//! ```text
//!                    host            spawner's own           nursery              cell
//!   root             0               –  (the host's)         0..65,535            1000
//!                    first..+65,536  ─────────────────────►  0..65,535   ──────►  one id
//!
//!   ordinary user    user            0                       0                    1000
//!   with ids         first..+count   1..=count  ──────────►  1..=count   ──────►  one id
//!
//!   ordinary user    user            1  ──────────────────►  1           ──────►  1000
//!   without
//! ```
//!
//! Only the host's root may clone into namespaces without a user namespace around them, so an
//! ordinary user's spawner has one of its own, in which it is what root's spawner is on the host. The
//! nursery and everything beneath are the same three times: the maker is its root, [`OWNER_ID`] owns
//! cells, a cell maps one id.
//!
//! Where there is but one id, everything has it, and what keeps cells apart is every other wall: their
//! pid namespaces (no signal has an address), their user namespaces (tracing needs a capability over
//! the other's), their mounts (no file of the user's is there). No id is called 0 there, because
//! handing the parent's 0 on takes one more capability than the maker is to have.

use std::ops::Range;

use crate::plan::{FIRST_CELL_ID, FIRST_ID, IDS_PER_SLOT, OWNER_ID, SLOTS};

/// Fewest subordinate ids a spawner takes, where the user has that many: what distributions give is
/// 65,536, and a user has more than one daemon.
const SUBORDINATE_IDS: u32 = 4_096;
/// Spawners that an allotment is divided among.
const SUBORDINATE_SLOTS: u32 = 16;

/// Ids that a user was given beside his own, in `/etc/subuid` and `/etc/subgid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allotment {
    /// First user id.
    pub first_user: u32,
    /// First group id.
    pub first_group: u32,
    /// How many of each.
    pub count: u32,
}

/// Where ids of cells come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The machine's reserved range; the spawner is root.
    Machine,
    /// An ordinary user's allotment.
    Subordinate {
        /// His own ids.
        own: Own,
        /// The others.
        allotment: Allotment,
    },
    /// An ordinary user without any.
    Single(Own),
}

/// Ids a process runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
}

/// The part of a [`Source`] that one spawner uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    source: Source,
    /// First user and group of the host that cells may have, and how many.
    ids: Allotment,
}

/// A line of `uid_map` or `gid_map`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// First id inside.
    pub inside: u32,
    /// First id in the namespace around it.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Both maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maps {
    /// `uid_map`.
    pub users: Vec<Mapping>,
    /// `gid_map`.
    pub groups: Vec<Mapping>,
}

// === impl Allotment ===

impl Allotment {
    /// Fewer ids than this are not worth a namespace: the first sixteen are nobody's.
    pub const LEAST: u32 = 64;
}

// === impl Source ===

impl Source {
    /// How many spawners there is room for.
    pub fn slots(&self) -> u32 {
        match self {
            Self::Machine | Self::Single(_) => SLOTS,
            Self::Subordinate { allotment, .. } => allotment.count / self.ids_per_slot(),
        }
    }

    /// The part that belongs to a slot below [`Source::slots`].
    pub fn slot(&self, number: u32) -> Identity {
        let count = self.ids_per_slot();
        let offset = number * count;
        let ids = match self {
            Self::Machine => {
                let first = FIRST_ID + offset;
                Allotment { first_user: first, first_group: first, count }
            }
            Self::Subordinate { allotment, .. } => Allotment {
                first_user: allotment.first_user + offset,
                first_group: allotment.first_group + offset,
                count,
            },
            Self::Single(own) => {
                Allotment { first_user: own.user, first_group: own.group, count: 1 }
            }
        };
        Identity { source: *self, ids }
    }

    fn ids_per_slot(&self) -> u32 {
        match self {
            Self::Machine => IDS_PER_SLOT,
            Self::Subordinate { allotment, .. } => {
                let share = allotment.count / SUBORDINATE_SLOTS;
                share.clamp(SUBORDINATE_IDS, IDS_PER_SLOT).min(allotment.count.max(1))
            }
            Self::Single(_) => 0,
        }
    }
}

// === impl Identity ===

impl Identity {
    /// Whether the spawner is the host's root.
    pub fn is_machine(&self) -> bool {
        self.source == Source::Machine
    }

    /// Whether supplementary groups can be given up: a namespace into which an ordinary user maps his
    /// own group by himself may not, because a group can also be what keeps somebody out of a file.
    pub fn can_drop_groups(&self) -> bool {
        !matches!(self.source, Source::Single(_))
    }

    /// Ids of the host that are this spawner's alone.
    pub fn exclusive(&self) -> Range<u32> {
        match self.source {
            Source::Single(_) => 0..0,
            _ => self.ids.first_user..self.ids.first_user + self.ids.count,
        }
    }

    /// Maps of the spawner's own user namespace; none if it stays in the host's.
    pub fn spawner_maps(&self) -> Option<Maps> {
        let Allotment { first_user, first_group, count } = self.ids;
        let own = |inside, outside| Mapping { inside, outside, count: 1 };
        match self.source {
            Source::Machine => None,
            Source::Subordinate { own: Own { user, group }, .. } => Some(Maps {
                users: vec![own(0, user), Mapping { inside: 1, outside: first_user, count }],
                groups: vec![own(0, group), Mapping { inside: 1, outside: first_group, count }],
            }),
            Source::Single(Own { user, group }) => {
                Some(Maps { users: vec![own(OWNER_ID, user)], groups: vec![own(OWNER_ID, group)] })
            }
        }
    }

    /// Maps of the nursery, in terms of the spawner's namespace.
    pub fn nursery_maps(&self) -> Maps {
        let Allotment { first_user, first_group, count } = self.ids;
        let same = |map: &[Mapping]| Maps { users: map.to_vec(), groups: map.to_vec() };
        let alone = |id| Mapping { inside: id, outside: id, count: 1 };
        match self.source {
            Source::Machine => Maps {
                users: vec![Mapping { inside: 0, outside: first_user, count }],
                groups: vec![Mapping { inside: 0, outside: first_group, count }],
            },
            // Two lines, because a line may not span two of the namespace around it.
            Source::Subordinate { .. } => {
                same(&[alone(0), Mapping { inside: 1, outside: 1, count }])
            }
            Source::Single(_) => same(&[alone(OWNER_ID)]),
        }
    }

    /// The maker's real id in the nursery.
    pub fn maker_id(&self) -> u32 {
        match self.source {
            Source::Single(_) => OWNER_ID,
            _ => 0,
        }
    }

    /// Ids of the nursery for cells, each for one; `None` where all cells have [`OWNER_ID`].
    pub fn cell_ids(&self) -> Option<Range<u32>> {
        let end = match self.source {
            Source::Machine => self.ids.count,
            Source::Subordinate { .. } => self.ids.count + 1,
            Source::Single(_) => return None,
        };
        Some(FIRST_CELL_ID.min(end)..end)
    }

    /// Least and greatest id of the nursery that a cell may have.
    pub fn bounds(&self) -> (u32, u32) {
        self.cell_ids().map_or((OWNER_ID, OWNER_ID), |ids| (ids.start, ids.end - 1))
    }

    /// The host's name for an id of the nursery.
    pub fn host_id(&self, id: u32) -> u32 {
        match self.source {
            Source::Machine => self.ids.first_user + id,
            // The nursery's 0 is the user; the first of the others is 1.
            Source::Subordinate { .. } => self.ids.first_user + id.saturating_sub(1),
            Source::Single(own) => own.user,
        }
    }
}

// === impl Maps ===

impl Maps {
    /// A map as it is written.
    pub fn text(map: &[Mapping]) -> String {
        map.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl std::fmt::Display for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.inside, self.outside, self.count)
    }
}

#[cfg(test)]
mod tests;
