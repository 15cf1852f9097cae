//! Tags: TagResource, UntagResource, ListTags.
//!
//! Functions and code signing configurations have tags; what else AWS gives tags to is not here, and
//! said to be not found.

use std::collections::BTreeMap;

use http::StatusCode;
use httpd::AwsError;
use lambda::scalar::Pairs;
use lambda::types::{ListTagsRequest, ListTagsResponse, TagResourceRequest, UntagResourceRequest};
use model::FunctionName;
use model::settings::{SigningConfig, SigningId};

use crate::patterns::{self, every};
use crate::requests;
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::target::{self, Target};
use crate::validate::{Text, Violations};
use crate::{code_signing, errors};

/// What a `TaggableResource` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taggable {
    /// A function, perhaps qualified.
    Function,
    /// A code signing configuration.
    CodeSigningConfig,
    /// An event source mapping.
    EventSourceMapping,
    /// A capacity provider.
    CapacityProvider,
}

/// Longest name of a tag, and longest value (AWS limits).
const NAME: Text = Text { least: 1, most: 128, pattern: None };
const VALUE: Text = Text { least: 0, most: 256, pattern: None };

/// TagResource.
pub(crate) async fn tag(call: &Call<'_>) -> Answer {
    let request: TagResourceRequest = call.read()?;
    let tags: BTreeMap<String, String> = request.tags.unwrap_or_default().0.into_iter().collect();
    let tagged = match resource(call)? {
        Tagged::Function(name) => call.api.store.tag(&name, tags).await,
        Tagged::Signing(id) => {
            call.api.store.change_signing(&id, |config| config.tags.extend(tags)).await.map(drop)
        }
    };
    tagged.map_err(|err| errors::refused(err, call.target))?;
    empty(StatusCode::NO_CONTENT)
}

/// UntagResource.
pub(crate) async fn untag(call: &Call<'_>) -> Answer {
    let request: UntagResourceRequest = call.read()?;
    let names = request.tag_keys.unwrap_or_default();
    let untagged = match resource(call)? {
        Tagged::Function(name) => call.api.store.untag(&name, names).await,
        Tagged::Signing(id) => {
            let change = move |config: &mut SigningConfig| {
                config.tags.retain(|name, _| !names.contains(name));
            };
            call.api.store.change_signing(&id, change).await.map(drop)
        }
    };
    untagged.map_err(|err| errors::refused(err, call.target))?;
    empty(StatusCode::NO_CONTENT)
}

/// ListTags.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    call.read::<ListTagsRequest>()?;
    let snapshot = call.api.store.snapshot();
    let tags: Option<Pairs<String>> = match resource(call)? {
        Tagged::Function(name) => {
            snapshot.function(name.as_str()).map(|function| pairs(&function.tags))
        }
        Tagged::Signing(id) => snapshot.settings().signing(&id).map(|config| pairs(&config.tags)),
    };
    let tags = Some(tags.ok_or_else(|| errors::function_not_found(call.target))?);
    json(StatusCode::OK, &ListTagsResponse { tags })
}

fn pairs(tags: &BTreeMap<String, String>) -> Pairs<String> {
    tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Collects what is wrong with tags.
pub(crate) fn check(violations: &mut Violations, tags: Option<&requests::Pairs>) {
    if let Some(tags) = tags {
        violations.map("tags", &tags.0, NAME, VALUE);
    }
}

/// What has the tags that are meant.
enum Tagged {
    Function(FunctionName),
    Signing(SigningId),
}

/// The resource whose tags are meant, of a request that was read.
fn resource(call: &Call<'_>) -> Result<Tagged, AwsError> {
    let arn = call.target;
    match Taggable::parse(arn) {
        Some(Taggable::Function) => {}
        Some(Taggable::CodeSigningConfig) => {
            let snapshot = call.api.store.snapshot();
            let id = code_signing::id_here(&call.api.home, arn);
            let id = id.filter(|id| snapshot.settings().signing(id).is_some());
            return id.map(Tagged::Signing).ok_or_else(|| code_signing::not_found(arn));
        }
        Some(Taggable::EventSourceMapping) => {
            return Err(errors::not_found(format!("Event source mapping not found: {arn}")));
        }
        Some(Taggable::CapacityProvider) => {
            return Err(errors::not_found(format!("Capacity provider not found: {arn}")));
        }
        None => return Err(errors::function_not_found(arn)),
    }
    let target = Target::parse(arn).ok_or_else(|| errors::function_not_found(arn))?;
    let local = target.here(None, &call.api.home, call.operation)?;
    if local.qualifier.is_some() {
        return Err(errors::invalid(
            "Tags on function aliases and versions are not supported. Please specify a function \
             ARN.",
        ));
    }
    let name = local.function_name().ok_or_else(|| errors::function_not_found(arn))?;
    Ok(Tagged::Function(name))
}

// === impl Taggable ===

impl Taggable {
    /// Reads an ARN of something that can have tags.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("arn:")?;
        let (partition, rest) = rest.split_once(':')?;
        let (service, rest) = rest.split_once(':')?;
        let (region, rest) = rest.split_once(':')?;
        let (account, rest) = rest.split_once(':')?;
        let (kind, name) = rest.split_once(':')?;
        let ours = patterns::is_partition(partition)
            && service == "lambda"
            && target::is_region(region)
            && target::is_account(account);
        if !ours {
            return None;
        }
        match kind {
            "function" => {
                let (name, qualifier) = match name.split_once(':') {
                    None => (name, None),
                    Some((name, qualifier)) => (name, Some(qualifier)),
                };
                let qualified = qualifier.is_none_or(|q| q == "$LATEST" || every(q, b"-_"));
                (every(name, b"-_") && qualified).then_some(Self::Function)
            }
            "code-signing-config" => {
                let id = name.strip_prefix("csc-")?;
                let fits = id.len() == 17
                    && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                fits.then_some(Self::CodeSigningConfig)
            }
            "event-source-mapping" => {
                model::RequestId::parse(name).map(|_| Self::EventSourceMapping)
            }
            "capacity-provider" => every(name, b"-_").then_some(Self::CapacityProvider),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
