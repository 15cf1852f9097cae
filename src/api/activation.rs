//! What happens after a creation or an update was answered: making ready, and clearing away.
//!
//! ```text
//!   created, updated ──► is the package whole? ──► settle: Active / Successful, or Failed
//!                        what does it import?         │
//!                        compile it, merge its layers └─► the old generation's instances are retired
//!   deleted, replaced ──► wait until nothing can be running from it ──► delete the package,
//!                                                                       unless somebody uses it
//! ```
//!
//! Nothing here is waited for by a caller, and nothing is lost if the process ends in the middle:
//! [`recover`] settles at the next start what was left, and the code store's sweep clears away.

use std::sync::Arc;
use std::time::Duration;

use model::{Digest, FunctionName, Generation};
use store::{
    ChangeError, Failure, FailureCode, Function, FunctionVersion, Settlement, StorageError,
};

use crate::compiling;
use crate::server::Api;
use crate::snapshots;

/// How often settling is tried again while the database undoes it. While the disk is full it is tried
/// until there is room.
const TRIES: u32 = 60;
/// How long a start waits for what an earlier process left to be settled; it then goes on behind it.
const START: Duration = Duration::from_secs(60);
/// How long between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// After which time nothing started from a package before can still be running: AWS's longest
/// timeout, which is also ours, twice because of initialisation, and a minute.
const SAFELY_UNUSED: Duration = Duration::from_secs(2 * 900 + 60);

/// Makes a function ready that was created or updated.
pub(crate) fn begin(api: &Arc<Api>, function: &Function) {
    let (api, name) = (Arc::clone(api), function.name.clone());
    let latest = Arc::clone(&function.latest);
    tokio::spawn(async move {
        let how = is_ready(&api, &latest).await;
        if how == Settlement::Ready {
            compile(&api, &name, &latest).await;
        }
        settle(&api, name, latest.generation, how).await;
    });
}

/// Takes up where an earlier process ended: tells the pool what is reserved and provisioned, and
/// settles what was left unfinished. Call it once, before serving.
pub async fn recover(api: &Arc<Api>) {
    api.tell_reserved();
    let provisioned: Vec<Arc<Function>> = {
        let snapshot = api.store.snapshot();
        let any = |function: &&Arc<Function>| !function.provisioned.is_empty();
        snapshot.functions(None).filter(any).cloned().collect()
    };
    for function in provisioned {
        api.tell_provisioned(function.id, &function.name);
    }
    let unsettled: Vec<Arc<Function>> = {
        let snapshot = api.store.snapshot();
        snapshot.functions(None).filter(|function| function.is_unsettled()).cloned().collect()
    };
    snapshots::recover(api);
    for function in unsettled {
        tracing::info!(function = %function.name, "an unfinished update is completed");
        let (api, name) = (Arc::clone(api), function.name.clone());
        let latest = Arc::clone(&function.latest);
        let settling = tokio::spawn(async move {
            let how = is_ready(&api, &latest).await;
            let is_ready = how == Settlement::Ready;
            settle(&api, name.clone(), latest.generation, how).await;
            if is_ready {
                // Behind it: a start waits for what makes a function work, not for what makes it quick.
                tokio::spawn(async move { compile(&api, &name, &latest).await });
            }
        });
        if tokio::time::timeout(START, settling).await.is_err() {
            tracing::warn!(function = %function.name, "an unfinished update has to wait");
        }
    }
    tokio::spawn(compiling::renew(Arc::clone(api)));
}

/// Ends every instance of a function that is no more, and its packages.
pub(crate) fn end(api: &Arc<Api>, function: &Function) {
    for generation in function.generations() {
        api.pool.retire(generation);
    }
    for package in function.packages() {
        forget_package(api, package);
    }
    if !function.provisioned.is_empty() {
        api.tell_provisioned(function.id, &function.name);
    } else if function.reserved_concurrency.is_some() {
        api.tell_reserved();
    }
}

/// Deletes a package once nothing can be running from it, unless somebody uses it then.
pub(crate) fn forget_package(api: &Arc<Api>, package: Digest) {
    let api = Arc::clone(api);
    tokio::spawn(async move {
        tokio::time::sleep(SAFELY_UNUSED).await;
        let removed = tokio::task::spawn_blocking(move || {
            let removed = api.code.remove(&package, || api.store.snapshot().needs(&package));
            if matches!(removed, Ok(true)) {
                api.catalogue.forget(package);
            }
            removed
        });
        match removed.await {
            Ok(Ok(_)) => {}
            Ok(Err(err)) => tracing::warn!(%err, %package, "a package was not deleted"),
            Err(err) => tracing::warn!(%err, %package, "deleting a package did not finish"),
        }
    });
}

