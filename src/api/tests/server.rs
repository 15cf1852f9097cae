//! A server without sandboxes, and a client for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::CodeStore;
use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use events::{Clock, Events};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use images::manifest::Compiler;
use images::{Catalogue, Kind, Manifest, Start};
use model::{Digest, FunctionId, Generation, Home, Runnable};
use pool::{CompileError, Durations, Invocation, NotTaken, Outcome, Provision, Refusal};
use schedules::Changed;
use serde_json::{Value, json};
use store::Store;
use store::events::EventQueue;
use telemetry::LogStore;
use telemetry::metrics::FunctionStarts;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use crate::{
    Access, Api, Compiling, Deliveries, EventSource, Invoker, Invoking, Parts, TakingSnapshot,
    UrlBase,
};

/// A role like any other.
pub(super) const ROLE: &str = "arn:aws:iam::000000000000:role/r";
/// What ARNs of functions begin with.
pub(super) const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function";

/// What the pool is to do with a call.
type Behaviour = Box<dyn Fn(&Invocation) -> Result<Outcome, Refusal> + Send + Sync>;

/// What the pool is to do with code to be compiled.
type Compile = Box<dyn Fn(File) -> Result<u64, CompileError> + Send + Sync>;

/// How many instances of which versions are to be ready.
type Floors = Vec<(Arc<Runnable>, u32)>;

/// Remembers what it was asked for, and answers what a test says.
pub(super) struct FakePool {
    pub(super) calls: Mutex<Vec<Invocation>>,
    pub(super) retired: Mutex<Vec<Generation>>,
    pub(super) reserved: Mutex<u32>,
    /// What was provisioned, function by function.
    pub(super) floors: Mutex<BTreeMap<FunctionId, Floors>>,
    /// How far the pool says it is.
    pub(super) standing: Mutex<BTreeMap<Generation, Provision>>,
    /// What taking a snapshot comes to; while there is nothing, it goes on.
    pub(super) snapshots: Mutex<Option<Result<(), NotTaken>>>,
    /// Of what there are to be snapshots.
    pub(super) expected: Mutex<Vec<Generation>>,
    /// What was to be compiled, and for which runtime.
    pub(super) compiled: Mutex<Vec<(Digest, String)>>,
    behaviour: Mutex<Behaviour>,
    compile: Mutex<Compile>,
}

/// A server in a directory of its own.
pub(super) struct Server {
    pub(super) api: Arc<Api>,
    pub(super) pool: Arc<FakePool>,
    pub(super) logs: Arc<LogStore>,
    changes: Mutex<mpsc::UnboundedReceiver<Changed>>,
    router: Router,
    _directory: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

// === impl FakePool ===

impl FakePool {
    fn new() -> Self {
        Self {
            calls: Mutex::default(),
            retired: Mutex::default(),
            reserved: Mutex::default(),
            floors: Mutex::default(),
            standing: Mutex::default(),
            snapshots: Mutex::new(Some(Ok(()))),
            expected: Mutex::default(),
            compiled: Mutex::default(),
            behaviour: Mutex::new(Box::new(|call| Ok(echo(call)))),
            compile: Mutex::new(Box::new(|mut into| {
                into.write_all(b"compiled").map_err(CompileError::Write)?;
                Ok(8)
            })),
        }
    }

    /// From now on, calls come to this.
    pub(super) fn behave(
        &self,
        behaviour: impl Fn(&Invocation) -> Result<Outcome, Refusal> + Send + Sync + 'static,
    ) {
        *self.behaviour.lock().unwrap() = Box::new(behaviour);
    }

    /// From now on, this is what compiles.
    pub(super) fn compile_with(
        &self,
        compile: impl Fn(File) -> Result<u64, CompileError> + Send + Sync + 'static,
    ) {
        *self.compile.lock().unwrap() = Box::new(compile);
    }
}

/// An answer that is the event.
pub(super) fn echo(call: &Invocation) -> Outcome {
    Outcome {
        payload: call.payload.clone(),
        function_error: None,
        log_tail: call.log_tail.then(|| b"START\nEND\n".to_vec()),
        executed_version: call.function.version,
        durations: Durations::default(),
    }
}

impl Invoker for FakePool {
    fn invoke(&self, invocation: Invocation) -> Invoking<'_> {
        let outcome = (self.behaviour.lock().unwrap())(&invocation);
        self.calls.lock().unwrap().push(invocation);
        Box::pin(std::future::ready(outcome))
    }

    fn retire(&self, generation: Generation) {
        self.retired.lock().unwrap().push(generation);
    }

    fn set_reserved(&self, total: u32) {
        *self.reserved.lock().unwrap() = total;
    }

    fn starts(&self, function: FunctionId) -> FunctionStarts {
        FunctionStarts { calls: function.0, rungs: vec![] }
    }

    fn provision(&self, function: FunctionId, floors: Floors) {
        self.floors.lock().unwrap().insert(function, floors);
    }

    fn provisioned(&self, generation: Generation) -> Option<Provision> {
        self.standing.lock().unwrap().get(&generation).copied()
    }

    fn take_snapshot(&self, _function: Arc<Runnable>) -> TakingSnapshot<'_> {
        Box::pin(async {
            loop {
                if let Some(taken) = self.snapshots.lock().unwrap().clone() {
                    return taken;
                }
                tokio::task::yield_now().await;
            }
        })
    }

    fn expect_snapshot(&self, generation: Generation) {
        self.expected.lock().unwrap().push(generation);
    }

    fn compile<'a>(&'a self, runtime: &'a str, code: Digest, into: File) -> Compiling<'a> {
        self.compiled.lock().unwrap().push((code, runtime.to_owned()));
        Box::pin(std::future::ready((self.compile.lock().unwrap())(into)))
    }
}

