//! Whether there is room: for one more event, and for one more instance.
//!
//! Two questions that are kept apart. *Concurrency* is AWS's: how many events are being served, of the
//! account and of one function; it is asked of every event. *Memory* is the machine's: it is asked
//! only when an instance would have to be started, and it is answered by what was measured plus a
//! reserve. MemorySize is a cap of one sandbox and never a reservation.

use std::time::Duration;

use model::{FunctionId, Generation};

use crate::hash::IdMap;

/// What an operator can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events served at once, of all functions together. AWS's default is 1,000.
    pub concurrency: u32,
    /// Instances that may exist at once: how many cells the spawner can keep.
    pub instances: u32,
    /// Instances of one function that may be started in ten seconds; 0 for no limit. AWS: 1,000.
    pub starts: u32,
    /// Starts under way at once of instances that are provisioned, of all functions together; at least
    /// one.
    pub provisioning: u32,
    /// How long an instance nobody needs stays.
    pub idle_for: Duration,
    /// Memory of the machine that stays free, bytes.
    pub memory_reserve: u64,
    /// Most memory all sandboxes together may use, bytes; `None` leaves it to the reserve.
    pub memory_ceiling: Option<u64>,
    /// What a start is taken to need until it has been measured, bytes.
    pub start_estimate: u64,
}

/// What was last measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Bytes all sandboxes use.
    pub used: u64,
    /// Bytes the machine could still give (`MemAvailable`).
    pub available: u64,
}

/// Why there is no room for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// The function's reserved concurrency is used up, or is zero.
    Function,
    /// The account's concurrency is used up, or what others have not reserved of it.
    Account,
    /// More of its instances were started of late than may be.
    Rate,
    /// The machine has no memory for another instance and nothing idle to give up.
    Memory,
    /// The spawner keeps as many cells as it can and none of them is idle.
    Capacity,
}

/// Whose share of the account an admitted event counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// The function's own.
    Reserved,
    /// What nobody has reserved.
    Unreserved,
    /// What is provisioned of its generation, which is part of what is set aside.
    Provisioned(Generation),
}

/// Events being served, counted.
#[derive(Debug)]
pub(crate) struct Concurrency {
    /// [`Limits::concurrency`].
    account: u32,
    /// The sum of what functions have set aside, reserved or provisioned; told by whoever keeps the
    /// functions.
    reserved: u32,
    /// Events admitted and not yet released.
    admitted: u32,
    /// Those of them that count against what nobody has reserved.
    unreserved: u32,
    /// Those of each function that has any.
    by_function: IdMap<FunctionId, u32>,
}

/// Memory, as last measured and as promised since.
#[derive(Debug)]
pub(crate) struct Memory {
    reserve: u64,
    ceiling: Option<u64>,
    estimate: u64,
    facts: Facts,
    /// Bytes promised to starts that `facts` does not show yet.
    promised: u64,
    /// Bytes of instances that are ending and that `facts` still shows.
    returning: u64,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 1_000,
            instances: 1_000,
            starts: 1_000,
            // As many as the spawner is asked for cells at once: it is kept busy, and who is called finds
            // a handful of starts before him and not a thousand.
            provisioning: 16,
            idle_for: Duration::from_secs(600),
            // Below this the machine itself (page cache, control plane, ssh) begins to suffer.
            memory_reserve: 256 << 20,
            memory_ceiling: None,
            // Twice what an interpreter with nothing imported was measured to need.
            start_estimate: 24 << 20,
        }
    }
}

// === impl Throttle ===

impl Throttle {
    /// What AWS's answer gives as `Reason`. AWS has no word for a full machine; its word for a full
    /// account makes clients do the right thing, which is to try again later.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Function => "ReservedFunctionConcurrentInvocationLimitExceeded",
            Self::Account | Self::Rate | Self::Memory | Self::Capacity => {
                "ConcurrentInvocationLimitExceeded"
            }
        }
    }
}

// === impl Concurrency ===

impl Concurrency {
    pub(crate) fn new(account: u32) -> Self {
        Self { account, reserved: 0, admitted: 0, unreserved: 0, by_function: IdMap::default() }
    }

    /// Sets the sum of what all functions have set aside.
    pub(crate) fn set_reserved(&mut self, total: u32) {
        self.reserved = total;
    }

    /// Counts one more event of `function`, if there is room for it. `provisioned` is asked, at most
    /// once and only where it matters, whether the event counts against a generation's floor.
    pub(crate) fn admit(
        &mut self,
        function: FunctionId,
        reserved: Option<u32>,
        provisioned: impl FnOnce() -> Option<Generation>,
    ) -> Result<Charge, Throttle> {
        let own = self.by_function.get(&function).copied().unwrap_or(0);
        if reserved.is_some_and(|limit| own >= limit) {
            return Err(Throttle::Function);
        }
        if self.admitted >= self.account {
            return Err(Throttle::Account);
        }
        let charge = match reserved {
            Some(_) => Charge::Reserved,
            None => provisioned().map_or(Charge::Unreserved, Charge::Provisioned),
        };
        let shared = self.account.saturating_sub(self.reserved);
        if charge == Charge::Unreserved && self.unreserved >= shared {
            return Err(Throttle::Account);
        }
        self.admitted += 1;
        self.unreserved += u32::from(charge == Charge::Unreserved);
        self.by_function.insert(function, own + 1);
        Ok(charge)
    }

    /// Counts one event less.
    pub(crate) fn release(&mut self, function: FunctionId, charge: Charge) {
        self.admitted -= 1;
        self.unreserved -= u32::from(charge == Charge::Unreserved);
        if let Some(own) = self.by_function.get_mut(&function) {
            *own -= 1;
            if *own == 0 {
                self.by_function.remove(&function);
            }
        }
    }

    /// Events admitted and not yet released.
    pub(crate) fn admitted(&self) -> u32 {
        self.admitted
    }

    #[cfg(test)]
    pub(crate) fn of(&self, function: FunctionId) -> u32 {
        self.by_function.get(&function).copied().unwrap_or(0)
    }
}

// === impl Memory ===

impl Memory {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            reserve: limits.memory_reserve,
            ceiling: limits.memory_ceiling,
            estimate: limits.start_estimate,
            // Until something has been measured nothing is known to be short.
            facts: Facts { used: 0, available: u64::MAX },
            promised: 0,
            returning: 0,
        }
    }

    /// Replaces what is known; promises made before are in the new numbers.
    pub(crate) fn observe(&mut self, facts: Facts) {
        self.facts = facts;
        self.promised = 0;
        self.returning = 0;
    }

    /// Whether one more start fits if `freed` bytes more were given back.
    pub(crate) fn fits(&self, freed: u64) -> bool {
        let needed = self.promised.saturating_add(self.estimate);
        let back = self.returning.saturating_add(freed);
        let machine = self.facts.available.saturating_add(back);
        let used = self.facts.used.saturating_add(needed).saturating_sub(back);
        machine >= self.reserve.saturating_add(needed)
            && self.ceiling.is_none_or(|ceiling| used <= ceiling)
    }

    /// Promises memory to a start.
    pub(crate) fn promise(&mut self) {
        self.promised = self.promised.saturating_add(self.estimate);
    }

    /// Takes note that an instance is being ended which was measured at `bytes`.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.returning = self.returning.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests;
