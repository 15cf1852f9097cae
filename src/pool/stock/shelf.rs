//! Spares of one breed, how many there are to be, and what they are forked from.

use std::collections::HashMap;
use std::time::Duration;

use images::manifest::Kind as Language;
use model::FunctionId;
use wire::spawner::TemplateId;

use super::demand::{Demand, Wanted};
use super::shelves::Failed;
use super::spare::{Health, Spare};
use super::templates::{Errand, Templates};

/// How long a function's own template is kept that was not forked: as long as an idle instance.
const OWN: Duration = Duration::from_secs(600);

/// Who may be forked from the same template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TemplateSharing {
    /// All functions of an image.
    #[default]
    Image,
    /// Nobody but one function. A template has run nothing of any function's either way; but what is
    /// forked from the same one has everything at the same addresses.
    Function,
}

/// Whose a template is; everybody's if it is nobody's.
pub(super) type Owner = Option<FunctionId>;

/// Spares of one breed.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) language: Language,
    /// Which of the image's templates it is forked from, if there is one.
    index: Option<u8>,
    sharing: TemplateSharing,
    pub(super) ready: Vec<Spare>,
    pub(super) demand: Demand,
    /// What one holds, bytes: as the last that was made.
    pub(super) each: u64,
    /// How many there are to be; worked out when memory was measured or more were wanted.
    pub(super) target: usize,
    pub(super) failed: Failed,
    templates: HashMap<Owner, Kept>,
}

/// Templates, and when they were last asked for.
#[derive(Debug, Default)]
struct Kept {
    templates: Templates,
    asked: Duration,
}

/// How the next spare is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Execute,
    Fork(TemplateId),
    /// Not yet: what it will be forked from is about to be there.
    Later,
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn new(
        (language, index): (Language, Option<u8>),
        sharing: TemplateSharing,
        each: u64,
    ) -> Self {
        Self {
            language,
            index,
            sharing,
            ready: Vec::new(),
            demand: Demand::default(),
            each,
            target: 0,
            failed: Failed::default(),
            templates: HashMap::new(),
        }
    }

    /// What is wanted, at least `floor`.
    pub(super) fn wanted(&self, now: Duration, floor: usize) -> Wanted {
        Wanted { count: self.demand.wanted(now).max(floor), each: self.each }
    }

    /// Memory its spares hold, bytes.
    pub(super) fn held(&self) -> u64 {
        self.ready.iter().map(|spare| spare.bytes).sum()
    }

    /// The part of its target that is there.
    pub(super) fn part(&self) -> f64 {
        self.ready.len() as f64 / self.target as f64
    }

    /// Whether a spare is missing.
    pub(super) fn is_short(&self) -> bool {
        self.ready.len() < self.target
    }

    /// A spare was made.
    pub(super) fn filled(&mut self, spare: Spare, took: Duration) {
        self.failed = Failed::default();
        self.demand.made(took);
        self.each = spare.bytes;
        self.ready.push(spare);
    }

    /// Takes out those that are not what they were.
    pub(super) fn sort_out(&mut self) -> Vec<(Spare, Health)> {
        let mut lost = Vec::new();
        for mut spare in std::mem::take(&mut self.ready) {
            match spare.health() {
                Health::Good => self.ready.push(spare),
                health => lost.push((spare, health)),
            }
        }
        lost
    }

    /// How the next spare is made. Nobody knows whose it will be, so where templates are not shared it
    /// is executed.
    pub(super) fn source(&mut self, now: Duration) -> Source {
        if self.sharing == TemplateSharing::Function {
            return Source::Execute;
        }
        let Some(kept) = self.templates.get_mut(&None) else { return Source::Execute };
        match kept.templates.pick(now) {
            Some(template) => Source::Fork(template),
            None if kept.templates.is_near() => Source::Later,
            None => Source::Execute,
        }
    }

    /// Whether [`Shelf::source`] would say that it is too early.
    pub(super) fn is_early(&self) -> bool {
        let kept = self.templates.get(&None);
        self.sharing == TemplateSharing::Image && kept.is_some_and(|kept| kept.templates.is_near())
    }

    /// What is forked for a function now, if there is anything.
    pub(super) fn template(&mut self, now: Duration, function: FunctionId) -> Option<TemplateId> {
        self.index?;
        let owner = match self.sharing {
            TemplateSharing::Image => None,
            TemplateSharing::Function => Some(function),
        };
        let kept = self.templates.entry(owner).or_default();
        kept.asked = now;
        kept.templates.pick(now)
    }

    /// A fork is over.
    pub(super) fn forked(&mut self, now: Duration, template: TemplateId, well: bool) {
        for kept in self.templates.values_mut() {
            kept.templates.forked(now, template, well);
        }
    }

    /// Whether a template has said nothing for too long, or is gone.
    pub(super) fn hangs(&self, now: Duration, template: TemplateId) -> bool {
        self.templates.values().all(|kept| kept.templates.hangs(now, template))
    }

    /// A template was started, or was not.
    pub(super) fn started(&mut self, now: Duration, owner: Owner, template: Option<TemplateId>) {
        self.templates.entry(owner).or_default().templates.started(now, template);
    }

    /// A template is gone.
    pub(super) fn gone(&mut self, now: Duration, template: TemplateId) {
        for kept in self.templates.values_mut() {
            kept.templates.gone(now, template);
        }
    }

    /// How many templates are alive.
    pub(super) fn alive(&self) -> usize {
        self.templates.values().map(|kept| kept.templates.alive()).sum()
    }

    /// Nothing of it is there any more.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.templates.clear();
    }

    /// What to do about templates, of which there may be so many in all.
    pub(super) fn errand(&mut self, now: Duration, most: usize) -> Option<(Owner, Errand)> {
        self.index?;
        if self.sharing == TemplateSharing::Image {
            let kept = self.templates.entry(None).or_default();
            return kept.templates.next(now, most).map(|errand| (None, errand));
        }
        let recent = |kept: &Kept| now < kept.asked + OWN;
        let mut owners: Vec<(Duration, Owner)> =
            self.templates.iter().map(|(owner, kept)| (kept.asked, *owner)).collect();
        owners.sort_unstable_by(|a, b| b.cmp(a));
        for (place, (_, owner)) in owners.into_iter().enumerate() {
            let Some(kept) = self.templates.get_mut(&owner) else { continue };
            let wanted = place < most && recent(kept);
            if let Some(errand) = kept.templates.next(now, usize::from(wanted)) {
                return Some((owner, errand));
            }
            if !wanted && kept.templates.is_unused() {
                self.templates.remove(&owner);
            }
        }
        None
    }
}
