//! A real daemon with real functions, for the time of one run.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use sigv4::sign::Scope;
use sigv4::{Credentials, PathStyle, Payload, Secret};

use crate::client::{Connection, Shot};
use crate::floors::Floor;

/// A first run copies the interpreters and, for the native row, builds an example.
const START: Duration = Duration::from_secs(120);
/// What every Python row runs, ours and the floor's alike.
const ECHO: &str =
    "def handler(event, context):\n    return {'statusCode': 200, 'body': event['body']}\n";
/// Benchmarks give functions this much memory, MiB.
const MEMORY: u32 = 512;

/// A daemon, its key, and a folder for the time of the run.
pub struct Bench {
    /// Trigger listener.
    pub http: SocketAddr,
    api: SocketAddr,
    key: Credentials,
    runtime: String,
    folder: tempfile::TempDir,
    child: Child,
}

// === impl Bench ===

impl Bench {
    /// Starts a daemon that keeps everything in a temporary folder.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hearth-bench-").tempdir()?;
        // The daemon serves as an unprivileged user, who must be able to get here.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open)?;
        let ready = folder.path().join("ready");
        let images = target_directory()?.join("tests/images");
        let mut child = Command::new(env!("CARGO_BIN_EXE_hearth"))
            .args(["serve", "--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
            .args(["--until-stdin-closes", "--data-dir"])
            .arg(folder.path().join("data"))
            .arg("--image-dir")
            .arg(images)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::piped())
            .spawn()
            .context("the daemon cannot be started")?;
        let facts = wait_until_ready(&ready, &mut child)?;
        let address = |name: &str| -> Result<SocketAddr> {
            let url = facts[name].as_str().unwrap_or_default();
            url.trim_start_matches("http://").parse().with_context(|| format!("no {name} address"))
        };
        let credentials = facts["credentials"].as_str().context("no credentials")?;
        let key = read_key(Path::new(credentials))?;
        let mut bench = Self {
            http: address("http")?,
            api: address("api")?,
            key,
            runtime: String::new(),
            folder,
            child,
        };
        let served = bench.call("GET", "/readyz", b"")?;
        let runtimes = served["runtimes"].as_array().cloned().unwrap_or_default();
        let python = runtimes.iter().filter_map(Value::as_str).find(|id| id.starts_with("python3"));
        bench.runtime = python.context("the daemon serves no Python")?.to_owned();
        Ok(bench)
    }

