//! Aliases: CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases.

use std::ops::Bound;
use std::sync::Arc;

use http::StatusCode;
use httpd::AwsError;
use lambda::types::{
    AliasConfiguration, AliasRoutingConfiguration, CreateAliasRequest, DeleteAliasRequest,
    GetAliasRequest, ListAliasesRequest, ListAliasesResponse, UpdateAliasRequest,
};
use model::alias::{Alias, Share, Weight};
use model::configuration::Description;
use model::name::AliasName;
use model::{FunctionName, Qualifier, Version};
use store::{AliasChange, ChangeError, Function, NewAlias, Refusal};

use crate::errors;
use crate::listing::{self, Page};
use crate::respond::{Answer, empty, json};
use crate::router::Call;

/// CreateAlias.
pub(crate) async fn create(call: &Call<'_>) -> Answer {
    let request: CreateAliasRequest = call.read()?;
    let (function, arn) = function(call)?;
    let named = request.name.as_deref().unwrap_or_default();
    let alias = AliasName::parse(named).map_err(|_| no_such_alias(&arn, named))?;
    let version = version(request.function_version.as_deref(), &arn)?;
    let new = NewAlias {
        name: alias,
        version: version.unwrap_or(Version::Latest),
        description: description(request.description.as_deref()).unwrap_or_default(),
        second: second(request.routing_config, &arn)?.flatten(),
    };
    let created = call.api.store.create_alias(&function, new).await;
    let alias = created.map_err(|err| refused(err, &arn, named))?;
    json(StatusCode::CREATED, &shape(call, &function, &alias))
}

/// GetAlias.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    call.read::<GetAliasRequest>()?;
    let local = call.meant_unqualified()?;
    let named = call.labels.get("Name");
    let snapshot = call.api.store.snapshot();
    let found = snapshot.function(local.name).zip(AliasName::parse(named).ok());
    let found = found.and_then(|(function, alias)| Some((function, function.alias(&alias)?)));
    let (function, alias) = found.ok_or_else(|| {
        let arn = local.arn(&call.api.home);
        errors::not_found(format!("Cannot find alias arn: {arn}:{named}"))
    })?;
    json(StatusCode::OK, &shape(call, &function.name, alias))
}

/// UpdateAlias.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let request: UpdateAliasRequest = call.read()?;
    let (function, arn) = function(call)?;
    let named = call.labels.get("Name");
    let alias = AliasName::parse(named).map_err(|_| no_such_alias(&arn, named))?;
    let change = AliasChange {
        version: version(request.function_version.as_deref(), &arn)?,
        description: description(request.description.as_deref()),
        second: second(request.routing_config, &arn)?,
        revision: request.revision_id,
    };
    let updated = call.api.store.update_alias(&function, alias, change).await;
    let alias = updated.map_err(|err| refused(err, &arn, named))?;
    // Whoever provisions it from here on sees where it points now, and tells so.
    let qualifier = Qualifier::Alias(alias.name.clone());
    tell_if(call, &function, |function| function.provisioned.contains_key(&qualifier));
    json(StatusCode::OK, &shape(call, &function, &alias))
}

/// DeleteAlias: what is not there is gone, which is what was asked for.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    call.read::<DeleteAliasRequest>()?;
    let (function, arn) = function(call)?;
    let named = call.labels.get("Name");
    let alias = AliasName::parse(named).map_err(|_| no_such_alias(&arn, named))?;
    let deleted = call.api.store.delete_alias(&function, alias).await;
    if deleted.map_err(|err| errors::refused(err, &arn))?.is_some() {
        tell_if(call, &function, |_| true);
    }
    empty(StatusCode::NO_CONTENT)
}

