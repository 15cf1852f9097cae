//! `hearth dev`: the first thing a new user types.
//!
//! ```text
//!   this process (the user's)                     child: `hearth serve --dev`
//!     detect, pack ──── CreateFunction ─────────►   control plane + spawner + sandboxes
//!     print URL    ◄─── CreateFunctionUrlConfig ─
//!     watch folder ──── UpdateFunctionCode ─────►   (only if the syntax is right)
//!     show lines   ◄─── FilterLogEvents ─────────
//!     Ctrl-C: close the child's standard input, wait until it has cleaned up
//! ```
//!
//! The child ends when its standard input does, so it also ends when this process is killed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use notify::{RecursiveMode, Watcher};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::Dev;
use crate::client::Client;
use crate::deploy::{self, Change, Package};
use crate::exit::Exit;
use crate::output::say;
use crate::project::{self, Language};
use crate::verbs::{self, Lines};
use crate::{config, doctor, serve};

/// Changes come in bursts (an editor writes, renames, sets modes); this long a silence ends one.
const SETTLE: Duration = Duration::from_millis(80);
/// A first start copies the interpreters, which takes seconds on a slow disk.
const START: Duration = Duration::from_secs(120);
/// How long the child may take to end its sandboxes before it is killed.
const STOP: Duration = Duration::from_secs(20);

/// The daemon this command runs.
struct Daemon {
    child: Child,
    ready: serve::Ready,
}

/// Serves a folder until interrupted.
///
/// # Errors
/// A folder without a function, no free port, a daemon that does not start.
pub async fn run(args: &Dev) -> Result<Exit> {
    let folder = args
        .path
        .canonicalize()
        .with_context(|| format!("{} cannot be served", args.path.display()))?;
    if !folder.is_dir() {
        bail!("{} is not a folder", args.path.display());
    }
    // Everything that can be wrong with the project is said before anything is started.
    let mut package = Package::load(&folder, &args.function)?;
    if let Some(wrong) = check(&folder, package.language, args)? {
        bail!("{wrong}");
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut daemon = Daemon::start(args, &folder)?;
    let client = Client::unsigned(&daemon.ready.api)?;

    let ready = daemon.ready.clone();
    let work = serve_folder(&client, &folder, &mut package, args, &ready);
    let ended = tokio::select! {
        done = work => done,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        status = daemon.died() => Err(anyhow::anyhow!("the daemon stopped by itself ({status})")),
    };
    daemon.stop();
    ended.map(|()| Exit::Done)
}

async fn serve_folder(
    client: &Client,
    folder: &Path,
    package: &mut Package,
    args: &Dev,
    ready: &serve::Ready,
) -> Result<()> {
    let (changed, mut changes) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Opening and reading files are events as well; only what alters them matters.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = changed.send(());
        }
    })?;
    watcher
        .watch(folder, RecursiveMode::Recursive)
        .with_context(|| format!("{} cannot be watched", folder.display()))?;

    deploy::deploy(client, package, &args.function).await?;
    let url = deploy::ensure_url(client, &package.name).await?;
    let name = package.name.clone();
    let path_style = format!("{}/{name}/", ready.http);
    say(&format!("\n  {name} is served at"));
    say(&format!("      {path_style}"));
    say(&format!("      {url}\n"));
    say(&format!("  call it       curl {path_style}"));
    let api = &ready.api;
    say(&format!(
        "  through AWS   aws --endpoint-url {api} --region us-east-1 --no-sign-request \\\n                \
         lambda invoke --function-name {name} out"
    ));
    say("  change a file and it is deployed again; Ctrl-C stops everything\n");

    let since_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let lines = Lines { function: &name, since_ms, filter: None, follow: true };
    let log = lines.each(client, |event| {
        say(&verbs::readable(event));
        Ok(())
    });
    let redeploy = async {
        let mut wrong = false;
        while changes.recv().await.is_some() {
            while let Ok(Some(())) = tokio::time::timeout(SETTLE, changes.recv()).await {}
            match again(client, folder, package, args).await {
                Ok(false) if wrong => say("as it was: what is served is what is in the folder"),
                Ok(_) => {}
                Err(ref err) => {
                    say(&format!("not deployed, the last version keeps serving: {err:#}"));
                    wrong = true;
                    continue;
                }
            }
            wrong = false;
        }
        Ok(())
    };
    tokio::try_join!(log, redeploy).map(|_| ())
}

