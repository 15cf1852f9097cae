//! `hearth deploy`: a folder or a zip becomes a function, and stays one however often it is run.
//!
//! ```text
//!   folder ─ detect ─ pack ─┐                       ┌─ no:  CreateFunction
//!                           ├─ GetFunction: there? ─┤
//!   zip ────────────────────┘                       └─ yes: UpdateFunctionConfiguration if it differs,
//!                                                           UpdateFunctionCode if the hash differs
//!        … wait until active … (--url) CreateFunctionUrlConfig + AddPermission
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use indicatif::ProgressBar;
use model::FunctionName;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::args::{Deploy, Format, FunctionOptions};
use crate::client::{Client, Refused};
use crate::exit::Exit;
use crate::project::{self, Language, Project};
use crate::{output, provisioned};

const FUNCTIONS: &str = "/2015-03-31/functions";
/// A role is part of AWS's API; Hearth does not act on it.
const ROLE: &str = "arn:aws:iam::000000000000:role/hearth";
/// AWS limits a package that is sent with the request.
const PACKAGE_LIMIT: usize = 50 * 1024 * 1024;
/// What AWS gives a function that says nothing: 3 s is what its console shows as well.
const DEFAULT_TIMEOUT: u32 = 3;
const DEFAULT_MEMORY: u32 = 128;

/// What is to be deployed.
#[derive(Debug)]
pub struct Package {
    /// Name of the function.
    pub name: String,
    /// Language, if it came from a folder or the zip showed it.
    pub language: Option<Language>,
    /// What is called, if known.
    pub handler: Option<String>,
    /// The zip.
    pub zip: Vec<u8>,
}

/// What a deployment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The function is new.
    Created,
    /// Code or configuration changed.
    Updated,
    /// Everything was as it should be.
    Unchanged,
}

// === impl Package ===

impl Package {
    /// Packs a folder, or reads a zip.
    ///
    /// # Errors
    /// Nothing to deploy, no handler to be found, too large, no name.
    pub fn load(path: &Path, options: &FunctionOptions) -> Result<Self> {
        let path = path
            .canonicalize()
            .with_context(|| format!("{} cannot be deployed", path.display()))?;
        // A zip is named by what stands before its ending; a folder's name has none.
        let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let stem = stem.and_then(|stem| stem.to_str());
        let name = match (&options.name, stem) {
            (Some(name), _) => name.clone(),
            (None, Some(stem)) => stem.to_owned(),
            (None, None) => bail!("{} gives the function no name; use --name", path.display()),
        };
        FunctionName::parse(&name)
            .with_context(|| "letters, digits, - and _ make a name; give one with --name")?;
        let package = if path.is_dir() {
            let found = match (&options.handler, &options.runtime) {
                (Some(_), Some(_)) => Project::detect(&path).ok(),
                (Some(handler), None) => Some(Project::of_handler(&path, handler)?),
                (None, _) => Some(Project::detect(&path)?),
            };
            let entries = project::files(&path)?;
            let names: Vec<PathBuf> =
                entries.iter().map(|entry| entry.name.clone().into()).collect();
            let zip = archive::pack(&path, &names, &archive::Limits::default())?;
            let (language, handler) = match found {
                Some(found) => (Some(found.language), Some(found.handler)),
                None => (None, None),
            };
            Self { name, language, handler, zip }
        } else {
            let zip =
                fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            if !zip.starts_with(b"PK") {
                bail!("{} is neither a folder nor a zip", path.display());
            }
            Self { name, language: None, handler: None, zip }
        };
        if package.zip.len() > PACKAGE_LIMIT {
            bail!(
                "the package has {} MiB, at most 50 MiB can be sent; exclude what is not needed in \
                 .hearthignore",
                package.zip.len() / (1024 * 1024)
            );
        }
        Ok(package)
    }

