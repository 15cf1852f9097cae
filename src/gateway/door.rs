//! A request through the door: address, permission, event, invocation, response.
//!
//! ```text
//!   address ──► find ──► preflight? ──► permission ──► body ──► event ──► engine ──► response
//!      │          │           │              │           │        │          │
//!      └─ 403 ────┘        200, CORS        403      413, 408  413    429, 502, 503
//! ```
//!
//! Nothing on this way takes a lock or touches a disk. Streaming modes are accepted as configuration
//! and served buffered.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use httpd::{AwsError, BodyError, MessageKey, Peer, collect_body};
use model::url::{AuthType, UrlConfig};
use model::{Home, RequestId};
use pool::{Invocation, Refusal, Throttle};
use sigv4::{PathStyle, Payload, Policy, RequestParts, Secret};
use store::Store;
use tower::Service;

use crate::address::{self, Address};
use crate::admit::{self, Callee, Target};
use crate::engine::Engine;
use crate::event::{IamCaller, UrlRequest};
use crate::{answer, cors, event};

/// Largest request, as AWS counts it: the event that is made of it (6 MiB).
const MAX_REQUEST: usize = 6 * 1024 * 1024;
/// How often a function that changes under a request is looked up again.
const LOOKUPS: usize = 3;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
     https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

/// Where a gateway stands.
#[derive(Debug, Clone)]
pub struct Config {
    /// Account and region.
    pub home: Home,
    /// What follows `.lambda-url.<region>.` in a URL's host, such as `localhost`.
    pub domain: String,
    /// The port of the listener.
    pub port: u16,
}

/// The function URLs of one store, run by one engine.
#[derive(Debug)]
pub struct Gateway<E> {
    config: Config,
    /// `.lambda-url.<region>.<domain>`, lower case.
    suffix: String,
    store: Arc<Store>,
    engine: E,
}

/// A request that is answered without its function's help.
enum Refused {
    /// There is no such URL.
    Unknown,
    /// The caller may not.
    Forbidden,
    /// The signature is not good enough.
    Signature(sigv4::Refusal),
    /// The body was not read.
    Body(BodyError),
    /// The event is too large.
    TooLarge,
    /// The function is being made ready.
    Pending,
    /// There is no room.
    Throttled(Throttle),
    /// The function failed, or never was ready.
    Failed,
    /// Nothing new is served.
    Stopping,
    /// The function could not be run, which is no fault of its own.
    Ours,
}

// === impl Gateway ===

impl<E: Engine> Gateway<E> {
    /// A gateway; nothing happens before it is asked.
    pub fn new(config: Config, store: Arc<Store>, engine: E) -> Self {
        let suffix = format!(".lambda-url.{}.{}", config.home.region, config.domain);
        Self { suffix: suffix.to_ascii_lowercase(), config, store, engine }
    }

