//! What changes layers.

use std::sync::Arc;

use model::policy::Statement;
use model::{LayerName, RevisionId};

use super::Store;
use crate::layer::{Layer, LayerVersion, NewLayerVersion};
use crate::refusal::{ChangeError, Refusal};

impl Store {
    /// Publishes a version of a layer, the first of one or the next.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn publish_layer(
        &self,
        new: NewLayerVersion,
    ) -> Result<Arc<LayerVersion>, ChangeError> {
        self.writer
            .change(move |batch| {
                let before = batch.snapshot().layer(new.name.as_str()).cloned();
                let before = before.unwrap_or_else(|| Arc::new(Layer::named(new.name.clone())));
                let (layer, version) = before.with_version(new);
                batch.put_layer(layer).map(|()| Ok(version))
            })
            .await
    }

    /// Deletes a version of a layer; gives back what it was, if there was one. Who uses it keeps it.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn delete_layer_version(
        &self,
        name: &LayerName,
        number: u64,
    ) -> Result<Option<Arc<LayerVersion>>, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let layer = batch.snapshot().layer(name.as_str()).cloned();
                let found = layer.and_then(|layer| {
                    let version = Arc::clone(layer.versions.get(&number)?);
                    Some((layer.without_version(number), version))
                });
                match found {
                    Some((layer, version)) => batch.put_layer(layer).map(|()| Ok(Some(version))),
                    None => Ok(Ok(None)),
                }
            })
            .await
    }

    /// Adds a statement to the policy of a version; gives the policy's revision. `bytes` measures the
    /// document the API would show for them.
    ///
    /// # Errors
    /// [`Refusal::NoLayerVersion`], [`Refusal::StatementExists`], [`Refusal::PolicyRevision`],
    /// [`Refusal::PolicyTooLong`].
    pub async fn add_layer_statement(
        &self,
        name: &LayerName,
        number: u64,
        revision: Option<String>,
        statement: Statement,
        bytes: impl FnOnce(&[Statement]) -> usize + Send + 'static,
    ) -> Result<RevisionId, ChangeError> {
        self.change_layer(name, move |layer| {
            layer.with_statement(number, revision.as_deref(), statement, bytes)
        })
        .await
    }

    /// Takes a statement out of the policy of a version.
    ///
    /// # Errors
    /// [`Refusal::NoLayerVersion`], [`Refusal::PolicyRevision`], [`Refusal::NoStatement`].
    pub async fn remove_layer_statement(
        &self,
        name: &LayerName,
        number: u64,
        revision: Option<String>,
        id: String,
    ) -> Result<(), ChangeError> {
        self.change_layer(name, move |layer| {
            Ok((layer.without_statement(number, revision.as_deref(), &id)?, ()))
        })
        .await
    }

    /// A change that one layer alone decides.
    async fn change_layer<T: Send + 'static>(
        &self,
        name: &LayerName,
        decide: impl FnOnce(&Layer) -> Result<(Layer, T), Refusal> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let name = name.clone();
        self.writer
            .change(move |batch| {
                let layer = batch.snapshot().layer(name.as_str()).cloned();
                let decided = layer.ok_or(Refusal::NoLayerVersion).and_then(|it| decide(&it));
                match decided {
                    Ok((layer, answer)) => batch.put_layer(layer).map(|()| Ok(answer)),
                    Err(refusal) => Ok(Err(refusal)),
                }
            })
            .await
    }
}

#[cfg(test)]
mod tests;
