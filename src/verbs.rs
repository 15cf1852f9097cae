//! The short verbs: invoke, list, describe, delete, url, logs.
//!
//! Standard output carries the result and nothing else; what is said to the person goes to standard
//! error, so that every verb can stand in a pipe.

use std::io::{Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::args::{Format, Invoke, Logs, Named};
use crate::client::Client;
use crate::deploy;
use crate::exit::Exit;
use crate::{aliases, output, provisioned, starts};

/// Where functions are found.
pub const FUNCTIONS: &str = "/2015-03-31/functions";
/// Longer than the daemon takes to write the lines of a call that has been answered.
const A_MOMENT: Duration = Duration::from_millis(300);

/// Calls a function; its answer goes to standard output as it is.
///
/// # Errors
/// What the daemon refuses. A function's own error is not one: it is [`Exit::FunctionFailed`].
pub async fn invoke(client: &Client, args: &Invoke) -> Result<Exit> {
    let payload = match args.data.as_str() {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
            bytes
        }
        data => match data.strip_prefix('@') {
            Some(file) => std::fs::read(file).with_context(|| format!("{file} cannot be read"))?,
            None => data.as_bytes().to_vec(),
        },
    };
    if let Err(err) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload)
        && !payload.is_empty()
    {
        bail!("the event is not JSON: {err}");
    }
    let (name, qualifier) = split(&args.name);
    let mut path = format!("{FUNCTIONS}/{}/invocations", encode(&name));
    if let Some(qualifier) = qualifier {
        path.push_str(&format!("?Qualifier={}", encode(&qualifier)));
    }
    let kind = if args.asynchronous { "Event" } else { "RequestResponse" };
    let mut headers = vec![("x-amz-invocation-type", kind)];
    if args.log {
        headers.push(("x-amz-log-type", "Tail"));
    }
    let answer = client
        .send("lambda", Method::POST, &path, &headers, Bytes::from(payload))
        .await?
        .accepted()?;
    if let Some(tail) = answer.header("x-amz-log-result") {
        let tail = STANDARD.decode(tail).context("the log tail is not base64")?;
        std::io::stderr().write_all(&tail)?;
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&answer.body)?;
    if !answer.body.is_empty() && !answer.body.ends_with(b"\n") {
        stdout.write_all(b"\n")?;
    }
    if args.asynchronous {
        output::say(&format!(
            "accepted; its request id is {}",
            answer.header("x-amzn-requestid").unwrap_or("not known")
        ));
    }
    match answer.header("x-amz-function-error") {
        Some(_) => Ok(Exit::FunctionFailed),
        None => Ok(Exit::Done),
    }
}

/// Lists all functions, page by page.
///
/// # Errors
/// What the daemon refuses.
pub async fn list(client: &Client, format: Format) -> Result<Exit> {
    let mut all = Vec::new();
    let mut marker = None::<String>;
    loop {
        let path = match &marker {
            Some(marker) => format!("{FUNCTIONS}?Marker={}", encode(marker)),
            None => FUNCTIONS.to_owned(),
        };
        let page = client.json(Method::GET, &path, None).await?;
        all.extend(page["Functions"].as_array().cloned().unwrap_or_default());
        match page["NextMarker"].as_str() {
            Some(next) if !next.is_empty() => marker = Some(next.to_owned()),
            _ => break,
        }
    }
    match format {
        Format::Json => output::json(&json!({ "Functions": all })),
        Format::Text => {
            let rows = all.iter().map(|one| {
                vec![
                    text(&one["FunctionName"]),
                    text(&one["Runtime"]),
                    format!("{} MB", one["MemorySize"]),
                    format!("{} s", one["Timeout"]),
                    text(&one["LastModified"]),
                ]
            });
            output::table(&["NAME", "RUNTIME", "MEMORY", "TIMEOUT", "MODIFIED"], rows)
        }
    }
    .map(|()| Exit::Done)
}