    /// `CodeSha256` as AWS computes it.
    fn sha256(&self) -> String {
        STANDARD.encode(Sha256::digest(&self.zip))
    }
}

/// `hearth deploy`.
///
/// # Errors
/// A package that cannot be made, or what the daemon refuses.
pub async fn run(args: &Deploy, format: Format) -> Result<Exit> {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner.set_message(format!("packing {}", args.path.display()));
    let package = Package::load(&args.path, &args.function)?;
    if let (Some(language), true) = (package.language, args.path.is_dir())
        && let Some(program) = project::interpreter(language, &[])
        && let Some(wrong) =
            project::syntax_error(language, &program, &project::files(&args.path)?)?
    {
        spinner.suspend(|| output::say(&format!("warning: this does not parse\n{wrong}")));
    }
    let client = Client::new(&args.remote)?;
    spinner.set_message(format!("deploying {} ({} KiB)", package.name, package.zip.len() / 1024));
    let change = deploy(&client, &package, &args.function).await?;
    let url = match args.url {
        true => Some(ensure_url(&client, &package.name).await?),
        false => None,
    };
    spinner.finish_and_clear();
    let done = match change {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Unchanged => "unchanged",
    };
    match format {
        Format::Json => output::json(&json!({
            "FunctionName": package.name, "Change": done, "FunctionUrl": url,
        }))?,
        Format::Text => {
            output::say(&format!("{} {done}", package.name));
            if let Some(url) = url {
                output::line(&url)?;
                output::path_style(&package.name, &url);
            }
            if !matches!(change, Change::Unchanged) {
                provisioned::remind(&client, &package.name).await?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Creates or updates the function and waits until it can be called.
///
/// # Errors
/// What the daemon refuses, in its words; a runtime it does not serve.
pub async fn deploy(
    client: &Client,
    package: &Package,
    options: &FunctionOptions,
) -> Result<Change> {
    let path = format!("{FUNCTIONS}/{}", package.name);
    let there = match client.json(Method::GET, &path, None).await {
        Ok(there) => Some(there["Configuration"].clone()),
        Err(err) if is_not_found(&err) => None,
        Err(err) => return Err(err),
    };
    let change = match there {
        None => {
            let mut body = settings(client, package, options, None).await?;
            body.insert("FunctionName".into(), package.name.clone().into());
            body.insert("Role".into(), ROLE.into());
            body.insert("Code".into(), json!({ "ZipFile": STANDARD.encode(&package.zip) }));
            client.json(Method::POST, FUNCTIONS, Some(&body.into())).await?;
            Change::Created
        }
        Some(there) => {
            let mut change = Change::Unchanged;
            let wanted = settings(client, package, options, Some(&there)).await?;
            if wanted.iter().any(|(key, value)| there.get(key) != Some(value)) {
                let path = format!("{path}/configuration");
                client.json(Method::PUT, &path, Some(&wanted.into())).await?;
                wait_until_active(client, &package.name).await?;
                change = Change::Updated;
            }
            if there["CodeSha256"] != package.sha256() {
                let body = json!({ "ZipFile": STANDARD.encode(&package.zip) });
                client.json(Method::PUT, &format!("{path}/code"), Some(&body)).await?;
                change = Change::Updated;
            }
            change
        }
    };
    wait_until_active(client, &package.name).await?;
    Ok(change)
}

/// The part of the configuration that the options and the folder decide. For a function that is
/// there already, what nobody mentions stays as it is.
async fn settings(
    client: &Client,
    package: &Package,
    options: &FunctionOptions,
    there: Option<&Value>,
) -> Result<Map<String, Value>> {
    let mut out = Map::new();
    let runtime = match (&options.runtime, package.language) {
        (Some(runtime), _) => Some(runtime.clone()),
        (None, Some(language)) => {
            let served = served_runtimes(client).await?;
            Some(language.runtime(&served).with_context(|| {
                format!(
                    "this daemon serves no {} runtime (it serves {}); install the interpreter and \
                     start the daemon again, or add one with --runtime-path",
                    language.name(),
                    served.join(", ")
                )
            })?)
        }
        (None, None) if there.is_some() => None,
        (None, None) => bail!("a zip does not say what runs it: give --runtime and --handler"),
    };
    let handler = options.handler.clone().or_else(|| package.handler.clone());
    if handler.is_none() && there.is_none() {
        bail!("what is to be called is not known: give --handler FILE.FUNCTION");
    }
    let fresh = there.is_none();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(key.to_owned(), value);
        }
    };
    set("Runtime", runtime.map(Value::from));
    set("Handler", handler.map(Value::from));
    let or_default = |given: Option<u32>, default| given.or(fresh.then_some(default));
    set("MemorySize", or_default(options.memory, DEFAULT_MEMORY).map(Value::from));
    set("Timeout", or_default(options.timeout, DEFAULT_TIMEOUT).map(Value::from));
    if !options.env.is_empty() {
        let mut variables = Map::new();
        for pair in &options.env {
            let (name, value) =
                pair.split_once('=').with_context(|| format!("--env {pair} is not NAME=VALUE"))?;
            variables.insert(name.to_owned(), value.into());
        }
        set("Environment", Some(json!({ "Variables": variables })));
    }
    Ok(out)
}

/// Which runtimes the daemon serves, from its readiness document.
///
/// # Errors
/// If it cannot be reached.
pub async fn served_runtimes(client: &Client) -> Result<Vec<String>> {
    let document = client.json(Method::GET, "/readyz", None).await?;
    let runtimes = document["runtimes"].as_array().cloned().unwrap_or_default();
    Ok(runtimes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Polls as AWS's own waiters do.
async fn wait_until_active(client: &Client, name: &str) -> Result<()> {
    /// AWS's waiter gives up after 300 tries of a second.
    const TRIES: u32 = 3_000;
    let path = format!("{FUNCTIONS}/{name}/configuration");
    for _ in 0..TRIES {
        let there = client.json(Method::GET, &path, None).await?;
        let field = |key: &str| there[key].as_str().unwrap_or_default().to_owned();
        match (field("State").as_str(), field("LastUpdateStatus").as_str()) {
            ("Active", "Successful") => return Ok(()),
            ("Failed", _) => bail!("the function could not be created: {}", field("StateReason")),
            (_, "Failed") => {
                bail!("the update failed: {}", field("LastUpdateStatusReason"));
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    bail!("the function did not become active in time")
}

/// The function's URL; made, and opened to the public, if there is none.
///
/// # Errors
/// What the daemon refuses.
pub async fn ensure_url(client: &Client, name: &str) -> Result<String> {
    let path = format!("/2021-10-31/functions/{name}/url");
    let there = match client.json(Method::GET, &path, None).await {
        Ok(there) => there,
        Err(err) if is_not_found(&err) => {
            client.json(Method::POST, &path, Some(&json!({ "AuthType": "NONE" }))).await?
        }
        Err(err) => return Err(err),
    };
    let permission = json!({
        "StatementId": "FunctionURLAllowPublicAccess",
        "Action": "lambda:InvokeFunctionUrl",
        "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    });
    let path = format!("{FUNCTIONS}/{name}/policy");
    match client.json(Method::POST, &path, Some(&permission)).await {
        Err(err) if !is(&err, StatusCode::CONFLICT) => return Err(err),
        _ => {}
    }
    let url = there["FunctionUrl"].as_str().context("the daemon returned no URL")?;
    Ok(url.to_owned())
}

/// Whether the daemon said that something does not exist.
pub fn is_not_found(err: &anyhow::Error) -> bool {
    is(err, StatusCode::NOT_FOUND)
}

fn is(err: &anyhow::Error, status: StatusCode) -> bool {
    err.downcast_ref::<Refused>().is_some_and(|refused| refused.status == status)
}
