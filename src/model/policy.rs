//! Resource policies: who else may do what with a function.
//!
//! A statement is kept as AddPermission gave it; the JSON document that GetPolicy returns is built
//! from it at the edge.

/// One statement of a function's resource policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// StatementId, unique within the policy.
    pub id: String,
    /// Action, such as `lambda:InvokeFunction`, or `lambda:*`.
    pub action: String,
    /// Principal: `*`, a service, an account or an ARN.
    pub principal: String,
    /// SourceArn, if any.
    pub source_arn: Option<String>,
    /// SourceAccount, if any.
    pub source_account: Option<String>,
    /// EventSourceToken, if any.
    pub event_source_token: Option<String>,
    /// PrincipalOrgID, if any.
    pub principal_org_id: Option<String>,
    /// FunctionUrlAuthType condition, `NONE` or `AWS_IAM`, if any.
    pub url_auth: Option<String>,
    /// InvokedViaFunctionUrl condition, if any.
    pub via_url: Option<bool>,
}

// === impl Statement ===

impl Statement {
    /// Whether this statement lets anybody call the function's URL without a signature.
    ///
    /// AWS asks for principal `*`, action `lambda:InvokeFunctionUrl` (or a wildcard over it) and, if
    /// the condition is there, FunctionUrlAuthType `NONE`.
    pub fn admits_public_url_calls(&self) -> bool {
        self.principal == "*"
            && matches!(self.action.as_str(), "lambda:InvokeFunctionUrl" | "lambda:*" | "*")
            && self.url_auth.as_deref().is_none_or(|auth| auth == "NONE")
            && self.source_arn.is_none()
            && self.source_account.is_none()
            && self.principal_org_id.is_none()
            && self.event_source_token.is_none()
    }
}
