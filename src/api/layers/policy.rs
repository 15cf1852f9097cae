//! Who else may use a layer: AddLayerVersionPermission, GetLayerVersionPolicy,
//! RemoveLayerVersionPermission.
//!
//! A policy belongs to one version. There is one account here, so that a statement is kept and shown,
//! and lets nobody in who would not be.

use http::StatusCode;
use httpd::AwsError;
use lambda::types::{
    AddLayerVersionPermissionRequest, AddLayerVersionPermissionResponse,
    GetLayerVersionPolicyRequest, GetLayerVersionPolicyResponse,
    RemoveLayerVersionPermissionRequest,
};
use model::policy::Statement;
use store::{ChangeError, Refusal};

use super::version;
use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::{errors, permissions};

/// AddLayerVersionPermission.
pub(crate) async fn add(call: &Call<'_>) -> Answer {
    let request: AddLayerVersionPermissionRequest = call.read()?;
    let (name, number) = version(call, request.version_number)?;
    let arn = call.api.home.layer_version_arn(&name, number);
    let statement = Statement {
        id: request.statement_id.unwrap_or_default(),
        action: request.action.unwrap_or_default(),
        principal: request.principal.unwrap_or_default(),
        source_arn: None,
        source_account: None,
        event_source_token: None,
        principal_org_id: request.organization_id,
        url_auth: None,
        via_url: None,
    };
    let (id, shown) = (statement.id.clone(), permissions::statement_text(&statement, &arn)?);
    let resource = arn.clone();
    let measure = move |statements: &[Statement]| {
        permissions::policy_text(statements, &resource).map_or(0, |text| text.len())
    };
    let (store, seen) = (&call.api.store, request.revision_id);
    let added = store.add_layer_statement(&name, number, seen, statement, measure).await;
    let revision = added.map_err(|err| refused(err, &arn, &id))?;
    let response = AddLayerVersionPermissionResponse {
        statement: Some(shown),
        revision_id: Some(revision.to_string()),
    };
    json(StatusCode::CREATED, &response)
}

/// GetLayerVersionPolicy.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    let request: GetLayerVersionPolicyRequest = call.read()?;
    let (name, number) = version(call, request.version_number)?;
    let arn = call.api.home.layer_version_arn(&name, number);
    let snapshot = call.api.store.snapshot();
    let version = snapshot.layer(name.as_str()).and_then(|layer| layer.versions.get(&number));
    let policy = version.ok_or_else(|| no_version(&arn))?.policy.as_ref();
    let policy = policy
        .ok_or_else(|| errors::not_found("No policy is associated with the given resource."))?;
    let response = GetLayerVersionPolicyResponse {
        policy: Some(permissions::policy_text(&policy.statements, &arn)?),
        revision_id: Some(policy.revision.to_string()),
    };
    json(StatusCode::OK, &response)
}

/// RemoveLayerVersionPermission.
pub(crate) async fn remove(call: &Call<'_>) -> Answer {
    let request: RemoveLayerVersionPermissionRequest = call.read()?;
    let (name, number) = version(call, request.version_number)?;
    let arn = call.api.home.layer_version_arn(&name, number);
    let (seen, id) = (request.revision_id, call.statement.to_owned());
    let removed = call.api.store.remove_layer_statement(&name, number, seen, id).await;
    removed.map_err(|err| refused(err, &arn, call.statement))?;
    empty(StatusCode::NO_CONTENT)
}

fn no_version(arn: &str) -> AwsError {
    errors::not_found(format!("Layer version {arn} does not exist."))
}

/// What stood against a change of a policy, in the words that are used of layers.
fn refused(err: ChangeError, arn: &str, statement: &str) -> AwsError {
    match err {
        ChangeError::Refused(Refusal::NoLayerVersion) => no_version(arn),
        ChangeError::Refused(Refusal::PolicyRevision) => errors::stale("GetLayerPolicy"),
        ChangeError::Refused(Refusal::StatementExists) => permissions::statement_exists(statement),
        ChangeError::Refused(Refusal::NoStatement) => permissions::no_statement(statement),
        err => errors::refused(err, arn),
    }
}
