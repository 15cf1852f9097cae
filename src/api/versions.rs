//! Versions: PublishVersion, ListVersionsByFunction.

use std::sync::Arc;

use http::StatusCode;
use lambda::types::{ListVersionsByFunctionRequest, PublishVersionRequest};
use model::configuration::Description;
use model::{Digest, Version};
use store::{ChangeError, FunctionVersion, Publication, Refusal};

use crate::listing::{self, Page};
use crate::respond::{Answer, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::shapes::{FunctionConfiguration, ListVersionsResponse, Shown};
use crate::{errors, snapshots};

/// PublishVersion.
pub(crate) async fn publish(call: &Call<'_>) -> Answer {
    let request: PublishVersionRequest = call.read()?;
    let local = call.meant_unqualified()?;
    let arn = local.arn(&call.api.home);
    let before = call.function(&local)?;
    if request.publish_to.is_some() {
        return Err(errors::unavailable("PublishTo is", "Leave it out."));
    }
    let meant = request.code_sha256.filter(|text| !text.is_empty());
    let description = request.description.filter(|text| !text.is_empty());
    let publication = Publication {
        revision: request.revision_id,
        code: meant.as_deref().map(read_code_sha256),
        description: description.as_deref().and_then(|text| Description::parse(text).ok()),
        at_ms: now_ms(),
    };
    let published = call.api.store.publish_version(&before.name, publication).await;
    let (function, version) = published.map_err(|err| match err {
        ChangeError::Refused(Refusal::OtherCode { current }) => errors::invalid(format!(
            "CodeSHA256 ({}) is different from current CodeSHA256 in $LATEST ({}). Please try \
             again with the CodeSHA256 in $LATEST.",
            meant.unwrap_or_default(),
            archive::code::code_sha256(&current)
        )),
        err => errors::refused(err, &arn),
    })?;
    snapshots::begin(call.api, &function);
    let runtime = call.api.runtime_version_arn(version.configuration.runtime.as_str());
    let shape =
        FunctionConfiguration::of(&call.api.home, &function, &version, Shown::Qualified, runtime);
    json(StatusCode::CREATED, &shape)
}

/// ListVersionsByFunction: `$LATEST` first, then what was published.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let request: ListVersionsByFunctionRequest = call.read()?;
    let function = call.function(&call.meant_unqualified()?)?;
    let page = Page::of(request.marker, request.max_items)?;
    let number = |version: Version| match version {
        Version::Latest => 0,
        Version::Number(number) => number,
    };
    // The marker is the last number shown; `$LATEST` counts as 0.
    let after: Option<u64> = page.after.as_deref().and_then(|marker| marker.parse().ok());
    let all = function
        .all_versions()
        .skip_while(|version| after.is_some_and(|after| number(version.version) <= after));
    let (versions, next_marker) =
        listing::take(all, page.size, |version| number(version.version).to_string());
    let shape = |version: &Arc<FunctionVersion>| {
        let shown = Shown::ListedQualified;
        FunctionConfiguration::of(&call.api.home, &function, version, shown, String::new())
    };
    let versions = versions.into_iter().map(shape).collect();
    json(StatusCode::OK, &ListVersionsResponse { next_marker, versions })
}

/// A digest in base64; `None` if it is something else, which no code has.
fn read_code_sha256(text: &str) -> Option<Digest> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    <[u8; 32]>::try_from(bytes).ok().map(Digest)
}
