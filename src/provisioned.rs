//! What a function has provisioned, for the verbs that show it.

use anyhow::Result;
use http::Method;
use serde_json::Value;

use crate::client::Client;
use crate::output;
use crate::verbs::{encode, text};

/// Every configuration of a function, as ListProvisionedConcurrencyConfigs gives them.
///
/// # Errors
/// What the daemon refuses.
pub async fn list(client: &Client, name: &str) -> Result<Vec<Value>> {
    let plain = format!("/2019-09-30/functions/{}/provisioned-concurrency?List=ALL", encode(name));
    let mut all = Vec::new();
    let mut path = plain.clone();
    loop {
        let page = client.json(Method::GET, &path, None).await?;
        all.extend(page["ProvisionedConcurrencyConfigs"].as_array().cloned().unwrap_or_default());
        match page["NextMarker"].as_str() {
            Some(next) if !next.is_empty() => path = format!("{plain}&Marker={}", encode(next)),
            _ => return Ok(all),
        }
    }
}

/// One configuration as a row of a table: `ProvisionedConcurrency.3` and `READY, 5 of 5`.
pub fn row(config: &Value) -> Vec<String> {
    let arn = config["FunctionArn"].as_str().unwrap_or_default();
    let qualifier = arn.rsplit(':').next().unwrap_or_default();
    let mut said = format!(
        "{}, {} of {}",
        text(&config["Status"]),
        config["AvailableProvisionedConcurrentExecutions"],
        config["RequestedProvisionedConcurrentExecutions"]
    );
    if let Some(reason) = config["StatusReason"].as_str() {
        said.push_str(&format!(" ({reason})"));
    }
    vec![format!("ProvisionedConcurrency.{qualifier}"), said]
}

/// Says, after a deployment, that what is provisioned is still what was published before.
///
/// # Errors
/// What the daemon refuses.
pub async fn remind(client: &Client, name: &str) -> Result<()> {
    let all = list(client, name).await?;
    let qualifiers: Vec<String> = all
        .iter()
        .filter_map(|config| config["FunctionArn"].as_str()?.rsplit(':').next())
        .map(|qualifier| format!("{name}:{qualifier}"))
        .collect();
    if !qualifiers.is_empty() {
        output::say(&format!(
            "note: {} has provisioned concurrency and goes on serving what was published as it; \
             what was deployed is $LATEST",
            qualifiers.join(", ")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_how_far_it_is_and_why_not_further() {
        let mut config = json!({
            "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:echo:3",
            "AvailableProvisionedConcurrentExecutions": 1,
            "RequestedProvisionedConcurrentExecutions": 5,
            "Status": "IN_PROGRESS",
        });
        assert_eq!(row(&config), ["ProvisionedConcurrency.3", "IN_PROGRESS, 1 of 5"]);
        config["Status"] = "FAILED".into();
        config["StatusReason"] = "FUNCTION_ERROR_INIT_FAILURE".into();
        assert_eq!(row(&config)[1], "FAILED, 1 of 5 (FUNCTION_ERROR_INIT_FAILURE)");
    }
}
