//! Layers: PublishLayerVersion, GetLayerVersion, GetLayerVersionByArn, ListLayers, ListLayerVersions,
//! DeleteLayerVersion.
//!
//! `arn` is how they are named, `attach` what functions do with them, `policy` who else may.

mod arn;
pub(crate) mod attach;
pub(crate) mod policy;

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use httpd::AwsError;
use lambda::operation::Labels;
use lambda::types::{
    DeleteLayerVersionRequest, GetLayerVersionByArnRequest, GetLayerVersionRequest,
    GetLayerVersionResponse, LayerVersionContentInput, LayerVersionContentOutput,
    LayerVersionsListItem, LayersListItem, ListLayerVersionsRequest, ListLayerVersionsResponse,
    ListLayersRequest, ListLayersResponse, PublishLayerVersionRequest,
};
use model::LayerName;
use model::configuration::{Architecture, Description};
use store::{AboutLayer, Code, Layer, LayerVersion, NewLayerVersion};

use crate::listing::{self, Page};
use crate::requests::{Blob, CodeRequest};
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::server::now_ms;
use crate::shapes::function_time;
use crate::validate::Violations;
use crate::{activation, code, errors, payload};
use arn::LayerArn;

/// Most entries of a page of layers (an AWS limit).
const MAX_PAGE: i64 = 50;

/// PublishLayerVersion.
pub(crate) async fn publish(call: &Call<'_>) -> Answer {
    let (body, label) = (call.body.clone(), call.target.to_owned());
    let read = move || {
        let labels = Labels::one("LayerName", Cow::Owned(label));
        let request = lambda::Request { labels: &labels, query: &[], headers: &[], body: &body };
        request.read::<PublishLayerVersionRequest>()
    };
    let read = payload::heavy(call.body.len(), read).await?;
    let mut request = read.map_err(errors::unreadable)?;
    let name = named(call)?;
    let about = about(&mut request)?;
    let content = request.content.take().unwrap_or_default();
    let stored = code::take_in(call.api, source(content)).await?;
    let (store, digest) = (Arc::clone(&call.api.code), stored.digest);
    let unzipped = match stored.unpacked {
        Some(unpacked) => unpacked.bytes,
        None => code::on_disk(move || store.unzipped(&digest)).await?,
    };
    let code = Code { digest, size: stored.size };
    let new = NewLayerVersion { name: name.clone(), code, unzipped, about, at_ms: now_ms() };
    let published = call.api.store.publish_layer(new).await.map_err(|err| {
        activation::forget_package(call.api, digest);
        errors::refused(err, &call.api.home.layer_arn(&name))
    })?;
    drop(stored);
    json(StatusCode::CREATED, &whole(call, &name, &published))
}

/// GetLayerVersion.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    let request: GetLayerVersionRequest = call.read()?;
    let (name, number) = version(call, request.version_number)?;
    found(call, &name, number)
}

/// GetLayerVersionByArn.
pub(crate) fn get_by_arn(call: &Call<'_>) -> Answer {
    let request: GetLayerVersionByArnRequest = call.read()?;
    let arn = request.arn.as_deref().and_then(LayerArn::parse).ok_or_else(none)?;
    let name = here(call, &arn)?;
    match arn.version.unwrap_or_default().parse() {
        Ok(0) => Err(below_one()),
        Ok(number) => found(call, &name, number),
        // More digits than a number of ours can have.
        Err(_) => Err(none()),
    }
}

/// ListLayers: the newest version of each that fits.
pub(crate) fn list(call: &Call<'_>) -> Answer {
    let request: ListLayersRequest = call.read()?;
    let filter = Filter::of(request.compatible_runtime, request.compatible_architecture);
    let page = Page::read(&call.query, Violations::default(), MAX_PAGE)?;
    let snapshot = call.api.store.snapshot();
    let fitting = snapshot
        .layers(page.after.as_deref())
        .filter_map(|layer| Some((layer, layer.newest(|version| filter.fits(version))?)));
    let name = |(layer, _): &(&Arc<Layer>, _)| layer.name.to_string();
    let (page, next_marker) = listing::take(fitting, page.size, name);
    let item = |(layer, version): (&Arc<Layer>, &Arc<LayerVersion>)| LayersListItem {
        layer_name: Some(layer.name.to_string()),
        layer_arn: Some(call.api.home.layer_arn(&layer.name)),
        latest_matching_version: Some(listed(call, &layer.name, version)),
    };
    let layers = Some(page.into_iter().map(item).collect());
    json(StatusCode::OK, &ListLayersResponse { next_marker, layers })
}

