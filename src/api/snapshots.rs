//! SnapStart: which functions may have it, and versions that are initialised before they are ready.
//!
//! ```text
//!   published ──► Pending ──► the pool initialises it, and keeps what it is then ──► Active, On
//!                    │             │ it cannot be kept
//!                    │             └──► Active, Off, and the state says why
//!                    └──► it does not initialise ──► Failed
//! ```
//!
//! A snapshot ends with the process that took it. Of versions that had one the next process takes one
//! again, as soon as somebody calls them; that call, and those until then, initialise.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::StatusCode;
use httpd::AwsError;
use model::configuration::{Architecture, EphemeralStorage, RuntimeId, SnapStart};
use model::{FunctionName, Generation};
use pool::NotTaken;
use store::{
    ChangeError, Failure, FailureCode, Function, FunctionVersion, Optimization, Preparation, State,
    StorageError,
};

use crate::errors;
use crate::server::Api;

/// How often a snapshot is tried for which the server had no room.
const TRIES: u32 = 5;
/// How long between two tries of that, and of writing what came of it.
const PAUSE: Duration = Duration::from_secs(1);

/// Refuses what AWS refuses beside SnapStart.
///
/// # Errors
/// For a runtime, a processor or a size of `/tmp` that does not go with it.
pub(crate) fn check(
    snap_start: SnapStart,
    runtime: &RuntimeId,
    tmp: EphemeralStorage,
) -> Result<(), AwsError> {
    if snap_start == SnapStart::None {
        return Ok(());
    }
    let refuse = |what: &str| {
        Err(errors::invalid(format!("{what} is not supported for SnapStart enabled functions.")))
    };
    if !runtime.as_str().starts_with("python") {
        return refuse(runtime.as_str());
    }
    if Architecture::HOST != Architecture::X86_64 {
        return refuse(Architecture::HOST.as_str());
    }
    if tmp > EphemeralStorage::DEFAULT {
        return refuse("EphemeralStorage greater than 512 MB");
    }
    Ok(())
}

/// What is answered to a call that comes before its version is ready.
pub(crate) fn not_ready() -> AwsError {
    AwsError::user(
        StatusCode::CONFLICT,
        "SnapStartNotReadyException",
        "Lambda is initializing your function. You can invoke the function when the function state \
         becomes Active.",
    )
}

/// Prepares every version of a function that waits for it.
pub(crate) fn begin(api: &Arc<Api>, function: &Function) {
    for version in function.to_be_prepared() {
        let (api, name) = (Arc::clone(api), function.name.clone());
        let version = Arc::clone(version);
        let mut preparing = api.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        if preparing.insert(version.generation) {
            drop(preparing);
            tokio::spawn(async move {
                prepare(&api, &name, &version).await;
                let mut preparing = api.preparing.lock().unwrap_or_else(PoisonError::into_inner);
                preparing.remove(&version.generation);
            });
        }
    }
}

/// Takes up what an earlier process left, and tells the pool of which versions it had snapshots.
pub(crate) fn recover(api: &Arc<Api>) {
    let snapshot = api.store.snapshot();
    for function in snapshot.functions(None) {
        begin(api, function);
        let restored = |it: &&Arc<FunctionVersion>| {
            it.state == State::Active && it.optimization == Optimization::On
        };
        for version in function.versions.values().filter(restored) {
            api.pool.expect_snapshot(version.generation);
        }
    }
}

async fn prepare(api: &Arc<Api>, name: &FunctionName, version: &FunctionVersion) {
    let mut tries = 0;
    let how = loop {
        match api.pool.take_snapshot(Arc::clone(&version.runnable)).await {
            Ok(()) => break Preparation::Ready(Optimization::On),
            // What starts next takes it up.
            Err(NotTaken::Closed) => return,
            Err(NotTaken::Unavailable { detail }) if tries < TRIES => {
                tracing::warn!(function = %name, detail, "a snapshot is tried again");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(not_taken) => break judge(not_taken),
        }
    };
    if let Preparation::Ready(Optimization::Off { reason: Some(reason) }) = &how {
        tracing::info!(function = %name, version = %version.version, reason, "SnapStart is off");
    }
    keep(api, name, version.generation, how).await;
}

/// What a version becomes of which there is no snapshot.
fn judge(not_taken: NotTaken) -> Preparation {
    let broken = |code, reason| Preparation::Broken(Failure { code, reason });
    let off = |reason| Preparation::Ready(Optimization::Off { reason: Some(reason) });
    match not_taken {
        NotTaken::Unfit { reason } => off(format!("SnapStart is off for this version: {reason}.")),
        NotTaken::Unavailable { .. } | NotTaken::Closed => {
            off("SnapStart is off for this version: this server had no room for it.".to_owned())
        }
        NotTaken::TimedOut { limit } => broken(
            FailureCode::InitTimeout,
            format!("The function did not initialize within {} seconds.", limit.as_secs()),
        ),
        NotTaken::Failed { reason } => broken(FailureCode::InitError, reason),
    }
}

async fn keep(api: &Arc<Api>, name: &FunctionName, generation: Generation, how: Preparation) {
    loop {
        match api.store.prepare_version(name, generation, how.clone()).await {
            Ok(Some(_)) => return,
            // Deleted meanwhile.
            Ok(None) => return api.pool.retire(generation),
            Err(ChangeError::Storage(StorageError::RolledBack { .. } | StorageError::Full)) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(err) => {
                tracing::error!(function = %name, %err, "a version stays pending until a restart");
                return;
            }
        }
    }
}