    /// Stops the daemon and waits until it has cleaned up.
    pub fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }

    /// The interpreter that the sandboxes' image was copied from.
    pub fn python(&self) -> Result<PathBuf> {
        Ok(fs::canonicalize("/usr/bin/python3")?)
    }

    /// A Python echo function; returns the path of its URL.
    pub fn python_function(&self, name: &str) -> Result<String> {
        self.python_function_of(name, ECHO)
    }

    /// A Python function with this source; returns the path of its URL.
    pub fn python_function_of(&self, name: &str, text: &str) -> Result<String> {
        let source = self.source(name, text)?;
        let zip = archive::pack(&source, &["app.py".into()], &archive::Limits::default())?;
        self.function(name, &self.runtime, "app.handler", &zip)
    }

    /// An echo function built from the custom-runtime example; returns the path of its URL.
    pub fn native_function(&self, name: &str) -> Result<String> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/custom-runtime-rust");
        let target = target_directory()?.join("tests/custom-runtime");
        let triple = "x86_64-unknown-linux-gnu";
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "--target", triple, "--manifest-path"])
            .arg(example.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .status()?;
        ensure!(status.success(), "the custom-runtime example does not build");
        let folder = target.join(triple).join("release");
        let zip = archive::pack(&folder, &["bootstrap".into()], &archive::Limits::default())?;
        self.function(name, "provided.al2023", "bootstrap", &zip)
    }

    /// The function floor, fed with the event that a function URL makes of the same request.
    pub fn function_floor(&self) -> Result<Floor> {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
            "headers": { "host": "127.0.0.1", "content-length": "23" },
            "requestContext": {
                "accountId": "anonymous", "apiId": "abcdefghijklmnopqrstuvwxyz234567",
                "authentication": null, "domainName": "127.0.0.1", "domainPrefix": "127",
                "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1",
                          "sourceIp": "127.0.0.1", "userAgent": "" },
                "requestId": "8476a536-e9f4-11e8-9739-2dfe598c3fcd", "routeKey": "$default",
                "stage": "$default", "time": "20/Nov/2026:05:00:00 +0000",
                "timeEpoch": 1_795_150_800_000_u64,
            },
            "isBase64Encoded": false,
        });
        // The floor puts the body in as a JSON string, as a function URL does.
        let text = event.to_string();
        let prefix = format!("{},\"body\":", &text[..text.len() - 1]);
        let source = self.source("echo", ECHO)?;
        let python = self.python()?;
        let words = [python.as_os_str(), source.as_os_str()].map(|word| word.to_str());
        match words {
            [Some(python), Some(source)] => {
                Floor::start(&["floor-function", python, source, &prefix, "}"])
            }
            _ => bail!("the temporary folder's name is not text"),
        }
    }

    /// A signed request to the management listener, to be sent as often as wanted for 5 minutes.
    pub fn signed(&self, method: &str, path: &str, body: &[u8]) -> Result<Shot> {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(&self.api.to_string())?);
        let scope = Scope { region: "us-east-1", service: "lambda", paths: PathStyle::Normalised };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let payload = Payload::Bytes(body);
        let verb = Method::from_bytes(method.as_bytes())?;
        sigv4::sign(&self.key, scope, &verb, (path, None), &mut headers, payload, now)?;
        headers.remove("host");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
            .collect::<Result<_>>()?;
        let mut shot = Shot::post(self.api, path, &headers, body);
        shot.bytes.splice(..4, method.bytes());
        Ok(shot)
    }

    fn source(&self, name: &str, text: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join("sources").join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("app.py"), text)?;
        Ok(folder)
    }

    fn function(&self, name: &str, runtime: &str, handler: &str, zip: &[u8]) -> Result<String> {
        let body = json!({
            "FunctionName": name, "Runtime": runtime, "Handler": handler, "MemorySize": MEMORY,
            "Role": "arn:aws:iam::000000000000:role/bench", "Timeout": 20,
            "Code": { "ZipFile": STANDARD.encode(zip) },
        });
        self.call("POST", "/2015-03-31/functions", body.to_string().as_bytes())?;
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.call("GET", &path, b"")?["State"] != "Active" {
            ensure!(Instant::now() < deadline, "{name} did not become active");
            std::thread::sleep(Duration::from_millis(5));
        }
        let url = format!("/2021-10-31/functions/{name}/url");
        self.call("POST", &url, b"{\"AuthType\":\"NONE\"}")?;
        let permission = json!({
            "StatementId": "public", "Action": "lambda:InvokeFunctionUrl", "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        });
        let policy = format!("/2015-03-31/functions/{name}/policy");
        self.call("POST", &policy, permission.to_string().as_bytes())?;
        Ok(format!("/{name}/"))
    }

    fn call(&self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let shot = self.signed(method, path, body)?;
        let (_, answer) = Connection::open(self.api)?.fire(&shot)?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }
}

fn wait_until_ready(file: &Path, child: &mut Child) -> Result<Value> {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if let Ok(text) = fs::read_to_string(file)
            && text.ends_with('\n')
        {
            return Ok(serde_json::from_str(&text)?);
        }
        if let Some(status) = child.try_wait()? {
            bail!("the daemon did not start ({status}); its own words are above");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("the daemon was not ready after {} s", START.as_secs())
}

fn read_key(file: &Path) -> Result<Credentials> {
    let text = fs::read_to_string(file)?;
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().to_owned())
        })
    };
    let access_key_id = value("aws_access_key_id").context("no key id")?;
    let secret = value("aws_secret_access_key").context("no secret")?;
    Ok(Credentials { access_key_id, secret: Secret::new(&secret) })
}

fn target_directory() -> Result<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_hearth"));
    Ok(program.ancestors().nth(2).context("the program lies in a target directory")?.to_owned())
}