/// ListLayerVersions: newest first.
pub(crate) fn list_versions(call: &Call<'_>) -> Answer {
    let request: ListLayerVersionsRequest = call.read()?;
    let filter = Filter::of(request.compatible_runtime, request.compatible_architecture);
    let page = Page::read(&call.query, Violations::default(), MAX_PAGE)?;
    let name = named(call)?;
    // The marker is the last number of the page before.
    let before = page.after.as_deref().map_or(u64::MAX, |after| after.parse().unwrap_or(0));
    let snapshot = call.api.store.snapshot();
    let layer = snapshot.layer(name.as_str());
    let all = layer.into_iter().flat_map(|layer| layer.versions.range(..before).rev());
    let fitting = all.map(|(_, version)| version).filter(|version| filter.fits(version));
    let (page, next_marker) =
        listing::take(fitting, page.size, |version| version.number.to_string());
    let items = page.into_iter().map(|version| listed(call, &name, version)).collect();
    let response = ListLayerVersionsResponse { next_marker, layer_versions: Some(items) };
    json(StatusCode::OK, &response)
}

/// DeleteLayerVersion. Who uses it keeps it; deleting what is not there is no error.
pub(crate) async fn delete(call: &Call<'_>) -> Answer {
    let request: DeleteLayerVersionRequest = call.read()?;
    let (name, number) = version(call, request.version_number)?;
    let deleted = call.api.store.delete_layer_version(&name, number).await;
    let deleted = deleted.map_err(|err| errors::refused(err, &call.api.home.layer_arn(&name)))?;
    if let Some(version) = deleted {
        activation::forget_package(call.api, version.code.digest);
    }
    empty(StatusCode::NO_CONTENT)
}

// === what requests name ===

/// The layer that the path names, of a request that was read.
///
/// # Errors
/// For a layer of somebody else's.
fn named(call: &Call<'_>) -> Result<LayerName, AwsError> {
    match LayerArn::parse(call.target) {
        Some(arn) => here(call, &arn),
        None => LayerName::parse(call.target).map_err(|_| none()),
    }
}

/// The layer that an ARN names.
///
/// # Errors
/// If it is said to be somebody else's, or elsewhere.
fn here(call: &Call<'_>, arn: &LayerArn<'_>) -> Result<LayerName, AwsError> {
    let home = &call.api.home;
    if arn.account != home.account.as_str() {
        return Err(not_permitted(call, call.operation.name(), arn.text));
    }
    if arn.region != home.region.as_str() {
        return Err(errors::not_found(format!(
            "Layers from '{}' are not reachable in this region ('{}')",
            arn.region, home.region
        )));
    }
    LayerName::parse(arn.name).map_err(|_| none())
}

/// The version that the path names, of a request that was read.
///
/// # Errors
/// As [`named`], and for a number that no version can have.
fn version(call: &Call<'_>, number: Option<i64>) -> Result<(LayerName, u64), AwsError> {
    let name = named(call)?;
    let number = number.and_then(|number| u64::try_from(number).ok()).filter(|it| *it > 0);
    Ok((name, number.ok_or_else(below_one)?))
}

fn found(call: &Call<'_>, name: &LayerName, number: u64) -> Answer {
    let snapshot = call.api.store.snapshot();
    let version = snapshot.layer(name.as_str()).and_then(|layer| layer.versions.get(&number));
    json(StatusCode::OK, &whole(call, name, version.ok_or_else(none)?))
}

fn none() -> AwsError {
    errors::not_found("The resource you requested does not exist.")
}

