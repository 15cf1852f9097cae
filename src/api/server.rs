//! What the operations work with.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use archive::CodeStore;
use events::Events;
use images::Catalogue;
use model::url::UrlId;
use model::{FunctionId, FunctionName, Generation, Home, Region};
use sha2::{Digest as _, Sha256};
use store::{Store, Unreserved};
use telemetry::LogStore;
use tokio::sync::Semaphore;

use crate::credentials::{Access, Secrets};
use crate::event_sources::EventSource;
use crate::invoker::Invoker;
use crate::presign::Presigner;

/// The collaborators and settings of the API; composition makes them.
pub struct Parts {
    /// Functions and what belongs to them.
    pub store: Arc<Store>,
    /// Who runs them.
    pub pool: Arc<dyn Invoker>,
    /// Who keeps and delivers asynchronous events.
    pub events: Arc<Events>,
    /// Their packages.
    pub code: Arc<CodeStore>,
    /// Which runtimes there are.
    pub catalogue: Arc<Catalogue>,
    /// What they print.
    pub logs: Arc<LogStore>,
    /// Whose they are.
    pub home: Home,
    /// Who may ask.
    pub access: Access,
    /// Where function URLs are.
    pub urls: UrlBase,
    /// The account's limit of concurrent executions.
    pub concurrency: u32,
    /// Whether `/metrics` is shown to whoever asks, as scrapers that cannot sign need it.
    pub open_metrics: bool,
    /// Who has to know what runs by the clock.
    pub schedules: schedules::Handle,
    /// What functions can read from.
    pub sources: Vec<Arc<dyn EventSource>>,
}

/// How function URLs are spelled: `<scheme>://<id>.lambda-url.<region>.<domain>[:<port>]/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlBase {
    /// `http` or `https`.
    pub scheme: String,
    /// Such as `localhost`, whose subdomains browsers and curl resolve to this machine.
    pub domain: String,
    /// The port, unless it is the scheme's own.
    pub port: Option<u16>,
}

/// The API of one account in one region.
pub struct Api {
    pub(crate) store: Arc<Store>,
    pub(crate) pool: Arc<dyn Invoker>,
    pub(crate) events: Arc<Events>,
    pub(crate) code: Arc<CodeStore>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) schedules: schedules::Handle,
    pub(crate) sources: Vec<Arc<dyn EventSource>>,
    pub(crate) home: Home,
    pub(crate) access: Access,
    pub(crate) urls: UrlBase,
    pub(crate) concurrency: u32,
    pub(crate) open_metrics: bool,
    /// Secrets of access keys, with the signing keys derived from them.
    pub(crate) secrets: Secrets,
    /// Signs and verifies the addresses of packages.
    pub(crate) presigner: Presigner,
    /// Versions that are being initialised before they are ready.
    pub(crate) preparing: Mutex<HashSet<Generation>>,
    /// Held while the pool is told what is reserved, so that it is told the newest last.
    reserving: Mutex<()>,
    /// A place for each package that may be compiled at once.
    pub(crate) compiling: Semaphore,
}

/// Packages compiled at once: somebody waits for each, and everybody's calls share the processors.
const COMPILING: usize = 2;
/// What AWS keeps free of reservations in an account of the usual size.
const UNRESERVED: u32 = 100;

// === impl Api ===

impl Api {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let presigner = Presigner::new(&parts.home.region);
        Arc::new(Self {
            store: parts.store,
            pool: parts.pool,
            events: parts.events,
            code: parts.code,
            catalogue: parts.catalogue,
            logs: parts.logs,
            schedules: parts.schedules,
            sources: parts.sources,
            home: parts.home,
            access: parts.access,
            urls: parts.urls,
            concurrency: parts.concurrency,
            open_metrics: parts.open_metrics,
            secrets: Secrets::default(),
            presigner,
            preparing: Mutex::default(),
            reserving: Mutex::new(()),
            compiling: Semaphore::new(COMPILING),
        })
    }

    /// The account's limit, and what reservations must leave of it: AWS's hundred, or a tenth where
    /// an operator allows less than AWS's thousand.
    pub(crate) fn unreserved(&self) -> Unreserved {
        Unreserved { limit: self.concurrency, minimum: UNRESERVED.min(self.concurrency / 10) }
    }

    /// Tells the pool how much of the account's concurrency is set aside for functions now.
    pub(crate) fn tell_reserved(&self) {
        let _telling = self.reserving.lock().unwrap_or_else(PoisonError::into_inner);
        let total = self.store.snapshot().totals().set_aside;
        self.pool.set_reserved(u32::try_from(total).unwrap_or(u32::MAX));
    }

    /// Tells the pool what a function has provisioned now, and what that sets aside.
    pub(crate) fn tell_provisioned(&self, id: FunctionId, name: &FunctionName) {
        {
            let _telling = self.reserving.lock().unwrap_or_else(PoisonError::into_inner);
            let snapshot = self.store.snapshot();
            // Of a function that was deleted, or is another one by now, nothing is provisioned.
            let function = snapshot.function(name.as_str()).filter(|function| function.id == id);
            self.pool.provision(id, function.map_or_else(Vec::new, |function| function.floors()));
        }
        self.tell_reserved();
    }

    /// The ARN of what runs a runtime here, as INIT_START lines have it: it changes with the image.
    pub(crate) fn runtime_version_arn(&self, runtime: &str) -> String {
        let digest = match self.catalogue.resolve(runtime) {
            Some(served) => served.image,
            // Served when the function was created, and no longer.
            None => model::Digest(Sha256::digest(runtime).into()),
        };
        format!("arn:aws:lambda:{}::runtime:{digest}", self.home.region)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("home", &self.home).finish_non_exhaustive()
    }
}

// === impl UrlBase ===

impl UrlBase {
    /// The address of a function URL.
    pub fn url(&self, id: &UrlId, region: &Region) -> String {
        let Self { scheme, domain, port } = self;
        match port {
            Some(port) => format!("{scheme}://{id}.lambda-url.{region}.{domain}:{port}/"),
            None => format!("{scheme}://{id}.lambda-url.{region}.{domain}/"),
        }
    }
}

/// Milliseconds since the epoch; a clock before it counts as standing at it.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