// === impl Server ===

impl Server {
    /// One that lets everybody on this machine in.
    pub(super) fn open() -> Self {
        Self::with(Access::Open { hosts: Vec::new() })
    }

    /// One that lets in whom `access` says.
    pub(super) fn with(access: Access) -> Self {
        Self::reading(access, Vec::new())
    }

    /// The same, whose functions can read from these.
    pub(super) fn reading(access: Access, sources: Vec<Arc<dyn EventSource>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pool = Arc::new(FakePool::new());
        let logs = LogStore::open(&directory.path().join("logs"), telemetry_limits()).unwrap();
        let logs = Arc::new(logs);
        let code = CodeStore::open(&directory.path().join("code"), archive::Limits::AWS).unwrap();
        let schedules = schedules::Handle::detached();
        let engine: Arc<dyn Invoker> = Arc::clone(&pool) as Arc<dyn Invoker>;
        let store = Arc::new(Store::open(&directory.path().join("control.db")).unwrap());
        let home = Home::default();
        let functions = Deliveries::new(Arc::clone(&store), Arc::clone(&engine), home.clone());
        let queue = EventQueue::open(&directory.path().join("events.db")).unwrap();
        // A minute of waiting is 60 ms.
        let clock = Clock::system().at_pace(1000);
        let events = Events::start(queue, Arc::new(functions), clock, events::Limits::of(1000));
        let api = Api::new(Parts {
            store,
            pool: engine,
            events: Arc::new(events),
            code: Arc::new(code),
            catalogue: Arc::new(catalogue()),
            logs: Arc::clone(&logs),
            home,
            access,
            urls: UrlBase {
                scheme: "http".to_owned(),
                domain: "localhost".to_owned(),
                port: Some(8080),
            },
            concurrency: 1000,
            open_metrics: false,
            schedules: schedules.0,
            sources,
        });
        let router = crate::router(Arc::clone(&api));
        let changes = Mutex::new(schedules.1);
        Self { api, pool, logs, changes, router, _directory: directory }
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request with a body of JSON; `Value::Null` is none.
    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = Request::builder().method(method).uri(path).header("host", "localhost:9000");
        self.send(request.body(body).unwrap()).await
    }

    /// What the engine of schedules was told since this was asked last.
    pub(super) fn changes(&self) -> Vec<Changed> {
        let mut changes = self.changes.lock().unwrap();
        std::iter::from_fn(|| changes.try_recv().ok()).collect()
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, Value::Null).await
    }

    /// Creates a function and waits until it can be called.
    pub(super) async fn create(&self, name: &str) -> Value {
        let created = self.call("POST", "/2015-03-31/functions", new_function(name)).await;
        assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
        self.settled(name).await;
        created.json()
    }

    /// Waits until nothing is under way, and gives the configuration.
    pub(super) async fn settled(&self, name: &str) -> Value {
        let path = format!("/2015-03-31/functions/{name}/configuration");
        for _ in 0..500 {
            let shown = self.get(&path).await.json();
            if shown["State"] != "Pending" && shown["LastUpdateStatus"] != "InProgress" {
                return shown;
            }
            // Settling is a task of its own and a commit; there is nothing else to wait for.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} never settled");
    }
}

// === impl Reply ===

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|err| panic!("{err}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Status, code and message of an error, whichever way the message is spelled.
    pub(super) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let message = body.get("message").or(body.get("Message"));
        let message = message.and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = self.header("x-amzn-errortype").unwrap_or_default().to_owned();
        (self.status.as_u16(), code, message)
    }

    /// Asserts an error to the letter.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, code: &str, message: &str) {
        assert_eq!(self.error(), (status, code.to_owned(), message.to_owned()));
    }
}

/// A zip with one file in it.
pub(super) fn package(text: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("app.py", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(text.as_bytes()).unwrap();
    zip.finish().unwrap().into_inner()
}

/// The same in base64.
pub(super) fn package_text(text: &str) -> String {
    STANDARD.encode(package(text))
}

/// What creates a function.
pub(super) fn new_function(name: &str) -> Value {
    json!({
        "FunctionName": name,
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": { "ZipFile": package_text("one") },
    })
}

/// The same with other members; `null` takes one away.
pub(super) fn new_function_with(name: &str, members: Value) -> Value {
    let mut all = new_function(name);
    for (key, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(key)),
            value => all[key] = value.clone(),
        }
    }
    all
}

fn telemetry_limits() -> telemetry::logs::Limits {
    telemetry::logs::Limits { min_free_bytes: 0, ..telemetry::logs::Limits::default() }
}

fn catalogue() -> Catalogue {
    let start = |kind| Start::executed(kind, vec!["/usr/bin/true".to_owned()]);
    let mut python = start(Kind::Python);
    python.compiler = Some(Compiler { argv: vec!["/usr/bin/true".to_owned()], env: Vec::new() });
    let manifest = Manifest {
        digest: Digest([7; 32]),
        recipe: "host".to_owned(),
        runtimes: BTreeMap::from([
            ("provided.al2023".to_owned(), start(Kind::Custom)),
            ("python3.11".to_owned(), python),
        ]),
        files: 0,
        bytes: 0,
        left_out: Vec::new(),
    };
    Catalogue::new([&manifest], &BTreeMap::new()).unwrap()
}
