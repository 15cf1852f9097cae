//! Functions, made through the API as a user makes them, and deleted again.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use zip::write::SimpleFileOptions;

use crate::client::{self, Shot};
use crate::daemon::Daemon;
use crate::report::Unmeasured;

/// What is sent: small, and JSON, as most events are.
pub const BODY: &[u8] = b"{\"name\":\"world\",\"n\":42}";
/// Gives back the body of a function URL's event.
pub const ECHO: &str =
    "def handler(event, context):\n    return {'statusCode': 200, 'body': event['body']}\n";
/// Gives back whatever the event is.
pub const MIRROR: &str = "def handler(event, context):\n    return event\n";
/// Takes its time, so that a call at the same moment needs another instance.
pub const REST: &str = "import time
def handler(event, context):
    time.sleep(1)
    return {'statusCode': 200, 'body': 'rested'}
";
/// The first function of the same kind as [`ECHO`], in JavaScript.
const ECHO_NODE: &str =
    "exports.handler = async (event) => ({ statusCode: 200, body: event.body });\n";

/// MiB that functions have here unless a row says otherwise.
const MEMORY: u32 = 512;
/// Until one can be called.
const ACTIVE: Duration = Duration::from_secs(60);

/// A function to be made.
pub struct Function<'f> {
    /// What it is called.
    pub name: &'f str,
    /// What runs it.
    pub runtime: &'f str,
    /// Where its entry is.
    pub handler: &'f str,
    /// Name, mode bits and content of its files.
    pub files: &'f [(&'f str, u32, &'f [u8])],
    /// MiB.
    pub memory: u32,
    /// `InvokeMode` of its URL, if it says one.
    pub mode: Option<&'f str>,
}

// === impl Daemon ===

impl Daemon {
    /// A Python function with this source; a POST of [`BODY`] to its URL.
    pub fn python(&self, name: &str, source: &str) -> Result<Shot> {
        self.python_with(name, source, MEMORY)
    }

    /// The same with another MemorySize.
    pub fn python_with(&self, name: &str, source: &str, memory: u32) -> Result<Shot> {
        // No two of them are the same code: nothing of one is at hand for another.
        let source = format!("# {name}\n{source}");
        let files: &[(&str, u32, &[u8])] = &[("app.py", 0o644, source.as_bytes())];
        let runtime = self.runtime("python3").context("the daemon serves no Python")?;
        let function =
            Function { name, runtime, handler: "app.handler", files, memory, mode: None };
        self.make(&function)
    }

    /// A JavaScript echo function; a POST to its URL.
    pub fn node(&self, name: &str) -> Result<Shot> {
        let source = format!("// {name}\n{ECHO_NODE}");
        let files: &[(&str, u32, &[u8])] = &[("index.js", 0o644, source.as_bytes())];
        let runtime = self.node_runtime()?;
        let handler = "index.handler";
        self.make(&Function { name, runtime, handler, files, memory: MEMORY, mode: None })
    }

    /// A custom-runtime function that is this program; a POST to its URL.
    pub fn native(&self, name: &str, program: &[u8]) -> Result<Shot> {
        let files: &[(&str, u32, &[u8])] =
            &[("bootstrap", 0o755, program), ("name", 0o644, name.as_bytes())];
        let (runtime, handler) = ("provided.al2023", "bootstrap");
        self.make(&Function { name, runtime, handler, files, memory: MEMORY, mode: None })
    }

    /// The Node that it serves.
    pub fn node_runtime(&self) -> Result<&str> {
        let none = || Unmeasured::NotInstalled("no Node for functions".to_owned());
        Ok(self.runtime("nodejs").ok_or_else(none)?)
    }

    fn runtime(&self, prefix: &str) -> Option<&str> {
        self.runtimes.iter().map(String::as_str).find(|id| id.starts_with(prefix))
    }

    /// Makes a function with a URL that everybody may call.
    pub fn make(&self, function: &Function<'_>) -> Result<Shot> {
        let name = function.name;
        let body = json!({
            "FunctionName": name, "Runtime": function.runtime, "Handler": function.handler,
            "MemorySize": function.memory, "Timeout": 60,
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Code": { "ZipFile": STANDARD.encode(packed(function.files)?) },
        });
        self.call("POST", "/2015-03-31/functions", body.to_string().as_bytes())?;
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let deadline = Instant::now() + ACTIVE;
        while self.call("GET", &path, b"")?["State"] != "Active" {
            ensure!(Instant::now() < deadline, "{name} did not become active");
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut url = json!({ "AuthType": "NONE" });
        if let Some(mode) = function.mode {
            url["InvokeMode"] = mode.into();
        }
        let path = format!("/2021-10-31/functions/{name}/url");
        self.call("POST", &path, url.to_string().as_bytes())?;
        let permission = json!({
            "StatementId": "public", "Action": "lambda:InvokeFunctionUrl", "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        });
        let policy = format!("/2015-03-31/functions/{name}/policy");
        self.call("POST", &policy, permission.to_string().as_bytes())?;
        Ok(Shot::post(self.http, &format!("/{name}/"), BODY))
    }

    /// Deletes functions, and waits until nothing of theirs is left.
    pub fn delete<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<()> {
        for name in names {
            self.call("DELETE", &format!("/2015-03-31/functions/{}", name.as_ref()), b"")?;
        }
        self.until("ending instances have ended", |metrics| {
            metrics.labelled("hearth_instances", "ending").unwrap_or(0.0) == 0.0
        })?;
        Ok(())
    }

    /// Calls a function that rests so often at the same moment, and waits until everybody is done: as
    /// many instances wait then. Gives what the daemon said if it refused one.
    pub fn fill(&self, shot: &Shot, count: usize) -> Result<Option<String>> {
        let volley = client::volley(shot, count)?;
        self.until("everybody waits", |metrics| {
            let count = |state| metrics.labelled("hearth_instances", state).unwrap_or(0.0);
            count("starting") + count("busy") == 0.0
        })?;
        Ok(volley.words)
    }
}

fn packed(files: &[(&str, u32, &[u8])]) -> Result<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in files {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode))?;
        writer.write_all(content)?;
    }
    Ok(writer.finish()?.into_inner())
}
