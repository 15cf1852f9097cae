//! A pool on a double, and what a test asks of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use images::manifest::{Compiler, Kind, Spare, Start};
use images::{Catalogue, Manifest};
use model::{Digest, FunctionId, FunctionName, Generation, RequestId, Runnable, Version};
use pool::session::Session;
use pool::{Invocation, LogSink, Outcome, Pool, PoolConfig, Refusal};

use crate::double::Double;
use crate::programs;

/// Everything a test has.
pub struct Rig {
    pub pool: Pool,
    pub double: Double,
    pub logs: Arc<Lines>,
    /// Sessions of custom runtimes, in the order in which they were handed over.
    pub sessions: Arc<Mutex<Vec<(OwnedFd, Session)>>>,
}

/// Lines that were logged: stream and text.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Vec<(String, String)>>);

/// What differs from the defaults.
pub struct Setup {
    pub capacity: u32,
    pub ready_cells: usize,
    pub ready_spares: usize,
    /// Whether the image has a template, and who shares it.
    pub templates: Option<pool::TemplateSharing>,
    pub init_limit: Duration,
    pub limits: pool::Limits,
    pub log_budget: pool::LogBudget,
}

// === impl Setup ===

impl Default for Setup {
    fn default() -> Self {
        Self {
            capacity: 64,
            ready_cells: 0,
            ready_spares: 0,
            templates: None,
            init_limit: Duration::from_secs(10),
            limits: pool::Limits::default(),
            log_budget: pool::LogBudget::default(),
        }
    }
}

impl Setup {
    pub async fn start(self) -> Rig {
        let (double, socket) = Double::start(self.capacity, programs::run);
        let logs = Arc::new(Lines::default());
        let sessions: Arc<Mutex<Vec<(OwnedFd, Session)>>> = Arc::default();
        let kept = Arc::clone(&sessions);
        let hook: pool::RuntimeHook = Arc::new(move |listener, session| {
            kept.lock().unwrap().push((listener, session));
        });
        let sink: Arc<dyn LogSink> = Arc::clone(&logs) as _;
        let mut config =
            PoolConfig::new(socket, Arc::new(catalogue(self.templates.is_some())), sink, hook);
        config.ready_cells = self.ready_cells;
        config.ready_spares = self.ready_spares;
        config.template_sharing = self.templates.unwrap_or_default();
        // What memory the machine has decides nothing here; and where no spares are asked for, none
        // follow from what was wanted.
        config.spare_memory = Some(if self.ready_spares > 0 { u64::MAX } else { 0 });
        config.init_limit = self.init_limit;
        config.limits = self.limits;
        config.log_budget = self.log_budget;
        let pool = Pool::start(config).await.expect("the double says hello");
        Rig { pool, double, logs, sessions }
    }
}

/// A pool's configuration around a socket, for tests that get no further.
pub fn config(socket: OwnedFd) -> PoolConfig {
    let logs: Arc<dyn LogSink> = Arc::new(Lines::default());
    PoolConfig::new(socket, Arc::new(catalogue(false)), logs, Arc::new(|_, _| {}))
}

// === impl Rig ===

impl Rig {
    pub async fn new() -> Self {
        Setup::default().start().await
    }

    pub async fn call(&self, function: &Arc<Runnable>) -> Result<Outcome, Refusal> {
        self.pool.invoke(invocation(function)).await
    }

    /// Calls and expects an answer of the function's own.
    pub async fn answer(&self, function: &Arc<Runnable>) -> String {
        let outcome = self.call(function).await.expect("an outcome");
        assert_eq!(outcome.function_error, None, "{:?}", outcome.payload);
        text(&outcome)
    }

    /// Calls and expects an error document.
    pub async fn error(&self, function: &Arc<Runnable>) -> String {
        let outcome = self.call(function).await.expect("an outcome");
        assert!(outcome.function_error.is_some(), "{:?}", outcome.payload);
        text(&outcome)
    }

