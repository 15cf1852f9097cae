//! Functions as tests write them: deployed through the API, called, and deleted again when the test
//! is over.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::{Request, Response};
use super::package::{Package, dedent};
use super::signature::Signer;
use super::{Daemon, eventually, setup};

/// A role, because the API demands one.
pub const ROLE: &str = "arn:aws:iam::000000000000:role/test";

/// A function before it is created.
pub struct Function {
    name: String,
    runtime: String,
    handler: String,
    package: Vec<u8>,
    /// Anything else that CreateFunction takes.
    more: Value,
}

/// A function that is there; deleted when dropped.
pub struct Deployed<'d> {
    daemon: &'d Daemon,
    /// Its name, unique among the tests of one run.
    pub name: String,
    /// Whether it stays when the test is over.
    kept: bool,
}

/// What a call came to.
#[derive(Debug)]
pub struct Invocation {
    /// The whole answer.
    pub response: Response,
    /// `X-Amz-Function-Error`.
    pub error: Option<String>,
    /// The last 4 KiB of the log.
    pub log: String,
}

// === impl Function ===

impl Function {
    /// A function in Python; `source` is `app.py` and holds `handler`.
    pub fn python(source: &str) -> Self {
        let package = Package::new().file("app.py", dedent(source)).build();
        Self::new(setup::python_runtime(), "app.handler", package)
    }

    /// A function in Node; `source` is the ES module `index.mjs` and exports `handler`.
    pub fn node(source: &str) -> Self {
        let package = Package::new().file("index.mjs", dedent(source)).build();
        Self::new(&setup::node().runtime, "index.handler", package)
    }

    /// A function that is its own runtime; `script` is run by the shell.
    pub fn shell(script: &str) -> Self {
        let script = format!("#!/bin/sh\n{}", dedent(script));
        Self::custom(Package::new().program("bootstrap", script).build())
    }

    /// A function that is its own runtime, in Python: `source` is executed as it stands, with `api`
    /// for the Runtime API's address and `call(method, path, body, headers)` → status, headers, body.
    pub fn runtime_in_python(source: &str) -> Self {
        let source = format!("{}\n{}", include_str!("../functions/runtime_api.py"), dedent(source));
        let start = "#!/bin/sh\nexec python3 /var/task/runtime.py\n";
        let package = Package::new().program("bootstrap", start).file("runtime.py", source);
        Self::custom(package.build())
    }

    /// A function that is its own runtime: the package holds `bootstrap`.
    pub fn custom(package: Vec<u8>) -> Self {
        Self::new("provided.al2023", "bootstrap", package)
    }

    /// A function of any runtime.
    pub fn new(runtime: &str, handler: &str, package: Vec<u8>) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("test-{}-{number}", std::process::id()),
            runtime: runtime.to_owned(),
            handler: handler.to_owned(),
            package,
            more: json!({"Timeout": 20, "MemorySize": 256}),
        }
    }

    /// Seconds until it is ended.
    pub fn timeout(self, seconds: u32) -> Self {
        self.with("Timeout", json!(seconds))
    }

    /// MiB.
    pub fn memory(self, mebibytes: u32) -> Self {
        self.with("MemorySize", json!(mebibytes))
    }

    /// Its environment.
    pub fn environment(self, variables: Value) -> Self {
        self.with("Environment", json!({"Variables": variables}))
    }

    /// Any field of CreateFunction.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.more[field] = value;
        self
    }

    /// The body of CreateFunction.
    pub fn body(&self) -> Value {
        let mut body = json!({
            "FunctionName": self.name,
            "Runtime": self.runtime,
            "Handler": self.handler,
            "Role": ROLE,
            "Code": {"ZipFile": STANDARD.encode(&self.package)},
        });
        let fields = body.as_object_mut().expect("just made");
        fields.extend(self.more.as_object().expect("an object").clone());
        body
    }

    /// Creates it and returns the answer, whatever it is.
    #[track_caller]
    pub fn create(&self, daemon: &Daemon) -> Response {
        daemon.api("POST", "/2015-03-31/functions", &self.body())
    }

    /// Creates it and waits until it is active.
    #[track_caller]
    pub fn deploy(self, daemon: &Daemon) -> Deployed<'_> {
        self.create(daemon).expect(201);
        let deployed = self.deployed(daemon);
        deployed.settle();
        deployed
    }

    /// What [`Function::create`] made.
    pub fn deployed(self, daemon: &Daemon) -> Deployed<'_> {
        Deployed { daemon, name: self.name, kept: false }
    }
}

// === impl Deployed ===

impl<'d> Deployed<'d> {
    /// A function that is there already and stays.
    pub fn existing(daemon: &'d Daemon, name: &str) -> Self {
        Self { daemon, name: name.to_owned(), kept: true }
    }

    /// Leaves it there and returns its name.
    pub fn keep(mut self) -> String {
        self.kept = true;
        self.name.clone()
    }

    /// Calls it and waits for the answer.
    #[track_caller]
    pub fn invoke(&self, event: &Value) -> Invocation {
        self.invoke_with(Request::new("POST", &self.path("invocations")).json(event))
    }

