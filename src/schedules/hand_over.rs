//! To whom due events are handed over.
//!
//! A schedule never runs twice for one instant, whenever this process is killed, because *that an event
//! was accepted* and *that its instant is taken* are one commit: the note and the event are in the same
//! database, in the same transaction. Nothing about it is kept elsewhere.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use model::{FunctionName, Qualifier, RequestId};
use store::events::Mark;

/// An event that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Names it; the function sees it as its request id.
    pub id: RequestId,
    /// Whom it is for.
    pub function: FunctionName,
    /// Which version, if the target says.
    pub qualifier: Option<Qualifier>,
    /// JSON.
    pub payload: String,
    /// What is noted with it.
    pub mark: Mark,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// It is accepted, and on the disk, as is its mark.
    Now,
    /// The mark had got as far before. Nothing was accepted.
    Before,
}

/// Why an event was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotHanded {
    /// There is no such function, version or alias.
    #[error("there is no such function")]
    NoFunction,
    /// It could not be kept; it may be tried again.
    #[error("{reason}")]
    Later {
        /// What was in the way.
        reason: String,
    },
}

/// What comes of it, once it is there.
pub type HandingOver<'a> = Pin<Box<dyn Future<Output = Result<Handed, NotHanded>> + Send + 'a>>;

/// The marks there are, by their keys.
pub type Marks<'a> =
    Pin<Box<dyn Future<Output = Result<HashMap<String, i64>, NotHanded>> + Send + 'a>>;

/// The end of marks.
pub type Forgetting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Takes events over for good.
pub trait HandOver: Send + Sync {
    /// Accepts an event and notes its mark, both or neither; `Ok` only when both are on the disk.
    fn hand_over(&self, firing: Firing) -> HandingOver<'_>;

    /// Every mark.
    fn marks(&self) -> Marks<'_>;

    /// Takes marks away whose owners are gone for ever. Those that stay in spite of it take some bytes,
    /// until the next start.
    fn forget(&self, keys: Vec<String>) -> Forgetting<'_>;
}
