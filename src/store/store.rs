//! The store as the rest of the program sees it.

mod aliases;
mod layers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use model::id::random_bytes;
use model::name::AliasName;
use model::policy::Statement;
use model::url::UrlConfig;
use model::{FunctionName, Generation, Qualifier};

use crate::access::{AccessKey, NewUrl, PolicyScope, UrlChange};
use crate::function::{Function, FunctionVersion};
use crate::lifecycle::{NewFunction, Publication, Settlement, Update};
use crate::provisioned::Provisioning;
use crate::refusal::{ChangeError, Refusal};
use crate::snapshot::Snapshot;
use crate::snapshots::Preparation;
use crate::sqlite::{self, OpenError};
use crate::writer::{Batch, Writer};

/// Most tags of a function (an AWS limit).
pub(crate) const MAX_TAGS: usize = 50;

/// Everything that survives a restart.
///
/// Every change is on the disk when its method returns `Ok`. Dropping the future of a change does
/// not take the change back.
#[derive(Debug)]
pub struct Store {
    published: Arc<ArcSwap<Snapshot>>,
    writer: Writer,
    instance: String,
}

/// How much concurrency there is, and how much of it nobody may reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreserved {
    /// The account's limit.
    pub limit: u32,
    /// What reservations must leave of it.
    pub minimum: u32,
}

// === impl Store ===

