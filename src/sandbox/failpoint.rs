//! Named points at the arrows of a sandbox's life, at which a test build stops until it is told to go on.
//!
//! A test that kills a process "while a cell is being made" hits whatever moment it hits. One that
//! waits until the process stands at a point kills it there, every time. In an ordinary build the
//! functions of this module are empty and nothing of it is in the program; with the feature
//! `failpoints`, which only tests switch on, the one point named in `HEARTH_FAILPOINT` is armed:
//! whoever reaches it writes a line to a socket and reads a byte from it.
//!
//! ```text
//!   test                                    the armed program and what it forks
//!    │ listens on HEARTH_FAILPOINT_DOOR ◄──────── connects once, at its start
//!    │ ◄──────────────────────────────── "walled\n", write(2)
//!    │ kills whom it wants                        stands still in read(2)
//!    │ one byte, or the end ───────────────────►  goes on
//! ```
//!
//! The socket lies at a number of its own, above all that are closed between a fork and the next
//! program, and is close-on-exec: no runner ever sees it.

macro_rules! points {
    ($($(#[doc = $what:literal])+ $point:ident = $name:literal,)*) => {
        /// Where one can stop. In the order in which they are reached.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[doc = $what])+ $point,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$point),*];

            /// As it is armed.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// Outer: a slot is locked, nothing else.
    SlotTaken = "outer-slot-taken",
    /// Outer: its control groups are made and swept.
    GroupsMade = "outer-groups-made",
    /// Outer: the slot's file says whose it is.
    SlotRecorded = "outer-slot-recorded",
    /// Outer: the spawner proper is cloned.
    Cloned = "outer-cloned",
    /// Spawner proper: its first moment.
    InnerBorn = "inner-born",
    /// Spawner proper: it has its own root.
    RootMade = "inner-root-made",
    /// Spawner proper: the maker is there.
    MakerStarted = "inner-maker-started",
    /// Spawner proper: about to say hello.
    Settled = "inner-settled",
    /// RESERVED.
    Reserved = "cell-reserved",
    /// PREPARED.
    Prepared = "cell-prepared",
    /// ORDERED.
    Ordered = "cell-ordered",
    /// Maker: it has the order.
    OrderTaken = "maker-order-taken",
    /// Maker: the process exists, without an identity.
    ProcessCloned = "maker-process-cloned",
    /// Maker: the spawner was sent its pidfd.
    HandedBack = "maker-handed-back",
    /// BORN: the spawner has the pidfd.
    Born = "cell-born",
    /// Maker: it has its id; it still waits.
    ProcessMapped = "maker-process-mapped",
    /// Cell: it is in its control groups.
    GroupsJoined = "enter-groups-joined",
    /// Cell: the image is mounted, beside everything of the spawner's.
    ImageMounted = "enter-image-mounted",
    /// Cell: its root is the image.
    Pivoted = "enter-pivoted",
    /// Cell: the filter is loaded; the runner is next.
    FilterLoaded = "enter-filter-loaded",
    /// WALLED: the runner runs.
    Walled = "cell-walled",
    /// READY: `Made` is about to be said.
    Ready = "cell-ready",
    /// READY: `Made` is said.
    Made = "cell-made",
    /// Assignment: the limits are the function's.
    LimitsSet = "assign-limits-set",
    /// Assignment: the code is mounted.
    CodeMounted = "assign-code-mounted",
    /// ASSIGNED: `Assigned` is said.
    Assigned = "cell-assigned",
    /// KILLED.
    Killed = "cell-killed",
    /// REAPED.
    Reaped = "cell-reaped",
    /// The leaves are gone, its id is not free yet.
    LeavesRemoved = "cell-leaves-removed",
    /// FREED: `Ended` is about to be said.
    Freed = "cell-freed",
    /// Template ORDERED.
    TemplateOrdered = "template-ordered",
    /// Template BORN: the spawner has its pidfd.
    TemplateBorn = "template-born",
    /// Template STARTING: its program runs.
    TemplateStarting = "template-starting",
    /// Template READY: `TemplateReady` is about to be said.
    TemplateReady = "template-ready",
    /// A fork is ordered: the template is about to make it, or has.
    ForkOrdered = "fork-ordered",
    /// Forked: the spawner has its pidfd, `Forked` is about to be said.
    Forked = "fork-made",
    /// Outer: the spawner proper has ended and is reaped.
    InnerEnded = "outer-inner-ended",
    /// Outer: the control groups are removed; it is about to exit.
    GroupsRemoved = "outer-groups-removed",
}

#[cfg(feature = "failpoints")]
mod armed;

#[cfg(feature = "failpoints")]
pub use armed::{DOOR, after, arm, reach};

/// Stops here if that is asked for: never in this build.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn reach(_: Point) {}

/// Stops behind this step of a plan if that is asked for: never in this build.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn after<S>(_: &S) {}
