//! What is said about functions beside their configuration, and what it refers to.
//!
//! Few functions have any of it, so that it lies beside them and not in them: an invocation does not
//! look at it, and a hundred thousand functions do not pay for it.

use std::sync::Arc;

use model::FunctionName;
use model::settings::{Settings, SigningConfig, SigningId};

use crate::function::Function;
use crate::lifecycle::NewFunction;
use crate::ordered::{Keyed, Ordered};
use crate::refusal::{ChangeError, Refusal};
use crate::snapshot::Snapshot;
use crate::sqlite::settings as rows;
use crate::store::{MAX_TAGS, Store, create};
use crate::writer::Batch;

/// All settings, and all code signing configurations.
#[derive(Debug, Clone, Default)]
pub struct AllSettings {
    /// By identifier.
    signing: Ordered<SigningConfig>,
    /// By name: those of functions that have any.
    functions: Ordered<OfFunction>,
}

/// The settings of one function.
#[derive(Debug)]
pub(crate) struct OfFunction {
    pub(crate) name: FunctionName,
    pub(crate) settings: Settings,
}

impl Keyed for SigningConfig {
    type Key = str;

    fn key(&self) -> &str {
        self.id.as_str()
    }
}

impl Keyed for OfFunction {
    type Key = str;

    fn key(&self) -> &str {
        self.name.as_str()
    }
}

// === impl AllSettings ===

impl AllSettings {
    /// All of these.
    pub(crate) fn of(signing: Vec<Arc<SigningConfig>>, functions: Vec<Arc<OfFunction>>) -> Self {
        Self { signing: Ordered::of(signing), functions: Ordered::of(functions) }
    }

    /// What is said of a function, if anything.
    pub fn function(&self, name: &str) -> Option<&Settings> {
        self.functions.get(name).map(|of| &of.settings)
    }

    /// A code signing configuration.
    pub fn signing(&self, id: &SigningId) -> Option<&Arc<SigningConfig>> {
        self.signing.get(id.as_str())
    }

    /// The code signing configuration of a function, if it has one.
    pub fn signing_of(&self, function: &str) -> Option<&Arc<SigningConfig>> {
        self.signing(self.function(function)?.signing.as_ref()?)
    }

    /// Code signing configurations in the order of their identifiers, from the one after `after`.
    pub fn all_signing<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<SigningConfig>> + use<'a> {
        self.signing.after(after)
    }

    /// Names of the functions that refer to a code signing configuration, in their order, from the one
    /// after `after`.
    pub fn signed_by<'a>(
        &'a self,
        id: &'a SigningId,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a FunctionName> + use<'a> {
        let referring = |of: &&Arc<OfFunction>| of.settings.signing.as_ref() == Some(id);
        self.functions.after(after).filter(referring).map(|of| &of.name)
    }

    /// Takes out what is said of a function that is gone; whether anything was.
    pub(crate) fn forget(all: &mut Arc<Self>, name: &str) {
        if all.functions.get(name).is_some() {
            Arc::make_mut(all).functions.remove(name);
        }
    }
}

// === impl Store ===

