//! Deployment packages coming in: UpdateFunctionCode, and the `Code` of CreateFunction.

use std::sync::Arc;

use archive::Stored;
use archive::code::CodeError;
use archive::unpack::Answer as Told;
use http::StatusCode;
use httpd::AwsError;
use store::{Code, ConfigurationChange, Update};

use crate::layers::attach;
use crate::requests::{self, CodeRequest};
use crate::respond::{Answer, json};
use crate::router::Call;
use crate::server::{Api, now_ms};
use crate::shapes::{FunctionConfiguration, Shown};
use crate::{activation, code_signing, configuration, errors, payload};

/// UpdateFunctionCode.
pub(crate) async fn update(call: &Call<'_>) -> Answer {
    let body = call.body.clone();
    let mut request: CodeRequest =
        payload::heavy(body.len(), move || requests::parse(&body)).await??;
    let mut violations = call.violations();
    configuration::check_architectures(&mut violations, request.architectures.as_deref());
    let local = call.unqualified(violations)?;
    let arn = local.arn(&call.api.home);
    let before = call.function(&local)?;
    if request.image_uri.is_some() {
        return Err(errors::invalid(
            "Please don't provide ImageUri when updating a function with packageType Zip.",
        ));
    }
    if request.publish_to.is_some() {
        return Err(errors::unavailable("PublishTo is", "Leave it out."));
    }
    configuration::check_machine(request.architectures.as_deref())?;
    let mut update = Update {
        revision: request.revision_id.take(),
        code: None,
        configuration: ConfigurationChange::default(),
        publish: request.publish.unwrap_or(false),
        at_ms: now_ms(),
    };
    // What would be refused whatever the package is, is refused before the package is unpacked.
    call.api
        .store
        .preview_update(before.name.as_str(), &update)
        .map_err(|refusal| errors::refused(refusal.into(), &arn))?;
    code_signing::admit_code(call.api, before.name.as_str())?;
    let stored = take_in(call.api, request.take_code()).await?;
    update.code = Some(Code { digest: stored.digest, size: stored.size });
    let layers = before.latest.configuration.layers.as_deref();
    let small_enough = attach::check_size(call.api, stored.digest, layers).await;
    small_enough.inspect_err(|_| activation::forget_package(call.api, stored.digest))?;

    let publish = update.publish;
    let function = if request.dry_run.unwrap_or(false) {
        let preview = call
            .api
            .store
            .preview_update(before.name.as_str(), &update)
            .map_err(|refusal| errors::refused(refusal.into(), &arn))?;
        activation::forget_package(call.api, stored.digest);
        Arc::new(preview)
    } else {
        let updated = call.api.store.update_function(&before.name, update).await;
        let function = updated.map_err(|err| {
            activation::forget_package(call.api, stored.digest);
            errors::refused(err, &arn)
        })?;
        activation::begin(call.api, &function);
        function
    };
    drop(stored);
    let published = function.versions.last_key_value().map(|(_, version)| version);
    let (version, shown) = match published.filter(|_| publish) {
        Some(version) => (version, Shown::Qualified),
        None => (&function.latest, Shown::Full),
    };
    let runtime = call.api.runtime_version_arn(version.configuration.runtime.as_str());
    let shape = FunctionConfiguration::of(&call.api.home, &function, version, shown, runtime);
    json(StatusCode::OK, &shape)
}

/// Keeps a package; it stays as long as what is returned is held, and after that if a function
/// refers to it.
///
/// # Errors
/// For a source that is not there, and in AWS's words for a package that cannot be unpacked.
pub(crate) async fn take_in(api: &Arc<Api>, request: CodeRequest) -> Result<Stored, AwsError> {
    if request.s3_bucket.is_some() || request.s3_key.is_some() {
        return Err(errors::unavailable(
            "S3 is",
            "Send the deployment package itself as ZipFile, at most 50 MB.",
        ));
    }
    if request.source_kms_key_arn.as_deref().is_some_and(|arn| !arn.is_empty()) {
        return Err(errors::unavailable("Customer-managed keys are", "Leave SourceKMSKeyArn out."));
    }
    let Some(zip) = request.zip_file else {
        return Err(errors::invalid("Please provide a source for function code."));
    };
    if zip.0.is_empty() {
        return Err(errors::invalid("Uploaded file must be a non-empty zip"));
    }
    let code = Arc::clone(&api.code);
    // Unpacking writes and synchronises files, whatever its size.
    on_disk(move || code.put(&zip.0)).await
}

/// Works on the store of packages, which waits for the disk.
///
/// # Errors
/// In AWS's words for a package that cannot be unpacked; ours if it does not work.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CodeError> + Send + 'static,
) -> Result<T, AwsError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|err| {
        tracing::error!(%err, "working on a package did not finish");
        errors::internal()
    })?;
    done.map_err(|err| match &err {
        CodeError::Unpack(refused) => match refused.answer() {
            Told::TooLarge(message) => errors::too_large(message),
            Told::Invalid(message) => errors::invalid(message),
            Told::Internal => not_kept(&err),
        },
        CodeError::Merge(_) | CodeError::Disk { .. } => not_kept(&err),
    })
}

fn not_kept(err: &CodeError) -> AwsError {
    let cause = std::error::Error::source(err).map(ToString::to_string);
    tracing::error!(%err, cause, "a package could not be kept");
    if errors::is_shortage(err) { errors::short() } else { errors::internal() }
}

// === impl CodeRequest ===

impl CodeRequest {
    /// The part that says where the code is.
    fn take_code(&mut self) -> Self {
        Self {
            zip_file: self.zip_file.take(),
            s3_bucket: self.s3_bucket.take(),
            s3_key: self.s3_key.take(),
            source_kms_key_arn: self.source_kms_key_arn.take(),
            ..Self::default()
        }
    }
}