    /// The gateway as what a listener serves.
    pub fn into_service(
        self,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static {
        let gateway = Arc::new(self);
        tower::service_fn(move |request| {
            let gateway = Arc::clone(&gateway);
            async move { Ok(gateway.answer(request).await) }
        })
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let request_id = RequestId::random();
        let (parts, body) = request.into_parts();
        let trace_id = trace_id(&parts.headers);
        let (url, result) = self.serve(&parts, body, &request_id, &trace_id).await;
        let mut response = match result {
            Ok(response) => response.map(Body::from),
            Err(refused) => refused.into_response(&request_id),
        };
        let headers = response.headers_mut();
        // An id is hexadecimal, a trace was checked: both are always fit for a header.
        for (name, text) in [(REQUEST_ID, request_id.as_str()), (TRACE_ID, &trace_id)] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        if let Some(cors) = url.as_deref().and_then(|url| url.cors.as_ref()) {
            cors::apply(cors, &parts.headers, headers);
        }
        response
    }

    /// The response, and the URL whose configuration it is to be dressed with.
    async fn serve(
        &self,
        parts: &Parts,
        body: Body,
        request_id: &RequestId,
        trace_id: &Arc<str>,
    ) -> (Option<Arc<UrlConfig>>, Result<Response<Bytes>, Refused>) {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let address = address::read(host, parts.uri.path(), &self.suffix);
        let found = admit::find(&self.store.snapshot(), &address, request_id);
        let Some(target) = found else { return (None, Err(Refused::Unknown)) };
        if let Some(cors) = &target.url.cors
            && let Some(headers) = cors::preflight(cors, &parts.method, &parts.headers)
        {
            let mut response = Response::new(Bytes::new());
            *response.headers_mut() = headers;
            return (None, Ok(response));
        }
        let url = Arc::clone(&target.url);
        let result = self.invoke(parts, body, &address, target, request_id, trace_id).await;
        (Some(url), result)
    }

    async fn invoke(
        &self,
        parts: &Parts,
        body: Body,
        address: &Address<'_>,
        target: Target,
        request_id: &RequestId,
        trace_id: &Arc<str>,
    ) -> Result<Response<Bytes>, Refused> {
        // What is not public needs a signature, and a signature needs the body: only claims that
        // could be true are worth reading one for.
        let signed = target.url.auth == AuthType::AwsIam;
        if !signed && !target.public {
            return Err(Refused::Forbidden);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claim = if signed { Some(self.claim(parts, now.as_secs())?) } else { None };
        let body = collect_body(body, MAX_REQUEST).await.map_err(Refused::Body)?;
        let caller = match claim {
            Some(claim) => Some(self.verify(claim, &body)?),
            None => None,
        };
        let path = match address {
            Address::Function { path, .. } => path,
            Address::Url(_) | Address::Nothing => parts.uri.path(),
        };
        let url_id = target.url.id.as_str();
        let domain = [url_id, &self.suffix].concat();
        let event = event::encode(&UrlRequest {
            method: &parts.method,
            path,
            query: parts.uri.query().unwrap_or_default(),
            version: parts.version,
            headers: &parts.headers,
            body: &body,
            source: parts.extensions.get::<Peer>().map(|peer| peer.0.ip()),
            url_id,
            domain: &domain,
            port: self.config.port,
            request_id: request_id.as_str(),
            trace_id,
            time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            caller: caller.as_ref(),
        });
        drop(body);
        if event.len() > MAX_REQUEST {
            return Err(Refused::TooLarge);
        }
        let event = Bytes::from(event);
        self.run(address, target, request_id, trace_id, event).await
    }

    /// Runs the event, on what the URL calls by then if that changes under it.
    async fn run(
        &self,
        address: &Address<'_>,
        mut target: Target,
        request_id: &RequestId,
        trace_id: &Arc<str>,
        event: Bytes,
    ) -> Result<Response<Bytes>, Refused> {
        for _ in 0..LOOKUPS {
            let runnable = match target.callee {
                Callee::Ready(runnable) => runnable,
                Callee::Pending => return Err(Refused::Pending),
                Callee::Broken => return Err(Refused::Failed),
            };
            let arn = admit::invoked_arn(&self.config.home, &target.url);
            let mut invocation = Invocation::new(runnable, *request_id, arn.into(), event.clone());
            invocation.trace_id = Arc::clone(trace_id);
            match self.engine.invoke(invocation).await {
                Ok(outcome) if outcome.function_error.is_some() => return Err(Refused::Failed),
                Ok(outcome) => return Ok(answer::response(&outcome.payload)),
                Err(Refusal::Throttled(by)) => return Err(Refused::Throttled(by)),
                Err(Refusal::Stopping) => return Err(Refused::Stopping),
                Err(refusal @ (Refusal::StartFailed { .. } | Refusal::Closed)) => {
                    tracing::error!(%request_id, %refusal, "a function could not be run");
                    return Err(Refused::Ours);
                }
                Err(Refusal::Retired) => {
                    let found = admit::find(&self.store.snapshot(), address, request_id);
                    // Another URL may have another policy; this request was let in by this one.
                    target = found
                        .filter(|found| found.url == target.url && found.public == target.public)
                        .ok_or(Refused::Unknown)?;
                }
            }
        }
        Err(Refused::Pending)
    }

    fn claim<'a>(&self, parts: &'a Parts, now: u64) -> Result<sigv4::Claim<'a>, Refused> {
        let policy = Policy {
            region: self.config.home.region.as_str(),
            services: &["lambda"],
            paths: PathStyle::Normalised,
            unsigned_payload: false,
        };
        let request = RequestParts {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
        };
        sigv4::Claim::read(request, &policy, now).map_err(|refusal| match refusal {
            sigv4::Refusal::MissingToken => Refused::Forbidden,
            refusal => Refused::Signature(refusal),
        })
    }