/// Everything about one function.
///
/// # Errors
/// What the daemon refuses.
pub async fn describe(client: &Client, args: &Named, format: Format) -> Result<Exit> {
    let (name, qualifier) = split(&args.name);
    let query = qualifier.map(|q| format!("?Qualifier={}", encode(&q))).unwrap_or_default();
    let path = format!("{FUNCTIONS}/{}{query}", encode(&name));
    let mut document = client.json(Method::GET, &path, None).await?;
    let path = format!("/2021-10-31/functions/{}/url", encode(&name));
    match client.json(Method::GET, &path, None).await {
        Ok(url) => document["FunctionUrlConfig"] = url,
        Err(err) if deploy::is_not_found(&err) => {}
        Err(err) => return Err(err),
    }
    let starts = starts::ask(client, &text(&document["Configuration"]["FunctionName"])).await?;
    let provisioned = provisioned::list(client, &name).await?;
    if !provisioned.is_empty() {
        document["ProvisionedConcurrencyConfigs"] = provisioned.clone().into();
    }
    let aliases = aliases::list(client, &name).await?;
    if !aliases.is_empty() {
        document["Aliases"] = aliases.clone().into();
    }
    if format == Format::Json {
        document["Starts"] = starts;
        return output::json(&document).map(|()| Exit::Done);
    }
    let facts = &document["Configuration"];
    let mut rows = Vec::new();
    for key in [
        "FunctionName",
        "FunctionArn",
        "Version",
        "Runtime",
        "Handler",
        "MemorySize",
        "Timeout",
        "State",
        "LastUpdateStatus",
        "LastModified",
        "CodeSize",
        "CodeSha256",
    ] {
        if !facts[key].is_null() {
            rows.push(vec![key.to_owned(), text(&facts[key])]);
        }
    }
    if let Some(variables) = facts["Environment"]["Variables"].as_object() {
        for (name, value) in variables {
            rows.push(vec![format!("Environment.{name}"), text(value)]);
        }
    }
    if let Some(reserved) = document["Concurrency"]["ReservedConcurrentExecutions"].as_u64() {
        rows.push(vec!["ReservedConcurrentExecutions".to_owned(), reserved.to_string()]);
    }
    rows.extend(aliases.iter().map(aliases::row));
    rows.extend(provisioned.iter().map(provisioned::row));
    if let Some(url) = document["FunctionUrlConfig"]["FunctionUrl"].as_str() {
        rows.push(vec!["FunctionUrl".to_owned(), url.to_owned()]);
    }
    output::table(&[], rows.into_iter())?;
    starts::show(&starts)?;
    Ok(Exit::Done)
}

/// Deletes a function.
///
/// # Errors
/// What the daemon refuses.
pub async fn delete(client: &Client, args: &Named, format: Format) -> Result<Exit> {
    let (name, qualifier) = split(&args.name);
    let query = qualifier.map(|q| format!("?Qualifier={}", encode(&q))).unwrap_or_default();
    let path = format!("{FUNCTIONS}/{}{query}", encode(&name));
    client.json(Method::DELETE, &path, None).await?;
    match format {
        Format::Json => output::json(&json!({ "FunctionName": args.name, "Change": "deleted" }))?,
        Format::Text => output::say(&format!("deleted {}", args.name)),
    }
    Ok(Exit::Done)
}

/// Shows a function's URL, making one if it has none.
///
/// # Errors
/// What the daemon refuses.
pub async fn url(client: &Client, args: &Named, format: Format) -> Result<Exit> {
    let url = deploy::ensure_url(client, &args.name).await?;
    match format {
        Format::Json => output::json(&json!({ "FunctionUrl": url }))?,
        Format::Text => {
            output::line(&url)?;
            output::path_style(&args.name, &url);
        }
    }
    Ok(Exit::Done)
}

/// Shows a function's log lines, and goes on showing them with `--follow`.
///
/// # Errors
/// What the daemon refuses; a duration that is none.
pub async fn logs(client: &Client, args: &Logs, format: Format) -> Result<Exit> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let wanted = Lines {
        function: &args.name,
        since_ms: now.saturating_sub(duration_ms(&args.since)?),
        filter: args.filter.as_deref(),
        follow: args.follow,
    };
    let show = |event: &Value| match format {
        Format::Json => output::line(&event.to_string()),
        Format::Text => output::line(&readable(event)),
    };
    let mut shown = wanted.each(client, show).await;
    if shown.as_ref().is_err_and(no_lines_yet) {
        // Lines are written behind the answers; those of a call that just returned are on their way.
        tokio::time::sleep(A_MOMENT).await;
        shown = wanted.each(client, show).await;
    }
    match shown {
        Err(err) if no_lines_yet(&err) => {
            // A log group is made by the first line; is it the function that is missing?
            let path = format!("{FUNCTIONS}/{}", encode(&args.name));
            client.json(Method::GET, &path, None).await?;
            output::say(&format!("{} has no log lines yet", args.name));
            Ok(Exit::Done)
        }
        done => done.map(|()| Exit::Done),
    }
}