/// ListAliases.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let request: ListAliasesRequest = call.read()?;
    let page = Page::of(request.marker, request.max_items)?;
    let local = call.meant_unqualified()?;
    let function = call.function(&local)?;
    // A version that cannot be is one that no alias points to.
    let only = request.function_version.as_deref().filter(|text| !text.is_empty());
    let only = only.map(read_version);
    let after = page.after.as_deref().and_then(|marker| AliasName::parse(marker).ok());
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rest = function
        .aliases
        .range((from, Bound::Unbounded))
        .map(|(_, alias)| alias)
        .filter(|alias| only.is_none_or(|only| only.is_some_and(|only| alias.points_to(only))));
    let (aliases, next_marker) = listing::take(rest, page.size, |alias| alias.name.to_string());
    let shape = |alias: &Arc<Alias>| shape(call, &function.name, alias);
    let aliases = Some(aliases.into_iter().map(shape).collect());
    json(StatusCode::OK, &ListAliasesResponse { next_marker, aliases })
}

/// The function whose alias is meant, and its ARN.
fn function(call: &Call<'_>) -> Result<(FunctionName, String), AwsError> {
    let local = call.meant_unqualified()?;
    let function = call.function(&local)?;
    Ok((function.name.clone(), local.arn(&call.api.home)))
}

/// The version that is asked for.
fn version(given: Option<&str>, arn: &str) -> Result<Option<Version>, AwsError> {
    let read = |text| read_version(text).ok_or_else(|| no_such_version(arn, text));
    given.map(read).transpose()
}

/// The second version that is asked for; `Some(None)` if none is to be.
fn second(
    routing: Option<AliasRoutingConfiguration>,
    arn: &str,
) -> Result<Option<Option<Share>>, AwsError> {
    let Some(routing) = routing else { return Ok(None) };
    let weights = routing.additional_version_weights.unwrap_or_default().0;
    if weights.len() > 1 {
        return Err(errors::invalid(
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ));
    }
    let Some((number, weight)) = weights.first() else { return Ok(Some(None)) };
    match (read_version(number), Weight::parse(*weight)) {
        (Some(Version::Number(version)), Some(weight)) => Ok(Some(Some(Share { version, weight }))),
        _ => Err(no_such_version(arn, number)),
    }
}

fn description(given: Option<&str>) -> Option<Description> {
    given.and_then(|text| Description::parse(text).ok())
}

/// An alias as it is shown: always with a description, and with what it is divided by if it is.
fn shape(call: &Call<'_>, function: &FunctionName, alias: &Alias) -> AliasConfiguration {
    let qualifier = Qualifier::Alias(alias.name.clone());
    let weights = |share: Share| [(share.version.to_string(), share.weight.get())].into_iter();
    AliasConfiguration {
        alias_arn: Some(call.api.home.qualified_arn(function, &qualifier)),
        name: Some(alias.name.to_string()),
        function_version: Some(alias.version.text()),
        description: Some(alias.description.to_string()),
        routing_config: alias.second.map(|share| AliasRoutingConfiguration {
            additional_version_weights: Some(weights(share).collect()),
        }),
        revision_id: Some(alias.revision.to_string()),
    }
}

/// A version as AWS writes it; what is written otherwise names none there could be.
fn read_version(text: &str) -> Option<Version> {
    if text == "$LATEST" {
        return Some(Version::Latest);
    }
    let number: u64 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(Version::Number(number))
}

/// What was provisioned for an alias may be another version's now, or nobody's.
fn tell_if(call: &Call<'_>, name: &FunctionName, concerned: impl FnOnce(&Function) -> bool) {
    let function = call.api.store.snapshot().function(name.as_str()).cloned();
    if let Some(function) = function.filter(|function| concerned(function)) {
        call.api.tell_provisioned(function.id, name);
    }
}

fn refused(err: ChangeError, arn: &str, alias: &str) -> AwsError {
    match err {
        ChangeError::Refused(Refusal::AliasExists) => {
            errors::conflict(format!("Alias already exists: {arn}:{alias}"))
        }
        ChangeError::Refused(Refusal::NoAlias) => no_such_alias(arn, alias),
        err => errors::refused(err, arn),
    }
}

fn no_such_alias(arn: &str, alias: &str) -> AwsError {
    errors::not_found(format!("Alias not found: {arn}:{alias}"))
}

fn no_such_version(arn: &str, version: &str) -> AwsError {
    errors::function_not_found(&format!("{arn}:{version}"))
}