/// Deploys what changed, if it did and if it parses; whether it did.
async fn again(client: &Client, folder: &Path, package: &mut Package, args: &Dev) -> Result<bool> {
    let next = Package::load(folder, &args.function)?;
    if next.zip == package.zip {
        return Ok(false);
    }
    if let Some(wrong) = check(folder, next.language, args)? {
        bail!("\n{wrong}");
    }
    let started = Instant::now();
    if deploy::deploy(client, &next, &args.function).await? != Change::Unchanged {
        say(&format!("deployed again in {} ms", started.elapsed().as_millis()));
    }
    *package = next;
    Ok(true)
}

/// What the project's interpreter says about its syntax, if it is wrong.
fn check(folder: &Path, language: Option<Language>, args: &Dev) -> Result<Option<String>> {
    let Some(language) = language else { return Ok(None) };
    let named = config::runtime_paths(&args.host)?;
    // Where there is none, the daemon will say which runtimes it serves and how to add one.
    let Some(interpreter) = project::interpreter(language, &named) else { return Ok(None) };
    project::syntax_error(language, &interpreter, &project::files(folder)?)
}

// === impl Daemon ===

impl Daemon {
    /// Starts the daemon on the first ports that are free; of two that start at the same moment and
    /// choose the same one, one finds it taken and goes on from there.
    fn start(args: &Dev, folder: &Path) -> Result<Self> {
        /// More collisions than this are no coincidence.
        const TRIES: u16 = 5;
        let (mut api, mut http) = (args.api_port, args.http_port);
        for _ in 1..TRIES {
            let ports = [free_port(api)?, free_port(http)?];
            match Self::start_on(args, folder, ports) {
                Err(_) if ports.into_iter().any(is_taken) => {
                    [api, http] = ports.map(|port| port.saturating_add(1));
                }
                done => return done,
            }
        }
        Self::start_on(args, folder, [free_port(api)?, free_port(http)?])
    }

    fn start_on(args: &Dev, folder: &Path, [api, http]: [u16; 2]) -> Result<Self> {
        let host = &args.host;
        let data = match &host.data_dir {
            Some(data) => data.clone(),
            None => {
                let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
                let short: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
                config::Places::usual()?.dev.join(short)
            }
        };
        let waiting = tempfile::NamedTempFile::new().context("no temporary file can be made")?;
        // By its name, so that it goes by it in the process table; an updated one by what is mapped.
        let program = std::env::current_exe().ok().filter(|path| path.exists());
        let mut command = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()));
        command.args(["serve", "--dev", "--until-stdin-closes"]);
        command.arg("--data-dir").arg(&data);
        command.arg("--ready-file").arg(waiting.path());
        command.args(["--api-listen", &format!("127.0.0.1:{api}")]);
        command.args(["--http-listen", &format!("127.0.0.1:{http}")]);
        for (flag, directory) in [
            ("--image-dir", &host.image_dir),
            ("--state-dir", &host.state_dir),
            ("--python-packages", &host.python_packages),
        ] {
            if let Some(directory) = directory {
                command.arg(flag).arg(directory);
            }
        }
        for pair in &host.runtime_path {
            command.arg("--runtime-path").arg(pair);
        }
        // `dev` says what is missing and goes on; `serve` is the one that refuses.
        let missing: Vec<String> = match host.allow_unenforced.is_empty() {
            true => doctor::waivable(),
            false => host.allow_unenforced.clone(),
        };
        if !missing.is_empty() {
            let names = missing.join(", ");
            say(&format!("not enforced on this machine: {names} (see `hearth doctor`)"));
            command.arg("--allow-unenforced").arg(missing.join(","));
        }
        // A group of its own: Ctrl-C reaches this process, which then stops the daemon in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child =
            command.stdin(Stdio::piped()).spawn().context("the daemon cannot be started")?;
        let mut daemon = Self { child, ready: serve::Ready::default() };
        match daemon.wait_until_ready(waiting.path()) {
            Ok(ready) => daemon.ready = ready,
            Err(err) => {
                daemon.stop();
                return Err(err);
            }
        }
        Ok(daemon)
    }

    fn wait_until_ready(&mut self, file: &Path) -> Result<serve::Ready> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            let text = fs::read_to_string(file)?;
            if text.ends_with('\n') {
                return serde_json::from_str(&text).context("the daemon wrote no ready document");
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon did not start ({status}); its own words are above");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the daemon was not ready after {} seconds", START.as_secs())
    }

    /// Waits for the child's end.
    async fn died(&mut self) -> std::process::ExitStatus {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Closes the child's standard input and waits until it has cleaned up.
    fn stop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        say("the daemon did not stop in time and is killed");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first free loopback port from `first` on.
fn free_port(first: u16) -> Result<u16> {
    /// More daemons than this on one machine are a mistake.
    const TRIES: u16 = 200;
    (first..=first.saturating_add(TRIES))
        .find(|&port| !is_taken(port))
        .with_context(|| format!("no port from {first} on is free"))
}

fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err()
}