async fn settle(api: &Arc<Api>, name: FunctionName, generation: Generation, how: Settlement) {
    let mut tries = 0;
    while tries < TRIES {
        let before = api.store.snapshot().function(name.as_str()).cloned();
        match api.store.settle(&name, generation, how.clone()).await {
            Ok(Some(after)) => {
                if let Some(before) = before {
                    replaced(api, &before, &after);
                }
                // A version that was published with the function can be served from now on.
                if !after.provisioned.is_empty() {
                    api.tell_provisioned(after.id, &after.name);
                }
                snapshots::begin(api, &after);
                return;
            }
            // Deleted, or updated again, meanwhile.
            Ok(None) => return,
            Err(ChangeError::Storage(StorageError::RolledBack { reason })) => {
                tracing::warn!(function = %name, reason, "settling an update is tried again");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(ChangeError::Storage(StorageError::Full)) => tokio::time::sleep(PAUSE).await,
            Err(err) => {
                tracing::error!(function = %name, %err, "an update stays unsettled until a restart");
                return;
            }
        }
    }
    tracing::error!(function = %name, "an update stays unsettled until a restart");
}

async fn compile(api: &Arc<Api>, name: &FunctionName, version: &FunctionVersion) {
    let runtime = version.configuration.runtime.as_str();
    compiling::compile(api, name, version.code.digest, runtime).await;
}

/// What of a version is on the disk.
enum Found {
    Everything,
    NoPackage,
    NoLayers,
}

/// Whether package and layers are there, whole. Merges the layers if nobody has yet.
async fn is_ready(api: &Arc<Api>, version: &FunctionVersion) -> Settlement {
    let (code, catalogue) = (Arc::clone(&api.code), Arc::clone(&api.catalogue));
    let package = version.code.digest;
    let layers = version.configuration.layers.clone();
    let found = tokio::task::spawn_blocking(move || {
        let Some(_held) = code.hold(package)? else { return Ok(Found::NoPackage) };
        let mut looked = catalogue.learn(package, &code.tree_path(&package));
        if let Some(layers) = layers {
            let archives: Vec<Digest> = layers.list().iter().map(|layer| layer.archive).collect();
            let Some(_held) = code.merge(&archives)? else { return Ok(Found::NoLayers) };
            let tree = layers.tree();
            looked = looked.and(catalogue.learn_layers(tree, &code.tree_path(&tree)));
        }
        if let Err(err) = looked {
            // It runs all the same, from the template that suits everybody.
            tracing::warn!(%err, %package, "a package was not looked at");
        }
        Ok::<_, archive::code::CodeError>(Found::Everything)
    });
    let broken =
        |code, reason: &str| Settlement::Broken(Failure { code, reason: reason.to_owned() });
    match found.await {
        Ok(Ok(Found::Everything)) => Settlement::Ready,
        Ok(Ok(Found::NoPackage)) => broken(
            FailureCode::InvalidZipFile,
            "The deployment package is not on this server's disk. Upload it again.",
        ),
        Ok(Ok(Found::NoLayers)) => broken(
            FailureCode::InvalidZipFile,
            "A layer is not on this server's disk. Publish it again, and give the function that version.",
        ),
        Ok(Err(err)) => {
            tracing::error!(%err, %package, "a package could not be looked at");
            broken(FailureCode::InternalError, "The deployment package could not be read.")
        }
        Err(err) => {
            tracing::error!(%err, %package, "looking at a package did not finish");
            broken(FailureCode::InternalError, "The deployment package could not be read.")
        }
    }
}

/// Ends what only the state before needed.
fn replaced(api: &Arc<Api>, before: &Function, after: &Function) {
    let kept = after.generations();
    for generation in before.generations() {
        if !kept.contains(&generation) {
            api.pool.retire(generation);
        }
    }
    let kept: Vec<Digest> = after.packages().collect();
    for package in before.packages() {
        if !kept.contains(&package) {
            forget_package(api, package);
        }
    }
}
