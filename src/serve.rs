//! `hearth serve`: the parts put together.
//!
//! ```text
//!   split (root) ──► control plane: store, code, logs ──► pool ◄── spawner's socket
//!                                          │               ▲
//!                       api :9000 ─────────┤               │ invoke
//!                       gateway :8080 ─────┴───────────────┘
//!
//!   SIGTERM, SIGINT, end of standard input:
//!     listeners closed ─► requests in hand finished ─► pool drained ─► spawner's socket closed ─► its end
//!   spawner gone: the same, without waiting for anything, and exit status 70
//! ```
//!
//! Listeners that a service manager handed over are closed here only: they stay its own, and what
//! connects meanwhile waits in them for the next start.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use archive::CodeStore;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use events::{Clock, Events};
use httpd::Server;
use pool::{Pool, PoolConfig};
use runtime_api::RuntimeApi;
use sandbox::capability;
use sandbox::seccomp::Policy;
use serde::{Deserialize, Serialize};
use store::events::EventQueue;
use store::{AccessKey, Store};
use telemetry::LogStore;
use telemetry::metrics::Door;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::config::Config;
use crate::exit::Exit;
use crate::giveback;
use crate::output;
use crate::readahead::{self, ReadAhead};
use crate::readiness::Readiness;
use crate::service;
use crate::split::{self, Split};

/// How long the answers to calls that lost their sandboxes may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// What is left to do when the drain is over: instances and log lines to end, files to close.
const AFTERMATH: Duration = Duration::from_secs(20);
/// How long the spawner may take to end its sandboxes and remove their cgroups.
const SPAWNER_END: Duration = Duration::from_secs(10);
/// Exit status by which the spawner says that the host lacks something.
const SPAWNER_UNAVAILABLE: i32 = 69;

/// The ready document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ready {
    /// Address of the management listener.
    pub api: String,
    /// Address of the trigger listener.
    pub http: String,
    /// The control plane's process id.
    pub pid: u32,
    /// The spawner's outer process, where the control plane started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spawner_pid: Option<u32>,
    /// The administrator key's file.
    pub credentials: String,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(mut config: Config) -> Result<Exit> {
    let readiness = Readiness::from_env()?;
    let split = match config.spawner_socket.clone() {
        None => split::split(&mut config)?,
        Some(socket) => match service::join(&mut config, &socket, &readiness)? {
            Some(split) => split,
            None => return Ok(Exit::SpawnerLost),
        },
    };
    // No thread exists yet, so every thread will have the filter.
    capability::seal(&Policy::control_plane()).context("what is left cannot be sealed")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(serve(config, split, readiness))
}

