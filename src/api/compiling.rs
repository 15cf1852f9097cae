//! Compiles the code of a function before it is made ready.
//!
//! ```text
//!   is there a compiler, enough code, nothing compiled yet? ──► a place among those at work
//!        │ no                                                        │
//!        ▼                                                           ▼
//!   nothing to do                       a sandbox compiles it ──► kept beside the package
//!                                            │
//!                                            ▼ anything went wrong, or took too long
//!                                       said once; the function starts without
//! ```
//!
//! It makes starts quicker and decides nothing: whatever comes of it, the function is made ready. What is
//! compiled belongs to the code and the image, so of several functions with the same package the first
//! has it done for all of them, and nobody's environment or name has a part in it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use archive::code::CodeError;
use archive::{Draft, Edition, Stored};
use images::Served;
use images::manifest::Kind;
use model::{Digest, FunctionName};
use pool::CompileError;
use telemetry::METRICS;
use telemetry::metrics::Compilation;

use crate::server::Api;

/// How long making a function ready may be held up by this, with the time it stands in line.
const PATIENCE: Duration = Duration::from_secs(20);
/// Code with fewer bytes than this is compiled at every start in the time in which it would have been
/// found that it is compiled already, or hardly more. Python takes a tenth of a millisecond for a KiB.
pub(crate) const WORTHWHILE: u64 = 4 << 10;
/// The same for Node, which takes less than a hundredth: it compiles what is called, and only looks at
/// the rest.
const WORTHWHILE_NODE: u64 = 256 << 10;

/// Why there is nothing compiled.
#[derive(Debug, thiserror::Error)]
enum NotCompiled {
    /// The compiler came to nothing.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The store did.
    #[error(transparent)]
    Store(#[from] CodeError),
    /// It did not get to it, or did not come to its end.
    #[error("it was not done in {} s", PATIENCE.as_secs())]
    Late,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// Compiles a package for the functions of a runtime, unless that is of no use.
pub(crate) async fn compile(
    api: &Arc<Api>,
    function: &FunctionName,
    package: Digest,
    runtime: &str,
) {
    let Some(served) = api.catalogue.resolve(runtime) else { return };
    if served.start.compiler.is_none() {
        return;
    }
    let attempt = tokio::time::timeout(PATIENCE, attempt(api, package, runtime, served));
    match attempt.await.unwrap_or(Err(NotCompiled::Late)) {
        Ok(None) => {}
        Ok(Some(bytes)) => {
            METRICS.compilations.of(Compilation::Kept).inc();
            tracing::debug!(%function, %package, bytes, "a package was compiled");
        }
        Err(err) => {
            METRICS.compilations.of(Compilation::Failed).inc();
            let err: &dyn std::error::Error = &err;
            tracing::warn!(%function, %package, err, "a package was not compiled ahead of time");
        }
    }
}

/// Compiles again, package after package, what an image compiled that is no more: an interpreter was
/// replaced since. Until it comes to one, functions with it start without.
pub(crate) async fn renew(api: Arc<Api>) {
    let looking = {
        let api = Arc::clone(&api);
        tokio::task::spawn_blocking(move || outdated(&api))
    };
    match looking.await {
        Ok(Ok(all)) => {
            for (function, package, runtime) in all {
                compile(&api, &function, package, &runtime).await;
            }
        }
        Ok(Err(err)) => tracing::warn!(%err, "what was compiled could not be looked through"),
        Err(err) => tracing::warn!(%err, "looking through what was compiled did not finish"),
    }
}

/// Packages of which something is compiled, and not for the image that serves them now; each once for
/// every runtime, with one of its functions.
fn outdated(api: &Api) -> Result<Vec<(FunctionName, Digest, String)>, CodeError> {
    let snapshot = api.store.snapshot();
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    for function in snapshot.functions(None) {
        for version in std::iter::once(&function.latest).chain(function.versions.values()) {
            let runtime = version.configuration.runtime.as_str();
            let Some(served) = api.catalogue.resolve(runtime) else { continue };
            let edition = Edition {
                code: version.code.digest,
                image: served.image,
                runtime: served.runtime.clone(),
            };
            // Of most packages nothing is, so hardly any are remembered.
            if api.code.compiled_root(&edition.code).is_dir()
                && seen.insert((edition.code, runtime))
                && !api.code.is_compiled(&edition)?
            {
                found.push((function.name.clone(), edition.code, runtime.to_owned()));
            }
        }
    }
    Ok(found)
}

/// How many bytes were compiled; `None` if nothing was to be done.
async fn attempt(
    api: &Arc<Api>,
    package: Digest,
    runtime: &str,
    served: &Served,
) -> Result<Option<u64>, NotCompiled> {
    let edition = Edition { code: package, image: served.image, runtime: served.runtime.clone() };
    if begin(api, &edition, served.start.kind).await?.is_none() {
        return Ok(None);
    }
    let _place = api.compiling.acquire().await.map_err(|_closed| NotCompiled::Stopping)?;
    // Once more: whoever was before us in the line may have done it.
    let Some((stored, draft, file)) = begin(api, &edition, served.start.kind).await? else {
        return Ok(None);
    };
    let bytes = api.pool.compile(runtime, package, file).await?;
    let (api, images) = (Arc::clone(api), api.catalogue.images());
    let keeping = tokio::task::spawn_blocking(move || {
        api.code.keep_compiled(&stored, &edition, draft, &images)
    });
    keeping.await.map_err(|_| NotCompiled::Stopping)??;
    Ok(Some(bytes))
}

/// The package and a file for what will be compiled of it; `None` if nothing is to be done.
async fn begin(
    api: &Arc<Api>,
    edition: &Edition,
    kind: Kind,
) -> Result<Option<(Stored, Draft, std::fs::File)>, NotCompiled> {
    let (api, edition) = (Arc::clone(api), edition.clone());
    let looking = tokio::task::spawn_blocking(move || {
        let code = &api.code;
        let Some(stored) = code.hold(edition.code)? else { return Ok(None) };
        let (suffixes, least) = worthwhile(kind);
        if code.is_compiled(&edition)? || !code.has_sources(&edition.code, suffixes, least)? {
            return Ok(None);
        }
        let (draft, file) = code.begin_compiled()?;
        Ok(Some((stored, draft, file)))
    });
    looking.await.map_err(|_| NotCompiled::Stopping)?
}

/// What the files are called that a language compiles, and how many bytes of them are worth it.
fn worthwhile(kind: Kind) -> (&'static [&'static str], u64) {
    match kind {
        Kind::Python => (&[".py"], WORTHWHILE),
        Kind::Node => (&[".js", ".cjs"], WORTHWHILE_NODE),
        Kind::Custom => (&[], u64::MAX),
    }
}
