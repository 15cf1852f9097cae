//! Layers of functions: which a request names, and whether they fit.

use std::sync::Arc;

use httpd::AwsError;
use model::{AttachedLayer, AttachedLayers, Digest, LayerName};

use super::arn::{LAYER_VERSION, LayerArn};
use crate::router::Call;
use crate::server::Api;
use crate::validate::{Text, Violations};
use crate::{code, errors};

/// Collects what is wrong with the shape of a list of layers.
pub(crate) fn check(violations: &mut Violations, given: Option<&[String]>) {
    let must = Text { least: 1, most: 2048, pattern: Some(LAYER_VERSION) };
    violations.each_text("layers", given, must);
}

/// The layers that a request names; `None` if it names none, `Some(None)` for an empty list.
///
/// # Errors
/// In AWS's words, for the first that cannot be.
pub(crate) fn find(
    call: &Call<'_>,
    given: Option<&[String]>,
) -> Result<Option<Option<Arc<AttachedLayers>>>, AwsError> {
    let Some(given) = given else { return Ok(None) };
    if given.len() > AttachedLayers::MAX {
        return Err(errors::invalid(format!(
            "Cannot reference more than {} layers.",
            AttachedLayers::MAX
        )));
    }
    let home = &call.api.home;
    let mut list: Vec<AttachedLayer> = Vec::with_capacity(given.len());
    for text in given {
        let layer = find_one(call, text)?;
        if let Some(other) = list.iter().find(|other| other.name == layer.name) {
            return Err(errors::invalid(format!(
                "Two different versions of the same layer are not allowed to be referenced in the \
                 same function. {} and {} are versions of the same layer.",
                home.layer_version_arn(&other.name, other.version),
                home.layer_version_arn(&layer.name, layer.version),
            )));
        }
        list.push(layer);
    }
    let archives: Vec<Digest> = list.iter().map(|layer| layer.archive).collect();
    let tree = archive::merged_digest(&archives);
    Ok(Some(tree.and_then(|tree| AttachedLayers::of(list, tree)).map(Arc::new)))
}

fn find_one(call: &Call<'_>, text: &str) -> Result<AttachedLayer, AwsError> {
    let home = &call.api.home;
    let none = || errors::invalid(format!("Layer version {text} does not exist."));
    // One of AWS's own, which the pattern allows, has neither region nor account.
    let arn = LayerArn::parse(text).ok_or_else(none)?;
    if arn.account != home.account.as_str() {
        return Err(super::not_permitted(call, "GetLayerVersion", text));
    }
    if arn.region != home.region.as_str() {
        return Err(errors::invalid(format!(
            "Layers are not in the same region as the function. Layers are expected to be in region \
             {}.",
            home.region
        )));
    }
    let name = LayerName::parse(arn.name).map_err(|_| none())?;
    let number: u64 = arn.version.unwrap_or_default().parse().map_err(|_| none())?;
    let snapshot = call.api.store.snapshot();
    let layer = snapshot.layer(name.as_str()).and_then(|layer| layer.attached(number));
    layer.ok_or_else(none)
}

/// Whether code and layers together are small enough. Looks at the disk if there are any layers.
///
/// # Errors
/// If they are not, or the code cannot be weighed.
pub(crate) async fn check_size(
    api: &Arc<Api>,
    package: Digest,
    layers: Option<&AttachedLayers>,
) -> Result<(), AwsError> {
    let Some(layers) = layers else { return Ok(()) };
    let store = Arc::clone(&api.code);
    let own = code::on_disk(move || store.unzipped(&package)).await?;
    let (actual, limit) = (own + layers.unzipped(), AttachedLayers::MAX_UNZIPPED);
    if actual > limit {
        return Err(errors::invalid(format!(
            "Function code combined with layers exceeds the maximum allowed size of {limit} bytes. \
             The actual size is {actual} bytes."
        )));
    }
    Ok(())
}