async fn serve(config: Config, split: Split, readiness: Readiness) -> Result<Exit> {
    let Split { api, http, control, mut spawner, images, ready, lock } = split;
    let images = Arc::new(images);
    let store = Arc::new(open_store(&config)?);
    let credentials = config.data_dir.join("credentials");
    administrator(&store, &credentials, config.home.region.as_str()).await?;
    let logs = Arc::new(open_logs(&config)?);
    let code = Arc::new(open_code(&config, &store)?);
    let reading = read_ahead(&config, &images, &store, &code).context("no thread can be made")?;
    look_at_code(&images, &store, &code)?;

    let hook = RuntimeApi::new(runtime_api::Limits::default()).hook();
    let sink = Arc::clone(&logs);
    let pool = Pool::start(PoolConfig {
        home: config.home.clone(),
        limits: pool::Limits {
            concurrency: config.account_concurrency,
            instances: config.max_instances,
            idle_for: config.idle,
            memory_reserve: config.memory_reserve,
            ..pool::Limits::default()
        },
        ready_cells: config.ready_cells as usize,
        ready_spares: config.ready_spares as usize,
        spare_memory: config.spare_memory,
        template_sharing: config.template_sharing,
        ..PoolConfig::new(control, Arc::clone(&images), sink, hook)
    })
    .await;
    let pool = match pool {
        Ok(pool) => pool,
        Err(err) => return spawner_refused(spawner.as_mut(), err),
    };

    reading.images().await;
    let addresses = (api.local_addr()?, http.local_addr()?);
    let events = Arc::new(start_events(&config, &store, &pool)?);
    let (schedules, ticking) = start_schedules(&config, &store, &events).await?;
    let api_state = api::Api::new(api::Parts {
        store: Arc::clone(&store),
        pool: Arc::new(pool.clone()),
        events: Arc::clone(&events),
        code,
        catalogue: images,
        logs: Arc::clone(&logs),
        home: config.home.clone(),
        access: access(&config),
        urls: api::UrlBase {
            scheme: "http".to_owned(),
            domain: config.domain.clone(),
            port: Some(addresses.1.port()),
        },
        concurrency: config.account_concurrency,
        open_metrics: config.dev,
        schedules,
        sources: Vec::new(),
    });
    api::recover(&api_state).await;
    let api_service = api::router(api_state);
    let gateway = gateway::Gateway::new(
        gateway::Config {
            home: config.home.clone(),
            domain: config.domain.clone(),
            port: addresses.1.port(),
        },
        Arc::clone(&store),
        Arc::new(pool.clone()),
    );
    let limits = httpd::Limits { drain: config.drain, ..httpd::Limits::default() };
    let public =
        httpd::Limits { connections_per_peer: config.connections_per_peer, ..limits.clone() };
    let servers = [Server::new(Door::Api, limits), Server::new(Door::Gateway, public)];
    let (stop, stopping) = watch::channel(false);
    let mut stopped = (stopping.clone(), stopping);
    let api_server = servers[0].serve(api, api_service, async move {
        let _ = stopped.0.wait_for(|stop| *stop).await;
    });
    let gateway_server = servers[1].serve(http, gateway.into_service(), async move {
        let _ = stopped.1.wait_for(|stop| *stop).await;
    });
    let serving = async { tokio::join!(api_server, gateway_server) };
    tokio::pin!(serving);

    let document = Ready {
        api: format!("http://{}", addresses.0),
        http: format!("http://{}", addresses.1),
        pid: std::process::id(),
        spawner_pid: spawner.as_ref().map(Child::id),
        credentials: credentials.display().to_string(),
    };
    if let Some(mut file) = ready {
        file.write_all(format!("{}\n", serde_json::to_string(&document)?).as_bytes())?;
    }
    if !config.until_stdin_closes {
        output::say(&format!("functions are managed at {}", document.api));
        output::say(&format!("function URLs are served at {}", document.http));
        output::say(&format!("the administrator's key is in {}", document.credentials));
    }
    tracing::info!(api = %document.api, http = %document.http, "ready");
    readiness.ready(&format!("serving at {} and {}", document.api, document.http));

    let exit = tokio::select! {
        never = stay_alive(&readiness, &pool) => match never {},
        never = giveback::keep_giving(&pool) => match never {},
        done = told_to_stop(config.until_stdin_closes) => done.map(|()| Exit::Done)?,
        () = pool.closed() => Exit::SpawnerLost,
        (api, http) = &mut serving => {
            api.context("the management listener failed")?;
            http.context("the trigger listener failed")?;
            Exit::Failed
        }
    };
    if exit == Exit::SpawnerLost {
        output::say("error: the spawner is gone and every sandbox with it; start hearth again");
    }
    readiness.stopping(config.drain + AFTERMATH);
    // What was accepted and is not begun is there at the next start; so is what is due and not accepted.
    ticking.abort();
    events.stop();
    stop.send_replace(true);
    match exit {
        Exit::Done => {
            let deadline = Instant::now() + config.drain;
            // A request in hand may still have to reach the pool, which then must take it.
            drop((&mut serving).await);
            // What is left is of callers who have hung up.
            pool.drain(deadline.saturating_duration_since(Instant::now())).await;
            drop(tokio::time::timeout(LAST_WORDS, events.landed()).await);
        }
        // Whoever waits is told that the sandboxes are gone before this process is, too.
        Exit::SpawnerLost => drop(tokio::time::timeout(LAST_WORDS, &mut serving).await),
        _ => {}
    }
    // The last owner of the spawner's socket: it sees the end and ends.
    drop(pool);
    if let Some(spawner) = &mut spawner {
        wait_for(spawner).await;
    }
    tokio::task::spawn_blocking(move || logs.sync()).await?;
    drop(lock);
    Ok(exit)
}

