//! What is promised to callers of function URLs, on a real store and an engine that writes down what
//! it is asked.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use httpd::{Peer, collect_body};
use model::configuration::{
    Architecture, Description, EphemeralStorage, Handler, MemorySize, RoleArn, RuntimeId, Timeout,
};
use model::name::AliasName;
use model::policy::Statement;
use model::url::{AuthType, Cors, UrlConfig};
use model::{Configuration, Digest, FunctionName, Home, Version};
use pool::{Durations, FunctionError, Invocation, Outcome, Refusal, Throttle};
use serde_json::Value;
use sigv4::sign::Scope;
use sigv4::{Credentials, PathStyle, Payload, Secret, sign};
use store::{
    AccessKey, AliasChange, Code, Failure, FailureCode, Function, NewAlias, NewFunction, NewUrl,
    PolicyScope, Publication, Settlement, Store,
};

use super::{Config, Gateway, MAX_REQUEST};
use crate::engine::Engine;

const NAME: &str = "echo";

/// Answers with the event, or with what was laid out for it.
#[derive(Debug, Default, Clone)]
struct Recorder {
    calls: Arc<Mutex<Vec<Invocation>>>,
    results: Arc<Mutex<VecDeque<Result<Outcome, Refusal>>>>,
}

impl Engine for Recorder {
    async fn invoke(&self, invocation: Invocation) -> Result<Outcome, Refusal> {
        let payload = invocation.payload.clone();
        self.calls.lock().unwrap().push(invocation);
        self.results.lock().unwrap().pop_front().unwrap_or_else(|| returned(payload))
    }
}

fn returned(payload: impl Into<Bytes>) -> Result<Outcome, Refusal> {
    Ok(Outcome {
        payload: payload.into(),
        function_error: None,
        log_tail: None,
        executed_version: Version::Latest,
        durations: Durations::default(),
    })
}

struct World {
    store: Arc<Store>,
    engine: Recorder,
    gateway: Gateway<Recorder>,
    _folder: tempfile::TempDir,
}

/// A response that was read to its end.
#[derive(Debug)]
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: String,
}

// === impl World ===

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("control.db")).unwrap());
        let engine = Recorder::default();
        let config = Config { home: Home::default(), domain: "localhost".to_owned(), port: 8080 };
        let gateway = Gateway::new(config, Arc::clone(&store), engine.clone());
        Self { store, engine, gateway, _folder: folder }
    }

    /// With a function that has a URL.
    async fn with_url(auth: AuthType, cors: Option<Cors>) -> (Self, Arc<UrlConfig>) {
        let world = Self::new();
        let name = world.create().await;
        let new = NewUrl { alias: None, auth, cors, invoke_mode: None, at_ms: 1 };
        let url = world.store.create_url(&name, new).await.unwrap();
        (world, url)
    }

    /// With a function that has a URL anybody may call.
    async fn public() -> (Self, Arc<UrlConfig>) {
        let (world, url) = Self::with_url(AuthType::None, None).await;
        world.open("*", "lambda:InvokeFunctionUrl", Some("NONE")).await;
        (world, url)
    }

    async fn create(&self) -> FunctionName {
        let function = self.create_pending().await;
        let (name, generation) = (&function.name, function.latest.generation);
        self.store.settle(name, generation, Settlement::Ready).await.unwrap();
        name.clone()
    }

    async fn create_pending(&self) -> Arc<Function> {
        let new = NewFunction {
            name: FunctionName::parse(NAME).unwrap(),
            code: Code { digest: Digest([1; 32]), size: 1 },
            configuration: Configuration {
                runtime: RuntimeId::parse("python3.11").unwrap(),
                handler: Handler::parse("app.handler").unwrap(),
                role: RoleArn::parse("arn:aws:iam::000000000000:role/r").unwrap(),
                description: Description::parse("").unwrap(),
                timeout: Timeout::DEFAULT,
                memory: MemorySize::DEFAULT,
                tmp: EphemeralStorage::DEFAULT,
                environment: None,
                architecture: Architecture::X86_64,
                log_group: None,
                snap_start: model::configuration::SnapStart::None,
                layers: None,
            },
            tags: BTreeMap::new(),
            publish: false,
            at_ms: 1,
        };
        self.store.create_function(new).await.unwrap()
    }

    async fn open(&self, principal: &str, action: &str, url_auth: Option<&str>) {
        self.open_scope(PolicyScope::Function, principal, action, url_auth).await;
    }

    async fn open_scope(
        &self,
        scope: PolicyScope,
        principal: &str,
        action: &str,
        url_auth: Option<&str>,
    ) {
        let statement = Statement {
            id: "open".to_owned(),
            action: action.to_owned(),
            principal: principal.to_owned(),
            source_arn: None,
            source_account: None,
            event_source_token: None,
            principal_org_id: None,
            url_auth: url_auth.map(str::to_owned),
            via_url: None,
        };
        let name = FunctionName::parse(NAME).unwrap();
        self.store.add_statement(&name, scope, None, statement, |_| 1).await.unwrap();
    }

    async fn send(&self, mut request: Request<Body>) -> Answered {
        let peer: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        request.extensions_mut().insert(Peer(peer));
        Answered::read(self.gateway.answer(request).await).await
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(request(Method::GET, path, &[], "")).await
    }

    fn calls(&self) -> Vec<Invocation> {
        self.engine.calls.lock().unwrap().clone()
    }

    fn next_is(&self, result: Result<Outcome, Refusal>) {
        self.engine.results.lock().unwrap().push_back(result);
    }
}

