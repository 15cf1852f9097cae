//! Promises about what a runtime gets for what it sends, byte by byte, over real sockets.

mod answers;
mod bounds;
mod client;
mod hostile;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::{Digest, FunctionId, FunctionName, Generation, RequestId, Runnable, Version};
use pool::session::{Answer, Event, Handle, Session, Started, pair};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use client::{Client, Received};

/// Longer than anything takes that is going to happen at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener that is served, and the pool's end of its session.
struct Sandbox {
    address: SocketAddr,
    handle: Handle,
    serving: Serving,
}

// === impl Sandbox ===

impl Sandbox {
    fn new() -> Self {
        Self::on(&RuntimeApi::new(Limits::default()))
    }

    fn on(api: &RuntimeApi) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (handle, session) = session();
        let serving = api.serve(listener.into(), session).expect("it can be served");
        Self { address, handle, serving }
    }

    async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A connection that has an event in hand.
    async fn running(&self) -> (Client, Event, oneshot::Receiver<Answer>) {
        let event = an_event(b"{}");
        let answer = self.handle.offer(event.clone());
        let mut client = self.connect().await;
        assert_eq!(client.next().await.status, 200);
        (client, event, answer)
    }
}

fn session() -> (Handle, Session) {
    pair(Arc::new(Runnable {
        function: FunctionId(1),
        generation: Generation(1),
        name: FunctionName::parse("native").expect("a name"),
        version: Version::Latest,
        runtime: "provided.al2023".to_owned(),
        handler: "bootstrap".to_owned(),
        code: Digest([0; 32]),
        layers: None,
        memory_mib: 128,
        tmp_mib: 512,
        timeout: Duration::from_secs(3),
        environment: Vec::new(),
        log_group: "/aws/lambda/native".to_owned(),
        reserved_concurrency: None,
        concurrency: 1,
    }))
}

fn an_event(payload: &'static [u8]) -> Event {
    Event {
        request_id: RequestId::random(),
        invocation_id: RequestId::random(),
        deadline_ms: 1_795_132_800_000,
        trace_id: "".into(),
        client_context: "".into(),
        cognito_identity: "".into(),
        invoked_arn: "arn:aws:lambda:us-east-1:000000000000:function:native".into(),
        payload: Bytes::from_static(payload),
    }
}

fn response_path(event: &Event) -> String {
    format!("/2018-06-01/runtime/invocation/{}/response", event.request_id)
}

fn error_path(event: &Event) -> String {
    format!("/2018-06-01/runtime/invocation/{}/error", event.request_id)
}

async fn heard(answer: oneshot::Receiver<Answer>) -> Answer {
    timeout(PATIENCE, answer).await.expect("in time").expect("the session is open")
}

fn is_error(received: &Received, status: u16, kind: &str) {
    assert_eq!(received.status, status, "{}", received.text());
    let document: serde_json::Value = serde_json::from_slice(&received.body).expect("JSON");
    assert_eq!(document["errorType"], kind, "{document}");
    assert!(document["errorMessage"].is_string(), "{document}");
}