fn access(config: &Config) -> api::Access {
    match config.dev {
        true => api::Access::Open { hosts: Vec::new() },
        false => api::Access::Signed,
    }
}

fn open_store(config: &Config) -> Result<Store> {
    let path = config.data_dir.join("control.db");
    Store::open(&path).with_context(|| format!("{} cannot be opened", path.display()))
}

/// Opens the queue of accepted events and begins to deliver them.
fn start_events(config: &Config, store: &Arc<Store>, pool: &Pool) -> Result<Events> {
    let path = config.data_dir.join("events.db");
    let queue =
        EventQueue::open(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
    let runs = Arc::new(pool.clone());
    let functions = api::Deliveries::new(Arc::clone(store), runs, config.home.clone());
    let limits = events::Limits::of(config.account_concurrency);
    Ok(Events::start(queue, Arc::new(functions), Clock::system(), limits))
}

/// Begins to look at the clock.
async fn start_schedules(
    config: &Config,
    store: &Arc<Store>,
    events: &Arc<Events>,
) -> Result<(schedules::Handle, AbortHandle)> {
    let firings = api::Firings::new(Arc::clone(store), Arc::clone(events));
    let home = config.home.clone();
    let parts = schedules::engine::Parts::new(Arc::clone(store), Arc::new(firings), home);
    let started = schedules::engine::start(parts).await;
    let (handle, run) = started.context("nobody knows how far schedules had got")?;
    Ok((handle, tokio::spawn(run).abort_handle()))
}

fn open_logs(config: &Config) -> Result<LogStore> {
    let directory = config.data_dir.join("logs");
    let limits = telemetry::logs::Limits {
        group_bytes: config.log_function,
        total_bytes: config.log_total,
        max_age: config.log_age,
        ..telemetry::logs::Limits::default()
    };
    LogStore::open(&directory, limits)
        .with_context(|| format!("logs cannot be kept in {}", directory.display()))
}

fn open_code(config: &Config, store: &Store) -> Result<CodeStore> {
    let directory = config.data_dir.join("code");
    let mut code = CodeStore::open(&directory, archive::Limits::default())
        .with_context(|| format!("code cannot be kept in {}", directory.display()))?;
    let snapshot = store.snapshot();
    let used = snapshot.packages().collect();
    let swept = code.sweep(&used).context("code cannot be swept")?;
    for digest in &swept.missing {
        // What layers were merged into is only worth having again, not keeping: a copy of the data
        // directory may lack it.
        if !merge_again(&snapshot, &code, digest)? {
            tracing::error!(%digest, "a function's package is not on disk");
        }
    }
    Ok(code)
}

/// Merges layers of some function whose tree is missing; whether there are any and they could be.
fn merge_again(snapshot: &store::Snapshot, code: &CodeStore, tree: &model::Digest) -> Result<bool> {
    let versions = snapshot.functions(None).flat_map(|function| function.all_versions());
    let mut layers = versions.filter_map(|version| version.configuration.layers.as_ref());
    let Some(layers) = layers.find(|layers| layers.tree() == *tree) else { return Ok(false) };
    let archives: Vec<_> = layers.list().iter().map(|layer| layer.archive).collect();
    Ok(code.merge(&archives).context("layers cannot be merged")?.is_some())
}

/// Begins to read what sandboxes will read.
fn read_ahead(
    config: &Config,
    images: &images::Catalogue,
    store: &Store,
    code: &CodeStore,
) -> std::io::Result<ReadAhead> {
    let snapshot = store.snapshot();
    let packages: BTreeSet<_> =
        snapshot.functions(None).flat_map(|function| function.packages()).collect();
    let images = images.images().into_iter();
    let images = images.map(|digest| images::Cache::tree_in(&config.image_dir, digest));
    let code =
        packages.iter().flat_map(|digest| [code.tree_path(digest), code.compiled_root(digest)]);
    readahead::start(images.collect(), code.collect())
}

/// Begins to look at what the functions of earlier runs import; those who come first do without.
fn look_at_code(
    images: &Arc<images::Catalogue>,
    store: &Store,
    code: &Arc<CodeStore>,
) -> Result<()> {
    if !images.has_choice() {
        return Ok(());
    }
    let (images, code, snapshot) = (Arc::clone(images), Arc::clone(code), store.snapshot());
    let look = move || {
        let packages: BTreeSet<_> =
            snapshot.functions(None).flat_map(|function| function.packages()).collect();
        let layers: BTreeSet<_> = snapshot
            .functions(None)
            .flat_map(|function| function.all_versions())
            .filter_map(|version| version.runnable.layers)
            .collect();
        let looks = packages.iter().map(|it| (it, images.learn(*it, &code.tree_path(it))));
        let more = layers.iter().map(|it| (it, images.learn_layers(*it, &code.tree_path(it))));
        for (package, looked) in looks.chain(more) {
            if let Err(err) = looked {
                tracing::warn!(%err, %package, "a package was not looked at");
            }
        }
    };
    let thread = std::thread::Builder::new().name("looks".to_owned());
    thread.spawn(look).context("no thread can be made to look at packages")?;
    Ok(())
}

/// Makes the administrator's key at the first start, and keeps the file that holds it in step.
async fn administrator(store: &Store, file: &Path, region: &str) -> Result<()> {
    let there = store.snapshot().keys().next().cloned();
    let key = match there {
        Some(key) => key,
        None => {
            let key = new_key()?;
            store.put_key(key.clone()).await.context("the administrator's key cannot be kept")?;
            key
        }
    };
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = {region}\n",
        key.id, key.secret
    );
    if std::fs::read_to_string(file).is_ok_and(|there| there == text) {
        return Ok(());
    }
    // Beside it and renamed: whoever reads finds the old key or the new one, whole.
    let aside = file.with_extension("new");
    let _ = std::fs::remove_file(&aside);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&aside, file).with_context(|| format!("{} cannot be written", file.display()))
}