impl Store {
    /// Creates a function whose code somebody must have signed, if `signing` says who.
    ///
    /// # Errors
    /// As [`Store::create_function`], and [`Refusal::NoSigning`].
    pub async fn create_signed_function(
        &self,
        new: NewFunction,
        signing: Option<SigningId>,
    ) -> Result<Arc<Function>, ChangeError> {
        let decide = move |batch: &mut Batch<'_>| {
            if signing.as_ref().is_some_and(|id| settings(batch).signing(id).is_none()) {
                return Ok(Err(Refusal::NoSigning));
            }
            let created = create(batch, new)?;
            if let (Ok(function), Some(_)) = (&created, &signing) {
                put_settings(batch, function, Settings { signing, ..Settings::default() })?;
            }
            Ok(created)
        };
        self.writer().change(decide).await
    }

    /// Changes what is said of a function.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], and [`Refusal::NoSigning`] if what it refers to is not there.
    pub async fn change_settings(
        &self,
        name: &FunctionName,
        change: impl FnOnce(&mut Settings) + Send + 'static,
    ) -> Result<(), ChangeError> {
        let name = name.clone();
        let decide = move |batch: &mut Batch<'_>| {
            let function = match batch.function(name.as_str()) {
                Ok(function) => function,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let mut changed = settings(batch).function(name.as_str()).cloned().unwrap_or_default();
            change(&mut changed);
            let there = |id: &SigningId| settings(batch).signing(id).is_some();
            if !changed.signing.as_ref().is_none_or(there) {
                return Ok(Err(Refusal::NoSigning));
            }
            put_settings(batch, &function, changed).map(Ok)
        };
        self.writer().change(decide).await
    }

    /// Creates a code signing configuration.
    ///
    /// # Errors
    /// [`Refusal::TooManyTags`].
    pub async fn create_signing(
        &self,
        new: SigningConfig,
    ) -> Result<Arc<SigningConfig>, ChangeError> {
        let decide = move |batch: &mut Batch<'_>| {
            if new.tags.len() > MAX_TAGS {
                return Ok(Err(Refusal::TooManyTags));
            }
            put_signing(batch, new).map(Ok)
        };
        self.writer().change(decide).await
    }

    /// Changes a code signing configuration.
    ///
    /// # Errors
    /// [`Refusal::NoSigning`], [`Refusal::TooManyTags`].
    pub async fn change_signing(
        &self,
        id: &SigningId,
        change: impl FnOnce(&mut SigningConfig) + Send + 'static,
    ) -> Result<Arc<SigningConfig>, ChangeError> {
        let id = id.clone();
        let decide = move |batch: &mut Batch<'_>| {
            let Some(before) = settings(batch).signing(&id) else {
                return Ok(Err(Refusal::NoSigning));
            };
            let mut changed = (**before).clone();
            change(&mut changed);
            if changed.tags.len() > MAX_TAGS {
                return Ok(Err(Refusal::TooManyTags));
            }
            put_signing(batch, changed).map(Ok)
        };
        self.writer().change(decide).await
    }

    /// Deletes a code signing configuration that no function refers to.
    ///
    /// # Errors
    /// [`Refusal::NoSigning`], [`Refusal::SigningUsed`].
    pub async fn delete_signing(&self, id: &SigningId) -> Result<(), ChangeError> {
        let id = id.clone();
        let decide = move |batch: &mut Batch<'_>| {
            if settings(batch).signing(&id).is_none() {
                return Ok(Err(Refusal::NoSigning));
            }
            if settings(batch).signed_by(&id, None).next().is_some() {
                return Ok(Err(Refusal::SigningUsed));
            }
            batch.beside(|connection, snapshot| {
                rows::delete_signing(connection, &id)?;
                snapshot.settings_mut().signing.remove(id.as_str());
                Ok(Ok(()))
            })
        };
        self.writer().change(decide).await
    }
}

fn settings<'a>(batch: &'a Batch<'_>) -> &'a AllSettings {
    batch.snapshot().settings()
}

fn put_settings(
    batch: &mut Batch<'_>,
    function: &Function,
    settings: Settings,
) -> Result<(), rusqlite::Error> {
    let name = function.name.clone();
    batch.beside(|connection, snapshot: &mut Snapshot| {
        rows::save_function(connection, function.id, &settings)?;
        let functions = &mut snapshot.settings_mut().functions;
        if settings == Settings::default() {
            functions.remove(name.as_str());
        } else {
            functions.insert(Arc::new(OfFunction { name, settings }));
        }
        Ok(())
    })
}

fn put_signing(
    batch: &mut Batch<'_>,
    config: SigningConfig,
) -> Result<Arc<SigningConfig>, rusqlite::Error> {
    let config = Arc::new(config);
    batch.beside(|connection, snapshot| {
        rows::save_signing(connection, &config)?;
        snapshot.settings_mut().signing.insert(Arc::clone(&config));
        Ok(config)
    })
}

#[cfg(test)]
mod tests;