/// Which log lines are wanted.
#[derive(Debug)]
pub struct Lines<'a> {
    /// Function whose lines they are.
    pub function: &'a str,
    /// From when on, milliseconds since the epoch.
    pub since_ms: u64,
    /// CloudWatch's filter syntax.
    pub filter: Option<&'a str>,
    /// Whether to wait for more, for ever.
    pub follow: bool,
}

/// A log event as one line for a person.
pub fn readable(event: &Value) -> String {
    let at = output::time(event["timestamp"].as_u64().unwrap_or_default());
    format!("{at} {}", text(&event["message"]).trim_end())
}

// === impl Lines ===

impl Lines<'_> {
    /// Calls `show` with every event, oldest first.
    ///
    /// # Errors
    /// What the daemon refuses, or what `show` returns.
    pub async fn each(
        &self,
        client: &Client,
        mut show: impl FnMut(&Value) -> Result<()>,
    ) -> Result<()> {
        /// How often new lines are asked for: what `aws logs tail --follow` does, five times as often.
        const EVERY: Duration = Duration::from_secs(1);
        let mut since = self.since_ms;
        let group = format!("/aws/lambda/{}", self.function);
        let mut shown = std::collections::HashSet::new();
        loop {
            let mut token = None::<String>;
            loop {
                let mut body = json!({ "logGroupName": group, "startTime": since });
                if let Some(token) = &token {
                    body["nextToken"] = token.clone().into();
                }
                if let Some(filter) = self.filter {
                    body["filterPattern"] = filter.into();
                }
                let page = match client.logs("FilterLogEvents", &body).await {
                    Ok(page) => page,
                    // A function that was never called has no lines yet; whoever follows waits for them.
                    Err(err) if self.follow && no_lines_yet(&err) => json!({}),
                    Err(err) => return Err(err),
                };
                for event in page["events"].as_array().into_iter().flatten() {
                    let id = text(&event["eventId"]);
                    let at = event["timestamp"].as_u64().unwrap_or_default();
                    if !shown.insert((at, id)) {
                        continue;
                    }
                    show(event)?;
                    // Lines of one millisecond may arrive in two answers: ask again from here on and
                    // leave out what was shown.
                    since = since.max(at);
                }
                shown.retain(|(at, _)| *at >= since);
                token = page["nextToken"].as_str().map(str::to_owned);
                if token.is_none() {
                    break;
                }
            }
            if !self.follow {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

fn no_lines_yet(err: &anyhow::Error) -> bool {
    err.downcast_ref::<crate::client::Refused>()
        .is_some_and(|refused| refused.code == "ResourceNotFoundException")
}

fn duration_ms(text: &str) -> Result<u64> {
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let factor = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => bail!("'{text}' is not a duration; write 30s, 10m, 2h or 7d"),
    };
    let number: u64 =
        number.parse().with_context(|| format!("'{text}' is not a duration such as 10m"))?;
    number.checked_mul(factor).with_context(|| format!("'{text}' is too long"))
}

/// `name:qualifier` apart; an ARN keeps its colons.
fn split(name: &str) -> (String, Option<String>) {
    match name.split(':').collect::<Vec<_>>().as_slice() {
        [name, qualifier] => ((*name).to_owned(), Some((*qualifier).to_owned())),
        _ => (name.to_owned(), None),
    }
}

/// A text as it is, anything else as JSON.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Percent-encodes everything that is not plain in a path segment or a query value.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration_ms("10m").expect("ten minutes"), 600_000);
        assert_eq!(duration_ms("7d").expect("a week"), 604_800_000);
        for text in ["", "m", "10", "ten minutes", "10x", "99999999999999999999d", "10µ"] {
            assert!(duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_qualifier_is_taken_from_a_name_but_not_from_an_arn() {
        assert_eq!(split("echo:7"), ("echo".into(), Some("7".into())));
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:echo:7";
        assert_eq!(split(arn), (arn.into(), None));
        assert_eq!(encode("a:b/$c"), "a%3Ab%2F%24c");
    }
}
