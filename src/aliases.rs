//! The aliases of a function, for the verb that shows it.

use anyhow::Result;
use http::Method;
use serde_json::Value;

use crate::client::Client;
use crate::verbs::{FUNCTIONS, encode, text};

/// Every alias of a function, as ListAliases gives them.
///
/// # Errors
/// What the daemon refuses.
pub async fn list(client: &Client, name: &str) -> Result<Vec<Value>> {
    let plain = format!("{FUNCTIONS}/{}/aliases", encode(name));
    let mut all = Vec::new();
    let mut path = plain.clone();
    loop {
        let page = client.json(Method::GET, &path, None).await?;
        all.extend(page["Aliases"].as_array().cloned().unwrap_or_default());
        match page["NextMarker"].as_str() {
            Some(next) if !next.is_empty() => path = format!("{plain}?Marker={}", encode(next)),
            _ => return Ok(all),
        }
    }
}

/// One alias as a row of a table: `Alias.live` and `3`, or `3, and 4 for 25 % of the calls`.
pub fn row(alias: &Value) -> Vec<String> {
    let mut said = text(&alias["FunctionVersion"]);
    let weights = alias["RoutingConfig"]["AdditionalVersionWeights"].as_object();
    for (version, weight) in weights.into_iter().flatten() {
        let percent = weight.as_f64().unwrap_or_default() * 100.0;
        // As many places as it takes, and none that only a binary fraction has.
        let percent = (percent * 1e6).round() / 1e6;
        said.push_str(&format!(", and {version} for {percent} % of the calls"));
    }
    vec![format!("Alias.{}", text(&alias["Name"])), said]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_where_calls_go() {
        let mut alias = json!({ "Name": "live", "FunctionVersion": "3" });
        assert_eq!(row(&alias), ["Alias.live", "3"]);
        let mut divided = |weight: f64| {
            alias["RoutingConfig"] = json!({ "AdditionalVersionWeights": { "4": weight } });
            row(&alias).remove(1)
        };
        assert_eq!(divided(0.25), "3, and 4 for 25 % of the calls");
        assert_eq!(divided(0.07), "3, and 4 for 7 % of the calls");
        assert_eq!(divided(0.005), "3, and 4 for 0.5 % of the calls");
    }
}