// === impl Answered ===

impl Answered {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = collect_body(body, usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(path).header("host", "localhost:8080");
    for (name, value) in headers {
        if *name == "host" {
            builder.headers_mut().unwrap().insert("host", value.parse().unwrap());
        } else {
            builder = builder.header(*name, *value);
        }
    }
    builder.body(Body::from(body.to_owned())).unwrap()
}

const FORBIDDEN: &str = r#"{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}"#;

#[tokio::test]
async fn a_public_url_is_called_in_both_styles() {
    let (world, url) = World::public().await;
    let host = format!("{}.lambda-url.us-east-1.localhost:8080", url.id);
    let host_style = request(Method::POST, "/a/b?c=d", &[("host", &host)], "hi");
    let path_style = request(Method::POST, "/echo/a/b?c=d", &[], "hi");
    for request in [host_style, path_style] {
        let answered = world.send(request).await;
        assert_eq!(answered.status, 200);
        let event: Value = serde_json::from_str(&answered.body).unwrap();
        assert_eq!(event["rawPath"], "/a/b");
        assert_eq!(event["rawQueryString"], "c=d");
        assert_eq!(event["body"], "hi");
        let context = &event["requestContext"];
        assert_eq!(context["http"]["sourceIp"], "192.0.2.7");
        assert_eq!(context["apiId"], url.id.as_str());
        assert_eq!(
            context["domainName"],
            format!("{}.lambda-url.us-east-1.localhost", url.id).as_str()
        );
        assert_eq!(context["requestId"], answered.header("x-amzn-requestid"));
        assert_eq!(event["headers"]["x-amzn-trace-id"], answered.header("x-amzn-trace-id"));
    }
    for call in world.calls() {
        assert_eq!(&*call.invoked_arn, "arn:aws:lambda:us-east-1:000000000000:function:echo");
        assert!(call.trace_id.starts_with("Root=1-") && call.trace_id.len() == 40, "{call:?}");
    }
}

#[tokio::test]
async fn a_trace_that_came_along_is_kept_and_nonsense_is_not() {
    let (world, _) = World::public().await;
    for (given, kept) in
        [("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", true), ("x", false)]
    {
        let request = request(Method::GET, "/echo", &[("x-amzn-trace-id", given)], "");
        let answered = world.send(request).await;
        assert_eq!(answered.header("x-amzn-trace-id") == given, kept);
    }
}

#[tokio::test]
async fn what_is_no_url_is_forbidden_without_a_word() {
    let world = World::new();
    world.create().await;
    let (other, url) = World::public().await;
    drop(other);
    let gone = format!("{}.lambda-url.us-east-1.localhost", url.id);
    for request in [
        request(Method::GET, "/", &[], ""),
        // A function there is, without a URL.
        request(Method::GET, "/echo/a", &[], ""),
        request(Method::GET, "/nobody", &[], ""),
        request(Method::GET, "/echo", &[("host", &gone)], ""),
        request(Method::GET, "/echo", &[("host", "x.lambda-url.us-east-1.localhost")], ""),
    ] {
        let answered = world.send(request).await;
        assert_eq!((answered.status, answered.body.as_str()), (403, r#"{"Message":null}"#));
        assert_eq!(answered.header("x-amzn-errortype"), "AccessDeniedException");
    }
    assert!(world.calls().is_empty());
}

#[tokio::test]
async fn a_url_without_a_statement_that_opens_it_is_forbidden() {
    let (world, _) = World::with_url(AuthType::None, None).await;
    let answered = world.get("/echo").await;
    assert_eq!((answered.status, answered.body.as_str()), (403, FORBIDDEN));
    assert_eq!(answered.header("x-amzn-errortype"), "AccessDeniedException");
    for (principal, action, url_auth) in [
        ("000000000000", "lambda:InvokeFunctionUrl", Some("NONE")),
        ("*", "lambda:InvokeFunction", Some("NONE")),
        ("*", "lambda:InvokeFunctionUrl", Some("AWS_IAM")),
    ] {
        let (world, _) = World::with_url(AuthType::None, None).await;
        world.open(principal, action, url_auth).await;
        assert_eq!(world.get("/echo").await.body, FORBIDDEN, "{principal} {action}");
        assert!(world.calls().is_empty());
    }
}

#[tokio::test]
async fn a_url_that_asks_for_signatures_takes_signed_requests_alone() {
    let (world, _) = World::with_url(AuthType::AwsIam, None).await;
    // A statement that opens URLs of the other kind changes nothing.
    world.open("*", "lambda:InvokeFunctionUrl", None).await;
    let key = AccessKey { id: "AKID".to_owned(), secret: "secret".to_owned(), created_ms: 1 };
    world.store.put_key(key).await.unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let signed = |id: &str, secret: &str| {
        let mut request = request(Method::POST, "/echo/a?b=c", &[], "body");
        let credentials = Credentials { access_key_id: id.to_owned(), secret: Secret::new(secret) };
        let scope = Scope { region: "us-east-1", service: "lambda", paths: PathStyle::Normalised };
        let (target, body) = (("/echo/a", Some("b=c")), Payload::Bytes(b"body"));
        sign(&credentials, scope, &Method::POST, target, request.headers_mut(), body, now).unwrap();
        request
    };
    let answered = world.send(signed("AKID", "secret")).await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    let event: Value = serde_json::from_str(&answered.body).unwrap();
    assert_eq!(event["requestContext"]["authorizer"]["iam"]["accessKey"], "AKID");

    let answered = world.get("/echo/a").await;
    assert_eq!((answered.status, answered.body.as_str()), (403, FORBIDDEN));
    let answered = world.send(signed("AKID", "other")).await;
    assert_eq!(answered.status, 403);
    assert_eq!(answered.header("x-amzn-errortype"), "InvalidSignatureException");
    let answered = world.send(signed("NOBODY", "secret")).await;
    assert_eq!(answered.header("x-amzn-errortype"), "UnrecognizedClientException");
    let mut tampered = signed("AKID", "secret");
    *tampered.body_mut() = Body::from("bodY");
    assert_eq!(world.send(tampered).await.header("x-amzn-errortype"), "InvalidSignatureException");
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test]
async fn a_request_that_makes_too_large_an_event_is_413() {
    let (world, _) = World::public().await;
    let expected = r#"{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}"#;
    // Above the limit itself; below it, but not once the event is made of it.
    for size in [MAX_REQUEST + 1, MAX_REQUEST] {
        let request = request(Method::POST, "/echo", &[], &"x".repeat(size));
        let answered = world.send(request).await;
        assert_eq!((answered.status, answered.body.as_str()), (413, expected));
        assert_eq!(answered.header("x-amzn-errortype"), "RequestEntityTooLargeException");
    }
    let fits = request(Method::POST, "/echo", &[], &"x".repeat(MAX_REQUEST - 2048));
    assert_eq!(world.send(fits).await.status, 200);
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test]
async fn what_the_function_returns_is_the_response() {
    let (world, _) = World::public().await;
    world.next_is(returned(&br#"{"statusCode":418,"headers":{"X-A":"b"},"body":"tea"}"#[..]));
    let answered = world.get("/echo").await;
    assert_eq!((answered.status, answered.body.as_str()), (418, "tea"));
    assert_eq!(answered.header("x-a"), "b");
}

#[tokio::test]
async fn every_way_of_not_being_served_has_its_answer() {
    let (world, _) = World::public().await;
    let failed = Outcome {
        function_error: Some(FunctionError::Unhandled),
        ..returned(r#"{"errorMessage":"private"}"#).unwrap()
    };
    let detail = "private".to_owned();
    let ours =
        r#"{"Message":"An error occurred and the request cannot be processed.","Type":"Service"}"#;
    for (result, status, body) in [
        (Ok(failed), 502, "Internal Server Error"),
        (returned("no json"), 502, "Internal Server Error"),
        (Err(Refusal::Stopping), 503, r#"{"message":"The service is stopping."}"#),
        (Err(Refusal::StartFailed { detail }), 500, ours),
        (Err(Refusal::Closed), 500, ours),
    ] {
        world.next_is(result);
        let answered = world.get("/echo").await;
        assert_eq!((answered.status, answered.body.as_str()), (status, body));
        assert_eq!(answered.header("x-amzn-requestid").len(), 36);
    }
}

#[tokio::test]
async fn a_throttled_request_is_told_why_and_when_to_come_again() {
    let (world, _) = World::public().await;
    for (by, reason) in [
        (Throttle::Account, "ConcurrentInvocationLimitExceeded"),
        (Throttle::Function, "ReservedFunctionConcurrentInvocationLimitExceeded"),
    ] {
        world.next_is(Err(Refusal::Throttled(by)));
        let answered = world.get("/echo").await;
        assert_eq!((answered.status, answered.header("retry-after")), (429, "1"));
        assert_eq!(answered.header("x-amzn-errortype"), "TooManyRequestsException");
        let body: Value = serde_json::from_str(&answered.body).unwrap();
        let expected =
            serde_json::json!({"Reason": reason, "Type": "User", "message": "Rate Exceeded."});
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn a_function_that_changes_under_a_request_is_looked_up_again() {
    let (world, _) = World::public().await;
    world.next_is(Err(Refusal::Retired));
    assert_eq!(world.get("/echo").await.status, 200);
    assert_eq!(world.calls().len(), 2);
    (0..3).for_each(|_| world.next_is(Err(Refusal::Retired)));
    assert_eq!(world.get("/echo").await.status, 503);
}

#[tokio::test]
async fn a_function_that_is_not_ready_is_503_and_one_that_cannot_be_is_502() {
    let world = World::new();
    let function = world.create_pending().await;
    let new = NewUrl { alias: None, auth: AuthType::None, cors: None, invoke_mode: None, at_ms: 1 };
    world.store.create_url(&function.name, new).await.unwrap();
    world.open("*", "lambda:InvokeFunctionUrl", Some("NONE")).await;
    let answered = world.get("/echo").await;
    assert_eq!((answered.status, answered.header("retry-after")), (503, "1"));

    let failure = Failure { code: FailureCode::InvalidZipFile, reason: String::new() };
    let broken = Settlement::Broken(failure);
    world.store.settle(&function.name, function.latest.generation, broken).await.unwrap();
    let answered = world.get("/echo").await;
    assert_eq!((answered.status, answered.body.as_str()), (502, "Internal Server Error"));

    world.store.delete_function(&function.name).await.unwrap();
    assert_eq!(world.get("/echo").await.status, 403);
    assert!(world.calls().is_empty());
}

#[tokio::test]
async fn the_url_of_an_alias_calls_what_it_points_to_and_is_let_in_by_its_own_policy() {
    let world = World::new();
    let name = world.create().await;
    world.store.publish_version(&name, Publication::default()).await.unwrap();
    let alias = AliasName::parse("live").unwrap();
    let new = NewAlias {
        name: alias.clone(),
        version: Version::Latest,
        description: Description::default(),
        second: None,
    };
    world.store.create_alias(&name, new).await.unwrap();
    let new = NewUrl {
        alias: Some(alias.clone()),
        auth: AuthType::None,
        cors: None,
        invoke_mode: None,
        at_ms: 1,
    };
    let url = world.store.create_url(&name, new).await.unwrap();
    let host = format!("{}.lambda-url.us-east-1.localhost:8080", url.id);
    let get = async || world.send(request(Method::GET, "/", &[("host", &host)], "")).await.status;

    world.open("*", "lambda:InvokeFunctionUrl", Some("NONE")).await;
    assert_eq!(get().await, 403, "the function's own policy says nothing of its alias");
    let scope = PolicyScope::Alias(alias.clone());
    world.open_scope(scope, "*", "lambda:InvokeFunctionUrl", Some("NONE")).await;
    assert_eq!(get().await, 200);
    let moved = AliasChange { version: Some(Version::Number(1)), ..AliasChange::default() };
    world.store.update_alias(&name, alias.clone(), moved).await.unwrap();
    assert_eq!(get().await, 200);
    let versions: Vec<Version> = world.calls().iter().map(|call| call.function.version).collect();
    assert_eq!(versions, [Version::Latest, Version::Number(1)]);
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:echo:live";
    assert!(world.calls().iter().all(|call| &*call.invoked_arn == arn));

    world.store.delete_alias(&name, alias.clone()).await.unwrap();
    assert_eq!(get().await, 403, "a URL of nothing");
    assert_eq!(world.calls().len(), 2);
}

#[tokio::test]
async fn cross_origin_sharing_is_answered_by_the_gateway() {
    let cors = Cors {
        allow_origins: Some(vec!["https://a.example".to_owned()]),
        allow_methods: Some(vec!["PUT".to_owned()]),
        ..Cors::default()
    };
    let (world, _) = World::with_url(AuthType::None, Some(cors)).await;
    let origin = ("origin", "https://a.example");
    let asked = ("access-control-request-method", "PUT");
    let preflight = request(Method::OPTIONS, "/echo", &[origin, asked], "");
    let answered = world.send(preflight).await;
    assert_eq!((answered.status, answered.body.as_str()), (200, ""));
    assert_eq!(answered.header("access-control-allow-origin"), "https://a.example");
    assert_eq!(answered.header("access-control-allow-methods"), "PUT");
    assert!(world.calls().is_empty());

    // The page may read refusals too, or nobody would know what is wrong.
    let answered = world.send(request(Method::PUT, "/echo", &[origin], "")).await;
    assert_eq!(answered.status, 403);
    assert_eq!(answered.header("access-control-allow-origin"), "https://a.example");
    world.open("*", "lambda:InvokeFunctionUrl", Some("NONE")).await;
    world.next_is(returned(
        &br#"{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*"}}"#[..],
    ));
    let answered = world.send(request(Method::PUT, "/echo", &[origin], "")).await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("access-control-allow-origin"), "https://a.example");
}
