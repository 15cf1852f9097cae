//! Resource policies: AddPermission, GetPolicy, RemovePermission.
//!
//! A statement is kept as it was asked for; the policy document is written when it is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use httpd::AwsError;
use lambda::types::{
    AddPermissionRequest, AddPermissionResponse, GetPolicyRequest, GetPolicyResponse,
    RemovePermissionRequest,
};
use model::Qualifier;
use model::policy::Statement;
use serde::Serialize;
use store::{ChangeError, Function, PolicyScope, Refusal};

use crate::respond::{Answer, empty, json};
use crate::router::Call;
use crate::target::Local;
use crate::{errors, patterns};

/// A policy, as IAM writes them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyDocument<'a> {
    version: &'static str,
    id: &'static str,
    statement: Vec<StatementDocument<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatementDocument<'a> {
    sid: &'a str,
    effect: &'static str,
    principal: Principal<'a>,
    action: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Principal<'a> {
    Anybody(&'static str),
    Service {
        #[serde(rename = "Service")]
        service: &'a str,
    },
    Account {
        #[serde(rename = "AWS")]
        arn: String,
    },
}

/// AddPermission.
pub(crate) async fn add(call: &Call<'_>) -> Answer {
    let request: AddPermissionRequest = call.read()?;
    let local = call.meant()?;
    let arn = local.arn(&call.api.home);
    let (function, scope) = find(call, &local)?;
    let statement = statement(&request)?;
    if Principal::parse(&statement.principal).is_none() {
        return Err(errors::invalid(
            "The provided principal was invalid. Please check the principal and try again.",
        ));
    }
    let shown = statement_text(&statement, &arn)?;
    let resource = arn.clone();
    let measure = move |statements: &[Statement]| {
        document(statements, &resource).map_or(0, |text| text.len())
    };
    let added = call
        .api
        .store
        .add_statement(&function.name, scope, request.revision_id, statement, measure)
        .await;
    added.map_err(|err| match err {
        ChangeError::Refused(Refusal::StatementExists) => {
            statement_exists(&request.statement_id.unwrap_or_default())
        }
        err => errors::refused(err, &arn),
    })?;
    json(StatusCode::CREATED, &AddPermissionResponse { statement: Some(shown) })
}

/// GetPolicy.
pub(crate) fn get(call: &Call<'_>) -> Answer {
    call.read::<GetPolicyRequest>()?;
    let local = call.meant()?;
    let (function, scope) = find(call, &local)?;
    let policy = function
        .policies
        .get(&scope)
        .ok_or_else(|| errors::not_found("The resource you requested does not exist."))?;
    let text = policy_text(&policy.statements, &local.arn(&call.api.home))?;
    let response =
        GetPolicyResponse { policy: Some(text), revision_id: Some(policy.revision.to_string()) };
    json(StatusCode::OK, &response)
}

/// RemovePermission.
pub(crate) async fn remove(call: &Call<'_>) -> Answer {
    let request: RemovePermissionRequest = call.read()?;
    let local = call.meant()?;
    let arn = local.arn(&call.api.home);
    if call.api.store.snapshot().function(local.name).is_none() {
        return Err(errors::not_found(format!("No policy found for: {arn}")));
    }
    let (function, scope) = find(call, &local)?;
    if function.statements(&scope).is_empty() {
        return Err(errors::not_found("No policy is associated with the given resource."));
    }
    let removed = call
        .api
        .store
        .remove_statement(&function.name, scope, request.revision_id, call.statement.to_owned())
        .await;
    removed.map_err(|err| match err {
        ChangeError::Refused(Refusal::NoStatement) => no_statement(call.statement),
        err => errors::refused(err, &arn),
    })?;
    empty(StatusCode::NO_CONTENT)
}

/// The function and what of it the policy is about.
fn find(call: &Call<'_>, local: &Local<'_>) -> Result<(Arc<Function>, PolicyScope), AwsError> {
    let arn = local.arn(&call.api.home);
    let snapshot = call.api.store.snapshot();
    let function = snapshot
        .function(local.name)
        .cloned()
        .ok_or_else(|| errors::function_not_found(&local.unqualified_arn(&call.api.home)))?;
    let scope = match local.parsed_qualifier() {
        Ok(None) => PolicyScope::Function,
        Ok(Some(Qualifier::Latest)) => {
            return Err(errors::invalid(
                "We currently do not support adding policies for $LATEST.",
            ));
        }
        Ok(Some(Qualifier::Version(number))) if function.versions.contains_key(&number) => {
            PolicyScope::Version(number)
        }
        Ok(Some(Qualifier::Alias(alias))) if function.alias(&alias).is_some() => {
            PolicyScope::Alias(alias)
        }
        Ok(Some(Qualifier::Alias(_))) => {
            return Err(errors::not_found(format!("Cannot find alias arn: {arn}")));
        }
        Ok(Some(Qualifier::Version(_))) | Err(()) => return Err(errors::function_not_found(&arn)),
    };
    Ok((function, scope))
}