    /// Waits until nothing is left of instances that were to end.
    pub async fn settled(&self, living: u32) {
        eventually("ended cells are gone", || self.double.living() == living).await;
        eventually("ended instances are forgotten", || self.pool.stats().ending == 0).await;
    }
}

// === impl Lines ===

impl LogSink for Lines {
    fn append(&self, _group: &Arc<str>, stream: &Arc<str>, _at_ms: u64, message: &[u8]) {
        let line = (stream.to_string(), String::from_utf8_lossy(message).into_owned());
        self.0.lock().unwrap().push(line);
    }
}

impl Lines {
    /// Every line so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// The lines, once `done` holds of them.
    pub async fn once(&self, what: &str, done: impl Fn(&[String]) -> bool) -> Vec<String> {
        eventually(what, || done(&self.all())).await;
        self.all()
    }

    /// The first word of every line, once there are `reports` REPORT lines.
    pub async fn words(&self, reports: usize) -> Vec<String> {
        let count = |lines: &[String]| lines.iter().filter(|l| l.starts_with("REPORT")).count();
        let lines = self.once("every REPORT is written", |lines| count(lines) >= reports).await;
        lines.iter().map(|line| line.split([' ', '\n']).next().unwrap_or("").to_owned()).collect()
    }
}

pub fn text(outcome: &Outcome) -> String {
    String::from_utf8(outcome.payload.to_vec()).expect("text")
}

/// A function whose handler is `handler`, of MemorySize 128 and with three seconds' time.
pub fn function(handler: &str) -> Arc<Runnable> {
    Arc::new(runnable(handler))
}

pub fn runnable(handler: &str) -> Runnable {
    Runnable {
        function: FunctionId(1),
        generation: Generation(1),
        name: FunctionName::parse("echo").expect("a name"),
        version: Version::Latest,
        runtime: "python3.11".to_owned(),
        handler: handler.to_owned(),
        code: Digest([7; 32]),
        layers: None,
        memory_mib: 128,
        tmp_mib: 512,
        timeout: Duration::from_secs(3),
        environment: vec![],
        log_group: "/aws/lambda/echo".to_owned(),
        reserved_concurrency: None,
        concurrency: 1,
    }
}

pub fn invocation(function: &Arc<Runnable>) -> Invocation {
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:echo";
    let payload = Bytes::from_static(b"{\"n\":1}");
    Invocation::new(Arc::clone(function), RequestId::random(), arn.into(), payload)
}

fn catalogue(templates: bool) -> Catalogue {
    let start = |kind, version: Option<&str>, argv: &[&str]| Start {
        version: version.map(str::to_owned),
        ..Start::executed(kind, argv.iter().map(|argument| (*argument).to_owned()).collect())
    };
    let argv = ["/usr/bin/python3.11", "/var/runtime/bootstrap.py"];
    let mut python = start(Kind::Python, Some("3.11.2"), &argv);
    python.spare = Some(Spare {
        argv: argv.into_iter().chain(["spare"]).map(str::to_owned).collect(),
        env: vec!["TZ=:UTC".to_owned()],
    });
    python.template = templates.then_some(0);
    // What a compiler does is chosen like what a function does.
    let compiling = |how: &str| {
        let mut start = start(Kind::Python, None, &argv);
        let argv = vec!["/usr/bin/python3.11".to_owned(), "compile".to_owned()];
        start.compiler = Some(Compiler { argv, env: vec![format!("_HANDLER={how}")] });
        (how.to_owned(), start)
    };
    let manifest = Manifest {
        digest: Digest([9; 32]),
        recipe: "double".to_owned(),
        runtimes: BTreeMap::from([
            ("python3.11".to_owned(), python),
            ("provided.al2023".to_owned(), Start::custom()),
            compiling("compiles"),
            compiling("compiles-and-dies"),
            compiling("compiles-forever"),
        ]),
        files: 0,
        bytes: 0,
        left_out: vec![],
    };
    Catalogue::new([&manifest], &BTreeMap::new()).expect("a catalogue")
}

/// Waits until something holds; how long that may take is no promise of the pool's.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < until, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What a future gives, and how long it took.
pub async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (future.await, began.elapsed())
}
