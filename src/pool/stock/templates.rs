//! Templates: processes that run no user's code and are forked into cells.
//!
//! ```text
//!            wanted, and there is memory
//!                  │
//!            ┌─────▼────┐  failed: tried again a while later, each time a longer while
//!            │ starting ├───────────────────────────────────────────────┐
//!            └─────┬────┘                                               │
//!      ready       │            old or much used, and a successor is there
//!            ┌─────▼────┐  hung, or fails again and again    ┌──────────▼─┐
//!            │  forked  ├───────────────────────────────────►│   ending   ├──► gone
//!            │   from   │  ended by itself ──────────────────┴────────────┘
//!            └──────────┘
//! ```
//!
//! All that are forked from one share where it has everything in memory, so none serves for ever; what
//! was forked from it lives on without it. One forks after the other, so when several wait a second one
//! is started, as long as there are processors for it.
//!
//! Nothing here waits, and the clock is an argument.

use std::time::Duration;

use wire::spawner::TemplateId;

use super::shelves::Failed;

/// How long one is forked from before it has a successor: a fraction of a second of work now and then,
/// against a layout that somebody had time to learn.
const AGE: Duration = Duration::from_secs(15 * 60);
/// How often one is forked before it has a successor, for the same reason.
const FORKS: u32 = 1_000;
/// How many forks may wait for one another before another template is worth its start: each takes a
/// millisecond or two, a template some hundred.
const CROWD: u32 = 8;
/// How long one more is kept after there was a crowd.
const KEEP: Duration = Duration::from_secs(60);
/// How many forks may fail in a row. One may be its cell's fault.
const PATIENCE: u32 = 3;
/// How long one must have lived for its end to be an accident, after which the next is started at once.
const PROVEN: Duration = Duration::from_secs(10);
/// How long one may say nothing while a fork is waited for: a thousand times what one takes.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// The templates of one kind.
#[derive(Debug, Default)]
pub(super) struct Templates {
    living: Vec<Template>,
    starting: bool,
    failed: Failed,
    /// When there was last a crowd.
    crowded: Duration,
}

#[derive(Debug)]
struct Template {
    id: TemplateId,
    since: Duration,
    /// Forks so far, and those that are waited for.
    forks: u32,
    forking: u32,
    /// Forks that failed in a row.
    bad: u32,
    /// When it last did something, or was first asked to.
    heard: Duration,
    /// Whether its end was asked for.
    ending: bool,
}

/// What is to be done about templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    Start,
    End(TemplateId),
}

// === impl Templates ===

impl Templates {
    /// The one that has least to do, to be forked once; [`Templates::forked`] tells how that went.
    pub(super) fn pick(&mut self, now: Duration) -> Option<TemplateId> {
        let best = self.living.iter_mut().filter(|it| !it.ending).min_by_key(|it| it.forking)?;
        if best.forking == 0 {
            best.heard = now;
        }
        best.forks += 1;
        best.forking += 1;
        if best.forking > CROWD {
            self.crowded = now;
        }
        Some(best.id)
    }

    /// A fork is over. What failed for a reason of its cell's is said to have gone well.
    pub(super) fn forked(&mut self, now: Duration, id: TemplateId, well: bool) {
        let Some(template) = self.living.iter_mut().find(|it| it.id == id) else { return };
        template.forking -= 1;
        template.bad = if well { 0 } else { template.bad + 1 };
        if well {
            template.heard = now;
        }
    }

    /// Whether one that a fork is waited for has said nothing for too long.
    pub(super) fn hangs(&self, now: Duration, id: TemplateId) -> bool {
        let found = self.living.iter().find(|it| it.id == id);
        found.is_none_or(|it| it.ending || now >= it.heard + SILENCE)
    }

    /// One was started, or was not.
    pub(super) fn started(&mut self, now: Duration, id: Option<TemplateId>) {
        self.starting = false;
        let Some(id) = id else { return self.failed.once_more(now) };
        let (forks, forking, bad, heard, ending) = (0, 0, 0, now, false);
        self.living.push(Template { id, since: now, forks, forking, bad, heard, ending });
    }

    /// One is gone; whether it was one of these.
    pub(super) fn gone(&mut self, now: Duration, id: TemplateId) -> bool {
        let Some(at) = self.living.iter().position(|it| it.id == id) else { return false };
        let template = self.living.remove(at);
        if now >= template.since + PROVEN {
            self.failed = Failed::default();
        } else if !template.ending || template.bad >= PATIENCE {
            self.failed.once_more(now);
        }
        true
    }

    /// Whether the first is about to be there, so that waiting for it is better than doing without.
    pub(super) fn is_near(&self) -> bool {
        self.starting && self.living.is_empty() && self.failed.count == 0
    }

    /// Whether there are any, or about to be.
    pub(super) fn is_unused(&self) -> bool {
        self.living.is_empty() && !self.starting
    }

    /// How many are alive.
    pub(super) fn alive(&self) -> usize {
        self.living.len()
    }

    /// What to do now, if there may be `most`; to be asked until there is nothing.
    pub(super) fn next(&mut self, now: Duration, most: usize) -> Option<Errand> {
        let silent = |it: &Template| it.forking > 0 && now >= it.heard + SILENCE;
        let broken = |it: &Template| it.bad >= PATIENCE || silent(it);
        if let Some(end) = self.end(broken) {
            return Some(end);
        }
        if most == 0 {
            return self.end(|_| true);
        }
        let worn = |it: &Template| it.forks >= FORKS || (it.forks > 0 && now >= it.since + AGE);
        let current = || self.living.iter().filter(|it| !it.ending);
        let fresh = current().filter(|it| !worn(it)).count();
        let crowd = fresh < most && current().all(|it| it.forking > CROWD);
        if fresh == 0 || crowd {
            // What is worn serves until its successor is there.
            if self.starting || now < self.failed.until {
                return None;
            }
            self.starting = true;
            return Some(Errand::Start);
        }
        let idle = fresh > 1 && now >= self.crowded + KEEP;
        self.end(worn).or_else(|| if idle { self.end(|_| true) } else { None })
    }

    /// Ends the first of which something is true.
    fn end(&mut self, which: impl Fn(&Template) -> bool) -> Option<Errand> {
        let found = self.living.iter_mut().find(|it| !it.ending && which(it))?;
        found.ending = true;
        Some(Errand::End(found.id))
    }
}

#[cfg(test)]
mod tests;