fn below_one() -> AwsError {
    errors::invalid("Layer Version Cannot be less than 1")
}

/// AWS's answer for a layer of another account, whose policy nobody here can have.
fn not_permitted(call: &Call<'_>, action: &str, arn: &str) -> AwsError {
    let message = format!(
        "User: arn:aws:iam::{}:root is not authorized to perform: lambda:{action} on resource: {arn} \
         because no resource-based policy allows the lambda:{action} action",
        call.api.home.account
    );
    AwsError::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
}

/// Which versions a list is to have.
#[derive(Debug)]
struct Filter {
    runtime: Option<String>,
    architecture: Option<Architecture>,
}

// === impl Filter ===

impl Filter {
    fn of(runtime: Option<String>, architecture: Option<String>) -> Self {
        let architecture = architecture.as_deref().and_then(Architecture::parse);
        Self { runtime, architecture }
    }

    fn fits(&self, version: &LayerVersion) -> bool {
        let about = &version.about;
        let runtime = self
            .runtime
            .as_ref()
            .is_none_or(|wanted| about.runtimes.as_ref().is_some_and(|list| list.contains(wanted)));
        let architecture = self.architecture.as_ref().is_none_or(|wanted| {
            about.architectures.as_ref().is_some_and(|list| list.contains(wanted))
        });
        runtime && architecture
    }
}

// === what is said about them ===

fn source(content: LayerVersionContentInput) -> CodeRequest {
    CodeRequest {
        zip_file: content.zip_file.map(|zip| Blob(zip.0)),
        s3_bucket: content.s3_bucket,
        s3_key: content.s3_key,
        ..CodeRequest::default()
    }
}

fn about(request: &mut PublishLayerVersionRequest) -> Result<AboutLayer, AwsError> {
    let description = Description::parse(request.description.as_deref().unwrap_or_default());
    let parse = |list: Vec<String>| list.iter().filter_map(|it| Architecture::parse(it)).collect();
    Ok(AboutLayer {
        // Whatever has been read parses; the message names the limit all the same.
        description: description.map_err(|err| errors::invalid(err.to_string()))?,
        runtimes: request.compatible_runtimes.take(),
        architectures: request.compatible_architectures.take().map(parse),
        license: request.license_info.take(),
    })
}

/// What PublishLayerVersion and GetLayerVersion say.
fn whole(call: &Call<'_>, name: &LayerName, version: &LayerVersion) -> GetLayerVersionResponse {
    let location = call.api.presigner.location(
        call.host().unwrap_or("localhost"),
        &call.api.home.account,
        name.as_str(),
        &version.code.digest,
        now_ms() / 1000,
    );
    let listed = listed(call, name, version);
    GetLayerVersionResponse {
        content: Some(LayerVersionContentOutput {
            location: Some(location),
            code_sha256: Some(archive::code::code_sha256(&version.code.digest)),
            code_size: Some(version.code.size.cast_signed()),
            ..LayerVersionContentOutput::default()
        }),
        layer_arn: Some(call.api.home.layer_arn(name)),
        layer_version_arn: listed.layer_version_arn,
        description: listed.description,
        created_date: listed.created_date,
        version: listed.version,
        compatible_architectures: listed.compatible_architectures,
        compatible_runtimes: listed.compatible_runtimes,
        license_info: listed.license_info,
    }
}

/// What lists say.
fn listed(call: &Call<'_>, name: &LayerName, version: &LayerVersion) -> LayerVersionsListItem {
    let about = &version.about;
    let names = |list: &Vec<Architecture>| list.iter().map(|it| it.as_str().to_owned()).collect();
    LayerVersionsListItem {
        layer_version_arn: Some(call.api.home.layer_version_arn(name, version.number)),
        version: Some(version.number.cast_signed()),
        description: Some(about.description.to_string()),
        created_date: Some(function_time(version.created_ms)),
        compatible_architectures: about.architectures.as_ref().map(names),
        compatible_runtimes: about.runtimes.clone(),
        license_info: about.license.clone(),
    }
}
