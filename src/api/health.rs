//! For whoever watches over the process: is it there, can it serve, what does it count.
//!
//! `/healthz` and `/readyz` are the only paths that ask for no credentials: they say one bit each, and which
//! runtimes are served.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use httpd::local_only;
use serde_json::json;
use telemetry::metrics::{CONTENT_TYPE as METRICS_TYPE, METRICS};

use crate::credentials::Access;
use crate::errors;
use crate::query::Query;
use crate::respond::Answer;
use crate::server::Api;

/// Answers what needs no credentials; `None` if that is not what is asked for.
pub(crate) fn answer(api: &Api, parts: &Parts) -> Option<Answer> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return None;
    }
    match parts.uri.path() {
        "/healthz" => Some(text(StatusCode::OK, "ok\n")),
        "/readyz" if api.store.is_poisoned() => Some(text(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the database takes no more changes; restart\n",
        )),
        "/readyz" => Some(ready(api)),
        "/metrics" if api.open_metrics && !is_a_web_pages(api, parts) => {
            Some(Query::parse(parts.uri.query()).and_then(|query| metrics(api, &query)))
        }
        _ => None,
    }
}

/// Where nobody signs, a web page may not read either.
fn is_a_web_pages(api: &Api, parts: &Parts) -> bool {
    let Access::Open { hosts } = &api.access else { return false };
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    local_only::check(&parts.headers, &hosts).is_err()
}

/// Ready, and for what: the command line chooses a runtime from this list when a folder names none.
fn ready(api: &Api) -> Answer {
    let runtimes: Vec<&str> = api.catalogue.identifiers().collect();
    let document = json!({ "ready": true, "runtimes": runtimes });
    let mut response = Response::new(Body::from(document.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Everything that is counted, in Prometheus' text format; or what is counted of one function, if the
/// query names one: a series per function would make every scrape grow with their number.
pub(crate) fn metrics(api: &Api, query: &Query<'_>) -> Answer {
    let text = match query.get("function") {
        None => METRICS.render(),
        Some(name) => {
            let snapshot = api.store.snapshot();
            let found = snapshot.function(name);
            let function = found.ok_or_else(|| errors::function_not_found(name))?;
            api.pool.starts(function.id).render(name)
        }
    };
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
    Ok(response)
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