    /// Calls it with a request of the test's own making.
    #[track_caller]
    pub fn invoke_with(&self, request: Request) -> Invocation {
        let response = self.daemon.send(request.header("x-amz-log-type", "Tail"));
        let log = response.header("x-amz-log-result").map(|text| STANDARD.decode(text));
        let log = log.map(|bytes| bytes.expect("the log tail is base64")).unwrap_or_default();
        Invocation {
            error: response.header("x-amz-function-error").map(str::to_owned),
            log: String::from_utf8_lossy(&log).into_owned(),
            response,
        }
    }

    /// Calls it and returns what it answered; fails the test if the function failed.
    #[track_caller]
    pub fn answer(&self, event: &Value) -> Value {
        self.invoke(event).answer()
    }

    /// The path of one of its resources: `invocations`, `configuration`, `code`, `url` …
    pub fn path(&self, resource: &str) -> String {
        let version = if resource == "url" { "2021-10-31" } else { "2015-03-31" };
        format!("/{version}/functions/{}/{resource}", self.name)
    }

    /// Its unqualified ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:us-east-1:000000000000:function:{}", self.name)
    }

    /// GetFunction.
    #[track_caller]
    pub fn get(&self) -> Value {
        let path = format!("/2015-03-31/functions/{}", self.name);
        self.daemon.api("GET", &path, &Value::Null).expect(200).json()
    }

    /// Waits until neither creation nor an update is under way.
    #[track_caller]
    pub fn settle(&self) -> Value {
        eventually("the function is active", Duration::from_secs(60), || {
            let now = self.get()["Configuration"].take();
            assert_ne!(now["State"], "Failed", "{now}");
            let settled = now["State"] == "Active" && now["LastUpdateStatus"] == "Successful";
            settled.then_some(now)
        })
    }

    /// The lines of its log, once they say what `holds` waits for.
    #[track_caller]
    pub fn log_until(&self, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
        let body = json!({"logGroupName": format!("/aws/lambda/{}", self.name)});
        eventually(what, Duration::from_secs(20), || {
            let request = Request::new("POST", "/")
                .header("x-amz-target", "Logs_20140328.FilterLogEvents")
                .header("content-type", "application/x-amz-json-1.1")
                .body(body.to_string());
            let signer = Signer { service: "logs".to_owned(), ..self.daemon.signer() };
            let response = signer.sign(request, &self.daemon.api.to_string()).send(self.daemon.api);
            let events = response.json()["events"].take();
            let messages = events.as_array().into_iter().flatten().map(|event| &event["message"]);
            let lines: Vec<String> =
                messages.filter_map(Value::as_str).map(str::to_owned).collect();
            holds(&lines).then_some(lines)
        })
    }

    /// Waits until it has been called `count` times since it was created, however those calls end.
    #[track_caller]
    pub fn called(&self, count: usize) {
        let begun = |lines: &[String]| {
            lines.iter().filter(|line| line.starts_with("START RequestId: ")).count() >= count
        };
        self.log_until("the call has begun", begun);
    }

    /// Replaces its code and waits.
    #[track_caller]
    pub fn replace(&self, package: &[u8]) {
        let body = json!({"ZipFile": STANDARD.encode(package)});
        self.daemon.api("PUT", &self.path("code"), &body).expect(200);
        self.settle();
    }

    /// Gives it a public URL and returns the URL's answer from the API.
    #[track_caller]
    pub fn public_url(&self) -> Value {
        let statement = json!({
            "StatementId": "public",
            "Action": "lambda:InvokeFunctionUrl",
            "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        });
        self.daemon.api("POST", &self.path("policy"), &statement).expect(201);
        self.daemon.api("POST", &self.path("url"), &json!({"AuthType": "NONE"})).expect(201).json()
    }
}

impl Drop for Deployed<'_> {
    fn drop(&mut self) {
        if self.kept || std::thread::panicking() {
            return; // Where a test fails, the daemon may be why, and it is stopped anyway.
        }
        let path = format!("/2015-03-31/functions/{}", self.name);
        let response = self.daemon.api("DELETE", &path, &Value::Null);
        // A test may have deleted it itself.
        assert!(matches!(response.status, 204 | 404), "{response:?}");
    }
}

// === impl Invocation ===

impl Invocation {
    /// What the function answered; fails the test if it failed.
    #[track_caller]
    pub fn answer(&self) -> Value {
        assert_eq!(self.response.status, 200, "{:?}", self.response);
        assert_eq!(self.error, None, "{:?}\n{}", self.response, self.log);
        self.response.json()
    }

    /// The error document of a function that failed.
    #[track_caller]
    pub fn failure(&self) -> Value {
        assert_eq!(self.response.status, 200, "{:?}", self.response);
        assert_eq!(self.error.as_deref(), Some("Unhandled"), "{:?}\n{}", self.response, self.log);
        self.response.json()
    }

    /// The request id that the caller sees.
    #[track_caller]
    pub fn request_id(&self) -> &str {
        self.response.header("x-amzn-requestid").expect("every answer carries its request id")
    }
}
