//! Which operation a method and a path mean.
//!
//! The paths are those of AWS's model, each with the date it was given; a slash at the end is
//! accepted where older models had one. What is not here is not an operation, or not one that Hearth
//! has.

use std::borrow::Cow;

use http::Method;
use httpd::Segments;

use crate::patterns::{self, Pattern};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    AddPermission,
    CreateFunction,
    CreateFunctionUrlConfig,
    DeleteFunction,
    DeleteFunctionConcurrency,
    DeleteFunctionUrlConfig,
    DeleteProvisionedConcurrencyConfig,
    GetAccountSettings,
    GetFunction,
    GetFunctionCodeSigningConfig,
    GetFunctionConcurrency,
    GetFunctionConfiguration,
    GetFunctionUrlConfig,
    GetPolicy,
    GetProvisionedConcurrencyConfig,
    Invoke,
    ListFunctionUrlConfigs,
    ListFunctions,
    ListProvisionedConcurrencyConfigs,
    ListTags,
    ListVersionsByFunction,
    PublishVersion,
    PutFunctionConcurrency,
    PutProvisionedConcurrencyConfig,
    RemovePermission,
    TagResource,
    UntagResource,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionUrlConfig,
    /// `POST /` with `X-Amz-Target`: CloudWatch Logs.
    Logs,
    /// Prometheus' metrics.
    Metrics,
    /// None of them.
    Unknown,
}

/// An operation, and what its path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    /// Which.
    pub(crate) operation: Operation,
    /// The function, or the resource with tags; empty where a path names none.
    pub(crate) target: Cow<'a, str>,
    /// The statement of RemovePermission.
    pub(crate) statement: Cow<'a, str>,
}

/// What operations that carry a package read at most; AWS's number, which is 50 MB in base64 with
/// some room.
const WITH_PACKAGE: usize = 70_167_211 - 1;
/// What all others read at most: several times the largest configuration there can be.
const WITHOUT_PACKAGE: usize = 1024 * 1024;

// === impl Operation ===

impl Operation {
    /// AWS's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AddPermission => "AddPermission",
            Self::CreateFunction => "CreateFunction",
            Self::CreateFunctionUrlConfig => "CreateFunctionUrlConfig",
            Self::DeleteFunction => "DeleteFunction",
            Self::DeleteFunctionConcurrency => "DeleteFunctionConcurrency",
            Self::DeleteFunctionUrlConfig => "DeleteFunctionUrlConfig",
            Self::DeleteProvisionedConcurrencyConfig => "DeleteProvisionedConcurrencyConfig",
            Self::GetAccountSettings => "GetAccountSettings",
            Self::GetFunction => "GetFunction",
            Self::GetFunctionCodeSigningConfig => "GetFunctionCodeSigningConfig",
            Self::GetFunctionConcurrency => "GetFunctionConcurrency",
            Self::GetFunctionConfiguration => "GetFunctionConfiguration",
            Self::GetFunctionUrlConfig => "GetFunctionUrlConfig",
            Self::GetPolicy => "GetPolicy",
            Self::GetProvisionedConcurrencyConfig => "GetProvisionedConcurrencyConfig",
            Self::Invoke => "InvokeFunction",
            Self::ListFunctionUrlConfigs => "ListFunctionUrlConfigs",
            Self::ListFunctions => "ListFunctions",
            Self::ListProvisionedConcurrencyConfigs => "ListProvisionedConcurrencyConfigs",
            Self::ListTags => "ListTags",
            Self::ListVersionsByFunction => "ListVersionsByFunction",
            Self::PublishVersion => "PublishVersion",
            Self::PutFunctionConcurrency => "PutFunctionConcurrency",
            Self::PutProvisionedConcurrencyConfig => "PutProvisionedConcurrencyConfig",
            Self::RemovePermission => "RemovePermission",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::UpdateFunctionCode => "UpdateFunctionCode",
            Self::UpdateFunctionConfiguration => "UpdateFunctionConfiguration",
            Self::UpdateFunctionUrlConfig => "UpdateFunctionUrlConfig",
            Self::Logs => "Logs",
            Self::Metrics => "Metrics",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether its function name is a `NamespacedFunctionName`: longer, and with dots.
    pub(crate) fn is_namespaced(self) -> bool {
        matches!(
            self,
            Self::AddPermission
                | Self::DeleteFunction
                | Self::GetFunction
                | Self::GetFunctionCodeSigningConfig
                | Self::GetFunctionConfiguration
                | Self::GetPolicy
                | Self::Invoke
                | Self::ListVersionsByFunction
                | Self::RemovePermission
        )
    }

    /// What its `Qualifier` may be; `None` where it takes none.
    pub(crate) fn qualifier(self) -> Option<Pattern> {
        match self {
            Self::AddPermission
            | Self::DeleteFunction
            | Self::GetFunction
            | Self::GetFunctionConfiguration
            | Self::GetPolicy
            | Self::Invoke
            | Self::RemovePermission
            | Self::DeleteProvisionedConcurrencyConfig
            | Self::GetProvisionedConcurrencyConfig
            | Self::PutProvisionedConcurrencyConfig => Some(patterns::QUALIFIER),
            Self::CreateFunctionUrlConfig
            | Self::DeleteFunctionUrlConfig
            | Self::GetFunctionUrlConfig
            | Self::UpdateFunctionUrlConfig => Some(patterns::URL_QUALIFIER),
            _ => None,
        }
    }