/// A key of the form AWS gives: twenty characters that start with AKIA, and forty that nobody knows.
fn new_key() -> Result<AccessKey> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte & 31)]);
    let id = format!("AKIA{}", model::id::random_bytes().map(letter).iter().collect::<String>());
    // Thirty random bytes are forty characters of base64.
    let bytes: Vec<u8> =
        model::id::random_bytes().into_iter().chain(model::id::random_bytes()).take(30).collect();
    let created_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    Ok(AccessKey { id, secret: STANDARD.encode(bytes), created_ms })
}

/// Tells the service manager that all is well, as often as it wants to know: while this runtime runs
/// tasks, and the spawner answers what it is asked.
async fn stay_alive(readiness: &Readiness, pool: &Pool) -> Infallible {
    let Some(period) = readiness.watchdog() else { return std::future::pending().await };
    // Twice in a period, as `sd_watchdog_enabled(3)` advises.
    let half = period / 2;
    let mut ticks = tokio::time::interval(half);
    loop {
        ticks.tick().await;
        if pool.spawner_silent_for() < half {
            readiness.alive();
        } else {
            tracing::warn!("the spawner does not answer");
        }
    }
}

/// The spawner ended, or said something strange, before it was ready.
fn spawner_refused(spawner: Option<&mut Child>, err: pool::ConnectError) -> Result<Exit> {
    // A service manager says of the other service what became of it.
    let Some(spawner) = spawner else { return Err(err.into()) };
    let deadline = Instant::now() + SPAWNER_END;
    while Instant::now() < deadline {
        match spawner.try_wait()? {
            // It has said on standard error what is missing.
            Some(status) if status.code() == Some(SPAWNER_UNAVAILABLE) => {
                return Ok(Exit::Unenforceable);
            }
            Some(status) => {
                return Err(err).with_context(|| format!("the spawner did not start ({status})"));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Err(err).context("the spawner does not answer")
}

async fn told_to_stop(until_stdin_closes: bool) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    if until_stdin_closes {
        // A plain thread: a blocking read must not keep the runtime from shutting down.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _ = ended.send(());
        });
    } else {
        std::mem::forget(ended);
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = end => {}
    }
    Ok(())
}

/// The spawner removes its cgroups as the last thing it does; leaving before would look like a leak.
async fn wait_for(spawner: &mut Child) {
    let deadline = Instant::now() + SPAWNER_END;
    while Instant::now() < deadline {
        if !matches!(spawner.try_wait(), Ok(None)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tracing::warn!("the spawner did not end in time");
}