    /// Every key is the account's own, and its owner may do everything.
    fn verify(&self, claim: sigv4::Claim<'_>, body: &[u8]) -> Result<IamCaller, Refused> {
        let snapshot = self.store.snapshot();
        let secret = |id: &str| snapshot.key(id).map(|key| Secret::new(&key.secret));
        let verified = claim.verify(Payload::Bytes(body), secret).map_err(Refused::Signature)?;
        let account = self.config.home.account.to_string();
        Ok(IamCaller { access_key: verified.access_key_id, account })
    }
}

// === impl Refused ===

impl Refused {
    fn into_response(self, request_id: &RequestId) -> Response<Body> {
        let error = match self {
            Self::Failed => return answer::internal_server_error().map(Body::from),
            Self::Unknown => {
                let mut error = AwsError::new(StatusCode::FORBIDDEN, "AccessDeniedException", "");
                error.message = None;
                error
            }
            Self::Forbidden => {
                AwsError::new(StatusCode::FORBIDDEN, "AccessDeniedException", FORBIDDEN)
            }
            Self::Signature(refusal) => {
                AwsError::new(refusal.status(), refusal.code(), refusal.to_string())
            }
            Self::TooLarge | Self::Body(BodyError::TooLarge { .. }) => {
                let text = format!(
                    "Request must be smaller than {MAX_REQUEST} bytes for the InvokeFunction operation"
                );
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                let mut error = AwsError::new(status, "RequestEntityTooLargeException", text);
                error.key = MessageKey::Capital;
                error
            }
            Self::Body(err) => {
                let code = match &err {
                    BodyError::TooSlow => "RequestTimeoutException",
                    BodyError::NoRoom => "ServiceUnavailableException",
                    _ => "BadRequestException",
                };
                AwsError::new(err.status(), code, err.to_string())
            }
            Self::Throttled(by) => AwsError::user(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                "Rate Exceeded.",
            )
            .member("Reason", by.reason())
            .header(RETRY_AFTER, HeaderValue::from_static("1")),
            Self::Pending => unavailable("The function is not ready yet. Try again in a moment."),
            Self::Stopping => unavailable("The service is stopping."),
            Self::Ours => {
                AwsError::service("An error occurred and the request cannot be processed.")
            }
        };
        error.into_response(request_id)
    }
}

fn unavailable(text: &'static str) -> AwsError {
    AwsError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException", text)
        .header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// The trace a request belongs to: its own, if it names one of the form X-Ray gives them.
fn trace_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get(TRACE_ID).and_then(|value| value.to_str().ok());
    if let Some(given) = given.filter(|given| given.starts_with("Root=1-") && given.len() <= 256) {
        return given.into();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let random = u128::from_le_bytes(model::id::random_bytes()) >> 32;
    let mut drawn = String::with_capacity("Root=1-".len() + 8 + 1 + 24);
    // Writing to a text cannot fail.
    let _written = write!(drawn, "Root=1-{:08x}-{random:024x}", now.as_secs());
    drawn.into()
}

#[cfg(test)]
mod tests;