fn statement(request: &AddPermissionRequest) -> Result<Statement, AwsError> {
    let action = request.action.clone().unwrap_or_default();
    if request.function_url_auth_type.is_some() && action != "lambda:InvokeFunctionUrl" {
        return Err(errors::invalid(
            "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
        ));
    }
    Ok(Statement {
        id: request.statement_id.clone().unwrap_or_default(),
        action,
        principal: request.principal.clone().unwrap_or_default(),
        source_arn: request.source_arn.clone(),
        source_account: request.source_account.clone(),
        event_source_token: request.event_source_token.clone(),
        principal_org_id: request.principal_org_id.clone(),
        url_auth: request.function_url_auth_type.clone(),
        via_url: request.invoked_via_function_url,
    })
}

/// A statement as IAM writes it, about `resource`.
///
/// # Errors
/// If it cannot be written, which is our fault.
pub(crate) fn statement_text(statement: &Statement, resource: &str) -> Result<String, AwsError> {
    serde_json::to_string(&StatementDocument::of(statement, resource)).map_err(|err| {
        tracing::error!(%err, "a statement could not be written as JSON");
        errors::internal()
    })
}

/// A policy as IAM writes it, about `resource`.
///
/// # Errors
/// If it cannot be written, which is our fault.
pub(crate) fn policy_text(statements: &[Statement], resource: &str) -> Result<String, AwsError> {
    document(statements, resource).map_err(|err| {
        tracing::error!(%err, "a policy could not be written as JSON");
        errors::internal()
    })
}

/// A policy has a statement of that name.
pub(crate) fn statement_exists(id: &str) -> AwsError {
    errors::conflict(format!(
        "The statement id ({id}) provided already exists. Please provide a new statement id, or remove \
         the existing statement."
    ))
}

/// A policy has no statement of that name.
pub(crate) fn no_statement(id: &str) -> AwsError {
    errors::not_found(format!("Statement {id} is not found in resource policy."))
}

fn document(statements: &[Statement], resource: &str) -> Result<String, serde_json::Error> {
    serde_json::to_string(&PolicyDocument {
        version: "2012-10-17",
        id: "default",
        statement: statements
            .iter()
            .map(|statement| StatementDocument::of(statement, resource))
            .collect(),
    })
}

// === impl StatementDocument ===

impl<'a> StatementDocument<'a> {
    fn of(statement: &'a Statement, resource: &'a str) -> Self {
        let mut condition: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let conditions = [
            ("StringEquals", "AWS:SourceAccount", statement.source_account.clone()),
            ("StringEquals", "aws:PrincipalOrgID", statement.principal_org_id.clone()),
            ("StringEquals", "lambda:EventSourceToken", statement.event_source_token.clone()),
            ("StringEquals", "lambda:FunctionUrlAuthType", statement.url_auth.clone()),
            ("ArnLike", "AWS:SourceArn", statement.source_arn.clone()),
            ("Bool", "lambda:InvokedViaFunctionUrl", statement.via_url.map(|via| via.to_string())),
        ];
        for (operator, key, value) in conditions {
            if let Some(value) = value {
                condition.entry(operator).or_default().insert(key, value);
            }
        }
        Self {
            sid: &statement.id,
            effect: "Allow",
            principal: Principal::parse(&statement.principal)
                .unwrap_or(Principal::Service { service: &statement.principal }),
            action: &statement.action,
            resource,
            condition,
        }
    }
}

// === impl Principal ===

impl<'a> Principal<'a> {
    /// Reads `*`, an account, an identity's ARN, or a service.
    fn parse(text: &'a str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Anybody("*"));
        }
        if crate::target::is_account(text) {
            return Some(Self::Account { arn: format!("arn:aws:iam::{text}:root") });
        }
        if text.starts_with("arn:") {
            let identity = (patterns::ARN.matches)(text)
                && (text.contains(":iam::") || text.contains(":sts::"));
            return identity.then(|| Self::Account { arn: text.to_owned() });
        }
        let named = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
        let of_aws = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"]
            .iter()
            .any(|ending| text.len() > ending.len() && text.ends_with(ending));
        (named && of_aws).then_some(Self::Service { service: text })
    }
}