    /// Bytes of body it reads at most.
    pub(crate) fn body_limit(self) -> usize {
        match self {
            Self::Invoke => crate::payload::MAX,
            Self::CreateFunction | Self::UpdateFunctionCode => WITH_PACKAGE,
            _ => WITHOUT_PACKAGE,
        }
    }
}

// === impl Route ===

impl<'a> Route<'a> {
    /// Reads a method, a raw path, and what stands behind its `?`, which tells two operations apart.
    pub(crate) fn parse(method: &Method, path: &'a str, query: Option<&str>) -> Self {
        // What every invocation begins with, without a list of segments.
        if let Some(name) = path
            .strip_prefix("/2015-03-31/functions/")
            .and_then(|rest| rest.strip_suffix("/invocations"))
            && method == Method::POST
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':'))
        {
            return Self::of(Operation::Invoke, Cow::Borrowed(name));
        }
        let Ok(segments) = Segments::parse(path) else {
            return Self::of(Operation::Unknown, Cow::Borrowed(""));
        };
        let segments = match segments.as_slice() {
            // `/functions/` of older models.
            [rest @ .., last] if last.is_empty() => rest,
            all => all,
        };
        Self::find(method, segments, query)
    }

    fn find(method: &Method, segments: &[Cow<'a, str>], query: Option<&str>) -> Self {
        use Operation as O;
        let text: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let (get, put) = (method == Method::GET, method == Method::PUT);
        let (post, delete) = (method == Method::POST, method == Method::DELETE);
        let operation = match text[..] {
            [] if post => O::Logs,
            ["metrics"] if get => O::Metrics,
            ["2015-03-31", "functions"] if get => O::ListFunctions,
            ["2015-03-31", "functions"] if post => O::CreateFunction,
            ["2015-03-31", "functions", _] if get => O::GetFunction,
            ["2015-03-31", "functions", _] if delete => O::DeleteFunction,
            ["2015-03-31", "functions", _, "configuration"] if get => O::GetFunctionConfiguration,
            ["2015-03-31", "functions", _, "configuration"] if put => {
                O::UpdateFunctionConfiguration
            }
            ["2015-03-31", "functions", _, "code"] if put => O::UpdateFunctionCode,
            ["2015-03-31", "functions", _, "versions"] if get => O::ListVersionsByFunction,
            ["2015-03-31", "functions", _, "versions"] if post => O::PublishVersion,
            ["2015-03-31", "functions", _, "invocations"] if post => O::Invoke,
            ["2015-03-31", "functions", _, "policy"] if get => O::GetPolicy,
            ["2015-03-31", "functions", _, "policy"] if post => O::AddPermission,
            ["2015-03-31", "functions", _, "policy", _] if delete => O::RemovePermission,
            ["2016-08-19", "account-settings"] if get => O::GetAccountSettings,
            ["2017-03-31", "tags", _] if get => O::ListTags,
            ["2017-03-31", "tags", _] if post => O::TagResource,
            ["2017-03-31", "tags", _] if delete => O::UntagResource,
            ["2017-10-31", "functions", _, "concurrency"] if put => O::PutFunctionConcurrency,
            ["2017-10-31", "functions", _, "concurrency"] if delete => O::DeleteFunctionConcurrency,
            ["2019-09-30", "functions", _, "concurrency"] if get => O::GetFunctionConcurrency,
            ["2019-09-30", "functions", _, "provisioned-concurrency"] if put => {
                O::PutProvisionedConcurrencyConfig
            }
            ["2019-09-30", "functions", _, "provisioned-concurrency"] if delete => {
                O::DeleteProvisionedConcurrencyConfig
            }
            ["2019-09-30", "functions", _, "provisioned-concurrency"] if get => {
                let all = query.is_some_and(|query| query.split('&').any(|one| one == "List=ALL"));
                match all {
                    true => O::ListProvisionedConcurrencyConfigs,
                    false => O::GetProvisionedConcurrencyConfig,
                }
            }
            ["2020-06-30", "functions", _, "code-signing-config"] if get => {
                O::GetFunctionCodeSigningConfig
            }
            ["2021-10-31", "functions", _, "url"] if get => O::GetFunctionUrlConfig,
            ["2021-10-31", "functions", _, "url"] if post => O::CreateFunctionUrlConfig,
            ["2021-10-31", "functions", _, "url"] if put => O::UpdateFunctionUrlConfig,
            ["2021-10-31", "functions", _, "url"] if delete => O::DeleteFunctionUrlConfig,
            ["2021-10-31", "functions", _, "urls"] if get => O::ListFunctionUrlConfigs,
            _ => O::Unknown,
        };
        let named = |index: usize| segments.get(index).cloned().unwrap_or_default();
        Self { operation, target: named(2), statement: named(4) }
    }

    fn of(operation: Operation, target: Cow<'a, str>) -> Self {
        Self { operation, target, statement: Cow::Borrowed("") }
    }
}
