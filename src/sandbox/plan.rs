//! What is done to make, use and end a cell: a pure function of a description.
//!
//! ```text
//!   start    the spawner builds its own root, /dev and the handles every cell needs     once
//!   prepare  spawner: leaves, trees, sockets                                            ┐
//!   bear     maker:   clone, identity maps                                              │ per cell,
//!   enter    cell:    from a clone of the maker to the runner behind every wall         │ ahead of time
//!   finish   spawner: listener, statistics, freezer                                     ┘
//!   assign   spawner: code, size of /tmp, limits                                        on the request path
//!   end      spawner: kill, reap, read, remove                                          afterwards
//!
//!   template spawner, maker, and the template itself: what is forked into cells         now and then
//! ```
//!
//! Each phase is a list of steps of its own type, so that a step cannot be given to a process that
//! has no business with it. [`crate::perform`] executes exactly these lists, in this order;
//! [`Plan::lines`] prints them. There is no second description of what happens.

mod enter;
mod steps;

use std::fmt;

pub use enter::EnterStep;
pub use steps::{AssignStep, BearStep, EndStep, FinishStep, Place, PrepareStep, StartStep};

use crate::budget::Budget;
use crate::cgroup::{Controller, LeafLimits};
use crate::identity::Identity;
use crate::landlock::Abi;

/// First host id of slot 0, and of everything Hearth gives to others.
///
/// Far above what distributions give to users and containers, below 2³¹, and a multiple of 65,536,
/// so that a host id shows its slot in its upper half.
pub const FIRST_ID: u32 = 1_879_048_192;
/// Ids per slot: one nursery.
pub const IDS_PER_SLOT: u32 = 65_536;
/// Slots whose ids stay below 2³¹, where some tools stop believing in user ids.
pub const SLOTS: u32 = 4_096;
/// The nursery's id that owns every cell: the maker's effective one, later the templates'.
pub const OWNER_ID: u32 = 1;
/// First id of the nursery that a cell may have; those below are for the nursery's own use.
pub const FIRST_CELL_ID: u32 = 16;

/// Where a function's program finds the Runtime API (`AWS_LAMBDA_RUNTIME_API`).
pub const RUNTIME_API_PORT: u16 = 9001;
/// One runtime client and a few extensions connect; nobody else can.
const RUNTIME_API_BACKLOG: i32 = 32;
/// One inode per 16 KiB, as ext4 has by default, and with it AWS's `/tmp`.
const INODES_PER_MIB: u64 = 64;
/// AWS's smallest and default `/tmp`.
const TMP_MIB: u32 = 512;
const MIB: u64 = 1024 * 1024;

/// What every cell of one spawner is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The id a function runs as, as it sees it itself.
    pub inside_id: u32,
    /// What `gethostname` says.
    pub hostname: String,
    /// Share of what the kernel counts per user.
    pub budget: Budget,
    /// Which resources are limited: all, unless the operator said otherwise.
    pub enforced: Vec<Controller>,
    /// The second layer, as far as the kernel has one.
    pub landlock: Abi,
    /// Whether the spawner is the host's root, who alone can make device nodes.
    pub as_root: bool,
    /// Whether supplementary groups can be given up.
    pub drops_groups: bool,
}

/// The steps, by phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Once per spawner.
    pub start: Vec<StartStep>,
    /// Before a cell's first process exists.
    pub prepare: Vec<PrepareStep>,
    /// Making that process.
    pub bear: Vec<BearStep>,
    /// What it does until it is the runner.
    pub enter: Vec<EnterStep>,
    /// Once it is.
    pub finish: Vec<FinishStep>,
    /// When a function is to run in it.
    pub assign: Vec<AssignStep>,
    /// When it is not needed any more.
    pub end: Vec<EndStep>,
    /// The same of a template; it ends like a cell.
    pub template: TemplatePlan,
}

/// The steps that make a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplatePlan {
    /// Before its process exists.
    pub prepare: Vec<PrepareStep>,
    /// Making that process.
    pub bear: Vec<BearStep>,
    /// What it does until it is the program that its image names.
    pub settle: Vec<EnterStep>,
}

/// Which process performs a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// PID 1 of Hearth's own pid namespace; root, with few capabilities.
    Spawner,
    /// Root of the nursery, nobody outside of it.
    Maker,
    /// The cell's first process, before it is the runner.
    Cell,
    /// A template's process, before it is its program.
    Template,
}

