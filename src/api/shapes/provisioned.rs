//! Shapes of provisioned concurrency.

use serde::Serialize;
use store::Provisioned;

use super::timestamp;

/// `PutProvisionedConcurrencyConfigResponse` and `GetProvisionedConcurrencyConfigResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Configured {
    requested_provisioned_concurrent_executions: u32,
    available_provisioned_concurrent_executions: u32,
    allocated_provisioned_concurrent_executions: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<&'static str>,
    last_modified: String,
}

/// `ProvisionedConcurrencyConfigListItem`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProvisionedConfig {
    pub(crate) function_arn: String,
    #[serde(flatten)]
    pub(crate) configured: Configured,
}

/// `ListProvisionedConcurrencyConfigsResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListProvisioned {
    pub(crate) provisioned_concurrency_configs: Vec<ProvisionedConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_marker: Option<String>,
}

// === impl Configured ===

impl Configured {
    /// What is configured, of which so many are up; `shortfall` is why there are not more.
    pub(crate) fn new(provisioned: &Provisioned, up: u32, shortfall: Option<&'static str>) -> Self {
        let (status, status_reason) = match shortfall {
            _ if up >= provisioned.wanted => ("READY", None),
            None => ("IN_PROGRESS", None),
            Some(why) => ("FAILED", Some(why)),
        };
        Self {
            requested_provisioned_concurrent_executions: provisioned.wanted,
            available_provisioned_concurrent_executions: up,
            allocated_provisioned_concurrent_executions: up,
            status,
            status_reason,
            // `2019-11-21T19:32:12+0000`, as only this group of operations has it.
            last_modified: timestamp(provisioned.modified_ms)
                .strftime("%Y-%m-%dT%H:%M:%S+0000")
                .to_string(),
        }
    }
}
