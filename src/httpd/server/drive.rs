//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::RequestId;
use telemetry::metrics::{Door, METRICS};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt as _};

use super::Peer;
use super::table::{Line, Shared};
use crate::answers::Weight;
use crate::body::{Receiving, Responding};
use crate::connection::{Connection, Order, Phase};
use crate::framing;
use crate::respond::{AwsError, REQUEST_ID};
use crate::stream::Watched;

/// What hyper reads ahead at most, beside the head: about its own default.
const READ_AHEAD: usize = 400 * 1024;

/// Serves one connection to its end.
pub(super) async fn drive<S>(socket: TcpStream, line: Line, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    // Answers are written whole: waiting for more to send with them only delays them.
    if let Err(err) = socket.set_nodelay(true) {
        tracing::debug!(%err, "a connection closed before it was served");
        return;
    }
    let (connection, shared) = (Arc::clone(&line.connection), Arc::clone(&line.shared));
    let io = TokioIo::new(Watched::new(socket, Arc::clone(&connection), shared.limits.head));
    let handler = service_fn(move |request| {
        let (connection, service) = (Arc::clone(&line.connection), service.clone());
        let shared = Arc::clone(&line.shared);
        async move {
            let response = answer(request, &connection, service, shared.door).await;
            Ok::<_, Infallible>(weighed(response, connection, &shared).await)
        }
    });
    let serving = http1::Builder::new()
        .max_header_size(shared.limits.head)
        .max_buf_size(READ_AHEAD.max(shared.limits.head + 1))
        .serve_connection(io, handler);
    let mut serving = pin!(serving);
    let mut told = false;
    std::future::poll_fn(|cx| {
        let order = connection.order(cx);
        if order == Order::Cut {
            return Poll::Ready(());
        }
        // Where there is no request in hand, hyper would hang up on one that is on its way: such a
        // connection is left alone until it has begun, and closes after its answer (`answer`).
        let in_hand = !matches!(connection.phase(), Phase::Fresh | Phase::Idle);
        if order == Order::Drain && in_hand && !told {
            told = true;
            serving.as_mut().graceful_shutdown();
        }
        serving.as_mut().poll(cx).map(|result| {
            if let Err(err) = result {
                tracing::debug!(%err, peer = %connection.peer, "a connection ended with an error");
            }
        })
    })
    .await;
}

/// Serves one request.
async fn answer<S>(
    request: Request<Incoming>,
    connection: &Arc<Connection>,
    service: S,
    door: Door,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    METRICS.http_requests.of(door).inc();
    let (mut parts, incoming) = request.into_parts();
    let framing = framing::check(&parts, &connection.head());
    if let Err(err) = framing {
        METRICS.http_refused.of(door).inc();
        connection.leave_unread();
        connection.enter(Phase::Serving);
        let error = AwsError::new(StatusCode::BAD_REQUEST, "BadRequestException", err.to_string());
        let mut response = error.into_response(&RequestId::random());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    parts.extensions.insert(Peer(connection.peer));
    let body = if incoming.is_end_stream() {
        connection.enter(Phase::Serving);
        Body::empty()
    } else {
        Body::new(Receiving::new(incoming, Arc::clone(connection)))
    };
    let mut response = match service.oneshot(Request::from_parts(parts, body)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if connection.expects_leftovers() || connection.current_order() == Order::Drain {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status().is_server_error() {
        METRICS.http_failures.of(door).inc();
    }
    response
}

/// An answer ready to be written: with room if it is large, or 503 if there is none.
async fn weighed(
    response: Response<Body>,
    connection: Arc<Connection>,
    shared: &Shared,
) -> Response<Responding> {
    let (parts, mut body) = response.into_parts();
    let weight = Weight::of(&mut body).await;
    if weight.bytes == 0 {
        return Response::from_parts(parts, Responding::new(body, connection));
    }
    if let Some(hold) = shared.hold(weight.bytes, &connection).await {
        let body = Responding::new(body, connection).holding(weight.first, hold);
        return Response::from_parts(parts, body);
    }
    if !parts.status.is_server_error() {
        METRICS.http_failures.of(shared.door).inc();
    }
    let text = "too many large answers are waiting for their readers";
    let code = "ServiceUnavailableException";
    let error = AwsError::new(StatusCode::SERVICE_UNAVAILABLE, code, text);
    let mut refusal = error.into_response(&RequestId::random());
    // Whom it is for, and whether the connection goes on, is as it was.
    for name in [REQUEST_ID, CONNECTION] {
        if let Some(value) = parts.headers.get(&name) {
            refusal.headers_mut().insert(name, value.clone());
        }
    }
    refusal.map(|body| Responding::new(body, connection))
}