/// One step, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Start, prepare, and so on.
    pub phase: &'static str,
    /// Who does it.
    pub actor: Actor,
    /// What is done.
    pub what: String,
    /// What for.
    pub why: &'static str,
}

/// How a step is described.
pub trait Describe {
    /// What it does, as it also stands in an error message.
    fn what(&self) -> String;
    /// What for.
    fn why(&self) -> &'static str;
}

// === impl Spec ===

impl Spec {
    /// A cell of root's spawner with this share of the host's budgets.
    pub fn new(budget: Budget, enforced: &[Controller], landlock: Abi) -> Self {
        Self {
            inside_id: 1000,
            hostname: "sandbox".to_owned(),
            budget,
            enforced: enforced.to_vec(),
            landlock,
            as_root: true,
            drops_groups: true,
        }
    }

    /// The same of whoever's spawner has this identity.
    pub fn of(self, identity: &Identity) -> Self {
        let (as_root, drops_groups) = (identity.is_machine(), identity.can_drop_groups());
        Self { as_root, drops_groups, ..self }
    }

    /// What the leaf of a cell enforces that runs a function.
    ///
    /// `/tmp` is memory too and charged to the same leaf: its size comes on top of the function's.
    pub fn leaf_limits(memory_mib: u32, tmp_mib: u32, pids: u32, cpu_weight: u32) -> LeafLimits {
        let memory_bytes = (u64::from(memory_mib) + u64::from(tmp_mib)) * MIB;
        LeafLimits { memory_bytes, pids, cpu_weight }
    }

    /// What the leaf of a cell enforces in which no function runs yet: nothing but the runner, or a
    /// warmed interpreter beside it. Node has eleven threads by then, and AWS's smallest MemorySize is
    /// what it must do with.
    pub fn empty_leaf_limits() -> LeafLimits {
        Self::leaf_limits(128, TMP_MIB, 64, 100)
    }

    /// What the leaf of a template enforces: an interpreter with everything imported that an image has,
    /// alone but for the moment in which it forks.
    pub fn template_leaf_limits() -> LeafLimits {
        Self::leaf_limits(512, 0, 16, 100)
    }
}

// === impl Plan ===

impl Plan {
    /// The steps that make, use and end cells like `spec`.
    pub fn new(spec: &Spec) -> Self {
        Self {
            start: steps::start(spec),
            prepare: steps::prepare(),
            bear: steps::bear(spec),
            enter: enter::enter(spec),
            finish: steps::finish(),
            assign: steps::assign(),
            end: steps::end(),
            template: TemplatePlan {
                prepare: steps::prepare_template(),
                bear: steps::bear_template(),
                settle: enter::settle(spec),
            },
        }
    }

    /// Every step in order, for printing.
    pub fn lines(&self) -> Vec<Line> {
        let mut out = Vec::new();
        describe(&mut out, "start", Actor::Spawner, &self.start);
        describe(&mut out, "prepare", Actor::Spawner, &self.prepare);
        describe(&mut out, "bear", Actor::Maker, &self.bear);
        describe(&mut out, "enter", Actor::Cell, &self.enter);
        describe(&mut out, "finish", Actor::Spawner, &self.finish);
        describe(&mut out, "assign", Actor::Spawner, &self.assign);
        describe(&mut out, "end", Actor::Spawner, &self.end);
        describe(&mut out, "template", Actor::Spawner, &self.template.prepare);
        describe(&mut out, "template", Actor::Maker, &self.template.bear);
        describe(&mut out, "template", Actor::Template, &self.template.settle);
        out
    }
}

fn describe(out: &mut Vec<Line>, phase: &'static str, actor: Actor, steps: &[impl Describe]) {
    out.extend(steps.iter().map(|step| Line { phase, actor, what: step.what(), why: step.why() }));
}

/// `size` and `nr_inodes` of a `/tmp` of so many MiB.
pub(crate) fn tmp_options(mib: u32) -> (String, String) {
    (format!("{mib}m"), (u64::from(mib) * INODES_PER_MIB).to_string())
}

// === impl Actor ===

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spawner => "spawner",
            Self::Maker => "maker",
            Self::Cell => "cell",
            Self::Template => "template",
        })
    }
}

// === impl Line ===

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, actor, what, why } = self;
        write!(f, "{phase:<8} {:<8} {what:<58} {why}", actor.to_string())
    }
}

#[cfg(test)]
mod tests;
