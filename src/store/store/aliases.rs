//! Changes of aliases.

use std::sync::Arc;

use model::FunctionName;
use model::alias::Alias;
use model::name::AliasName;

use super::Store;
use crate::alias::{AliasChange, NewAlias};
use crate::refusal::ChangeError;

// === impl Store ===

impl Store {
    /// Gives a function an alias.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::AliasExists`], and what it cannot point to.
    pub async fn create_alias(
        &self,
        name: &FunctionName,
        new: NewAlias,
    ) -> Result<Arc<Alias>, ChangeError> {
        self.change_function(name, move |function| {
            function.with_alias(new).map(|(function, alias)| (Some(function), alias))
        })
        .await
    }

    /// Changes an alias.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`], [`Refusal::NoAlias`], [`Refusal::FunctionRevision`], and what it
    /// cannot point to.
    pub async fn update_alias(
        &self,
        name: &FunctionName,
        alias: AliasName,
        change: AliasChange,
    ) -> Result<Arc<Alias>, ChangeError> {
        self.change_function(name, move |function| {
            let changed = function.with_alias_changed(&alias, change);
            changed.map(|(function, alias)| (Some(function), alias))
        })
        .await
    }

    /// Takes an alias away; gives back what it was, if there was one.
    ///
    /// # Errors
    /// [`Refusal::NoFunction`].
    pub async fn delete_alias(
        &self,
        name: &FunctionName,
        alias: AliasName,
    ) -> Result<Option<Arc<Alias>>, ChangeError> {
        self.change_function(name, move |function| {
            let gone = function.alias(&alias).cloned();
            Ok((gone.is_some().then(|| function.without_alias(&alias)), gone))
        })
        .await
    }
}