impl Store {
    /// Opens the database, or makes it, and reads it whole.
    ///
    /// # Errors
    /// If the file cannot be used, was written by a newer program, or holds what cannot be.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = sqlite::open(path, sqlite::CONTROL)?;
        let (snapshot, counters) = sqlite::load(&connection, path)?;
        let instance = sqlite::instance(&connection, path, new_instance)?;
        let published = Arc::new(ArcSwap::from_pointee(snapshot));
        let writer = Writer::start(connection, Arc::clone(&published), counters)
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self { published, writer, instance })
    }

    /// Everything, at this moment. Cheap; meant to be held for moments too.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.published.load()
    }

    /// Names this data directory for ever: 32 hexadecimal digits.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Whether a failed commit has ended all writing; only a restart helps.
    pub fn is_poisoned(&self) -> bool {
        self.writer.is_poisoned()
    }

    /// Creates a function, pending.
    ///
    /// # Errors
    /// [`Refusal::FunctionExists`], [`Refusal::TooManyTags`], [`Refusal::NoLayer`].
    pub async fn create_function(&self, new: NewFunction) -> Result<Arc<Function>, ChangeError> {
        self.writer.change(move |batch| create(batch, new)).await
    }

    /// Begins an update of code, configuration, or both; [`Store::settle`] ends it.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::FunctionRevision`], [`Refusal::NotActive`],
    /// [`Refusal::UpdateInProgress`], [`Refusal::NoLayer`].
    pub async fn update_function(
        &self,
        name: &FunctionName,
        update: Update,
    ) -> Result<Arc<Function>, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let layers = update.configuration.layers.iter().flatten().next();
                let begun = batch.function(name.as_str()).and_then(|function| {
                    batch.snapshot().has_layers(layers.map(Arc::as_ref))?;
                    function.begin_update(&update, || batch.next_generation())
                });
                match begun {
                    Ok(function) => batch.put(function).map(Ok),
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
            .await
    }

    /// What an update would lead to, without making it.
    ///
    /// # Errors
    /// As [`Store::update_function`].
    pub fn preview_update(&self, name: &str, update: &Update) -> Result<Function, Refusal> {
        let snapshot = self.snapshot();
        let function = snapshot.function(name).ok_or(Refusal::NoFunction)?;
        // Nobody runs it, so that it may have the generation there is.
        function.begin_update(update, || function.latest.generation)
    }

    /// Ends a creation or an update, if it is still the one of `generation`; `None` if it is not.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn settle(
        &self,
        name: &FunctionName,
        generation: Generation,
        how: Settlement,
    ) -> Result<Option<Arc<Function>>, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let function = batch.snapshot().function(name.as_str());
                match function.and_then(|function| function.settle(generation, &how)) {
                    Some(function) => batch.put(function).map(|function| Ok(Some(function))),
                    None => Ok(Ok(None)),
                }
            })
            .await
    }

    /// Ends the preparation of a version, if it is still waited for; `None` if it is not.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prepare_version(
        &self,
        name: &FunctionName,
        generation: Generation,
        how: Preparation,
    ) -> Result<Option<Arc<Function>>, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let function = batch.snapshot().function(name.as_str());
                match function.and_then(|function| function.prepared(generation, &how)) {
                    Some(function) => batch.put(function).map(|function| Ok(Some(function))),
                    None => Ok(Ok(None)),
                }
            })
            .await
    }

    /// Publishes `$LATEST`; gives the last version if nothing has changed since.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::FunctionRevision`], [`Refusal::NotActive`],
    /// [`Refusal::UpdateInProgress`], [`Refusal::OtherCode`].
    pub async fn publish_version(
        &self,
        name: &FunctionName,
        publication: Publication,
    ) -> Result<(Arc<Function>, Arc<FunctionVersion>), ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let before = match batch.function(name.as_str()) {
                    Ok(function) => function,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                match before.publish(&publication, || batch.next_generation()) {
                    Ok((function, version)) if function.last_version > before.last_version => {
                        batch.put(function).map(|function| Ok((function, version)))
                    }
                    Ok((_, version)) => Ok(Ok((before, version))),
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
            .await
    }

    /// Deletes a function with everything that belongs to it; gives back what it was.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`].
    pub async fn delete_function(&self, name: &FunctionName) -> Result<Arc<Function>, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| match batch.function(name.as_str()) {
                Ok(function) => batch.remove(&function).map(|()| Ok(function)),
                Err(refusal) => Ok(Err(refusal)),
            })
            .await
    }

    /// Deletes a published version; gives back what it was, if there was one.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::VersionAliased`].
    pub async fn delete_version(
        &self,
        name: &FunctionName,
        number: u64,
    ) -> Result<Option<Arc<FunctionVersion>>, ChangeError> {
        self.change_function(name, move |function| {
            let version = function.versions.get(&number).cloned();
            let without = version.is_some().then(|| function.without_version(number));
            Ok((without.transpose()?, version))
        })
        .await
    }

    /// Reserves concurrency for a function, or takes the reservation away.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::Unreserved`], [`Refusal::BelowProvisioned`].
    pub async fn reserve_concurrency(
        &self,
        name: &FunctionName,
        reserved: Option<u32>,
        unreserved: Unreserved,
    ) -> Result<Arc<Function>, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let function = match batch.function(name.as_str()) {
                    Ok(function) => function,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                if let Some(wanted) = reserved {
                    let provisioned = function.provisioned_total();
                    if u64::from(wanted) < provisioned {
                        let reserved = wanted;
                        return Ok(Err(Refusal::BelowProvisioned { reserved, provisioned }));
                    }
                    let others = batch.snapshot().totals().set_aside - function.set_aside();
                    let taken = others + u64::from(wanted) + u64::from(unreserved.minimum);
                    if wanted > 0 && taken > u64::from(unreserved.limit) {
                        return Ok(Err(Refusal::Unreserved { minimum: unreserved.minimum }));
                    }
                }
                batch.put(function.with_reserved_concurrency(reserved)).map(Ok)
            })
            .await
    }

    /// Provisions instances of a version, or of what an alias points to.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoVersion`], and whatever stands against so many.
    pub async fn provision(
        &self,
        name: &FunctionName,
        new: Provisioning,
        unreserved: Unreserved,
    ) -> Result<Arc<Function>, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let totals = batch.snapshot().totals();
                let provisioned = batch
                    .function(name.as_str())
                    .and_then(|function| function.with_provisioned(&new, totals, unreserved));
                match provisioned {
                    Ok(function) => batch.put(function).map(Ok),
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
            .await
    }

    /// Provisions nothing any more for a version or an alias; whether anything was.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`].
    pub async fn unprovision(
        &self,
        name: &FunctionName,
        qualifier: Qualifier,
    ) -> Result<bool, ChangeError> {
        self.change_function(name, move |function| {
            let there = function.provisioned.contains_key(&qualifier);
            Ok((there.then(|| function.without_provisioned(&qualifier)), there))
        })
        .await
    }

    /// Adds tags and changes those that are there.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::TooManyTags`].
    pub async fn tag(
        &self,
        name: &FunctionName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ChangeError> {
        self.change_function(name, move |function| {
            let mut all = (*function.tags).clone();
            all.extend(tags);
            if all.len() > MAX_TAGS {
                return Err(Refusal::TooManyTags);
            }
            Ok((Some(function.with_tags(all)), ()))
        })
        .await
    }

    /// Takes tags away; those that are not there do not matter.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`].
    pub async fn untag(&self, name: &FunctionName, names: Vec<String>) -> Result<(), ChangeError> {
        self.change_function(name, move |function| {
            let mut left = (*function.tags).clone();
            left.retain(|tag, _| !names.contains(tag));
            Ok((Some(function.with_tags(left)), ()))
        })
        .await
    }

    /// Gives a function a URL.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::UrlExists`].
    pub async fn create_url(
        &self,
        name: &FunctionName,
        new: NewUrl,
    ) -> Result<Arc<UrlConfig>, ChangeError> {
        self.change_function(name, move |function| {
            function.with_url(new).map(|(function, url)| (Some(function), url))
        })
        .await
    }

    /// Changes a URL.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoUrl`].
    pub async fn update_url(
        &self,
        name: &FunctionName,
        alias: Option<AliasName>,
        change: UrlChange,
    ) -> Result<Arc<UrlConfig>, ChangeError> {
        self.change_function(name, move |function| {
            function
                .with_url_changed(alias.as_ref(), change)
                .map(|(function, url)| (Some(function), url))
        })
        .await
    }

    /// Takes a URL away.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoUrl`].
    pub async fn delete_url(
        &self,
        name: &FunctionName,
        alias: Option<AliasName>,
    ) -> Result<(), ChangeError> {
        self.change_function(name, move |function| {
            function.without_url(alias.as_ref()).map(|function| (Some(function), ()))
        })
        .await
    }

    /// Adds a statement to a policy. `bytes` measures the document the API would show for them.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoVersion`], [`Refusal::StatementExists`],
    /// [`Refusal::PolicyRevision`], [`Refusal::PolicyTooLong`].
    pub async fn add_statement(
        &self,
        name: &FunctionName,
        scope: PolicyScope,
        revision: Option<String>,
        statement: Statement,
        bytes: impl FnOnce(&[Statement]) -> usize + Send + 'static,
    ) -> Result<(), ChangeError> {
        self.change_function(name, move |function| {
            let with = function.with_statement(scope, revision.as_deref(), statement, bytes)?;
            Ok((Some(with), ()))
        })
        .await
    }

    /// Takes a statement out of a policy.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoStatement`], [`Refusal::PolicyRevision`].
    pub async fn remove_statement(
        &self,
        name: &FunctionName,
        scope: PolicyScope,
        revision: Option<String>,
        id: String,
    ) -> Result<(), ChangeError> {
        self.change_function(name, move |function| {
            let without = function.without_statement(&scope, revision.as_deref(), &id)?;
            Ok((Some(without), ()))
        })
        .await
    }

    /// Keeps an access key.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn put_key(&self, key: AccessKey) -> Result<(), ChangeError> {
        self.writer.change(move |batch| batch.put_key(key).map(Ok)).await
    }

    /// The way to the thread that writes.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// A change that one function alone decides; `None` in the place of the function writes nothing.
    pub(crate) async fn change_function<T: Send + 'static>(
        &self,
        name: &FunctionName,
        decide: impl FnOnce(&Function) -> Result<(Option<Function>, T), Refusal> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let decided = batch.function(name.as_str()).and_then(|function| decide(&function));
                match decided {
                    Ok((Some(function), answer)) => batch.put(function).map(|_| Ok(answer)),
                    Ok((None, answer)) => Ok(Ok(answer)),
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
            .await
    }
}

/// Creates a function, as part of a change.
pub(crate) fn create(
    batch: &mut Batch<'_>,
    new: NewFunction,
) -> Result<Result<Arc<Function>, Refusal>, rusqlite::Error> {
    if batch.snapshot().function(new.name.as_str()).is_some() {
        return Ok(Err(Refusal::FunctionExists));
    }
    if new.tags.len() > MAX_TAGS {
        return Ok(Err(Refusal::TooManyTags));
    }
    if let Err(refusal) = batch.snapshot().has_layers(new.configuration.layers.as_deref()) {
        return Ok(Err(refusal));
    }
    let id = batch.next_function();
    let function = Function::create(id, new, || batch.next_generation());
    batch.put(function).map(Ok)
}

/// Sixteen random bytes in hexadecimal digits.
fn new_instance() -> String {
    random_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
