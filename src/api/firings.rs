//! How what is due by the clock becomes an asynchronous event.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use events::{Call, Events};
use schedules::hand_over::{Forgetting, HandingOver, Marks};
use schedules::{Firing, HandOver, Handed, NotHanded};
use store::{StorageError, Store};

/// Takes what is due over for good: into the queue of asynchronous events.
#[derive(Debug)]
pub struct Firings {
    store: Arc<Store>,
    events: Arc<Events>,
}

// === impl Firings ===

impl Firings {
    /// From schedules to functions of this store.
    pub fn new(store: Arc<Store>, events: Arc<Events>) -> Self {
        Self { store, events }
    }

    /// The call that an event makes; `None` if there is nobody to be called.
    fn call(&self, firing: Firing) -> Option<Call> {
        let snapshot = self.store.snapshot();
        let function = snapshot.function(firing.function.as_str())?;
        if let Some(qualifier) = &firing.qualifier
            && !function.has(qualifier)
        {
            return None;
        }
        Some(Call {
            id: firing.id,
            function: function.id,
            name: firing.function,
            qualifier: firing.qualifier,
            trace: Arc::from(""),
            payload: Bytes::from(firing.payload),
        })
    }
}

impl HandOver for Firings {
    fn hand_over(&self, firing: Firing) -> HandingOver<'_> {
        Box::pin(async move {
            let mark = firing.mark.clone();
            let call = self.call(firing).ok_or(NotHanded::NoFunction)?;
            match self.events.accept_once(call, mark).await {
                Ok(true) => Ok(Handed::Now),
                Ok(false) => Ok(Handed::Before),
                Err(err) => Err(later(&err)),
            }
        })
    }

    fn marks(&self) -> Marks<'_> {
        Box::pin(async move {
            let marks = self.events.marks().await.map_err(|err| later(&err))?;
            Ok(marks.into_iter().map(|mark| (mark.key, mark.instant_ms)).collect::<HashMap<_, _>>())
        })
    }

    fn forget(&self, keys: Vec<String>) -> Forgetting<'_> {
        Box::pin(async move {
            if let Err(err) = self.events.forget_marks(keys).await {
                tracing::warn!(%err, "marks of deleted schedules stay until the next start");
            }
        })
    }
}

fn later(err: &StorageError) -> NotHanded {
    NotHanded::Later { reason: err.to_string() }
}
