//! Promises about sizes and numbers, each limit from both sides, and about the end.

use super::*;
use crate::body::MAX_RESPONSE;

#[tokio::test]
async fn the_largest_answer_is_taken() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let body = vec![b'7'; MAX_RESPONSE];
    assert_eq!(client.post(&response_path(&event), "", &body).await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response(body.into()));
}

#[tokio::test]
async fn one_byte_more_is_too_large_and_the_connection_goes_on() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let body = vec![b'7'; MAX_RESPONSE + 1];
    let refused = client.post(&response_path(&event), "", &body).await;
    is_error(&refused, 413, "RequestEntityTooLarge");
    assert!(refused.text().contains("Exceeded maximum allowed payload size (6291556 bytes)."));
    assert_eq!(heard(answer).await, Answer::Oversize);
    let event = an_event(b"{}");
    let answer = sandbox.handle.offer(event.clone());
    assert_eq!(client.next().await.status, 200);
    assert_eq!(client.post(&response_path(&event), "", b"1").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("1".into()));
}

#[tokio::test]
async fn a_chunked_answer_has_the_same_limit() {
    for (extra, status) in [(0, 202), (1, 413)] {
        let sandbox = Sandbox::new();
        let (mut client, event, answer) = sandbox.running().await;
        let whole = vec![b'7'; MAX_RESPONSE + extra];
        let chunks: Vec<&[u8]> = whole.chunks(100_000).collect();
        let taken = client.post_chunked(&response_path(&event), "", &chunks, "").await;
        assert_eq!(taken.status, status);
        match heard(answer).await {
            Answer::Response(body) => assert_eq!((body.len(), status), (MAX_RESPONSE, 202)),
            other => assert_eq!((other, status), (Answer::Oversize, 413)),
        }
    }
}

#[tokio::test]
async fn an_error_document_that_is_too_large_is_an_answer_that_is() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let body = vec![b'7'; MAX_RESPONSE + 1];
    let refused = client.post(&error_path(&event), "", &body).await;
    is_error(&refused, 413, "RequestEntityTooLarge");
    assert_eq!(heard(answer).await, Answer::Oversize);
}

#[tokio::test]
async fn the_largest_event_is_delivered() {
    let sandbox = Sandbox::new();
    let payload = Bytes::from(vec![b'7'; MAX_RESPONSE]);
    let _answer = sandbox.handle.offer(Event { payload: payload.clone(), ..an_event(b"") });
    let received = sandbox.connect().await.next().await;
    assert_eq!(received.body, payload);
}

#[tokio::test]
async fn a_mebibyte_of_error_cause_fits_into_a_header_and_two_do_not() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let cause =
        |size| format!("Lambda-Runtime-Function-XRay-Error-Cause: {}\r\n", "x".repeat(size));
    let taken = client.post(&error_path(&event), &cause(1024 * 1024), b"{}").await;
    assert_eq!(taken.status, 202);
    assert_eq!(heard(answer).await, Answer::Failed("{}".into()));

    let (mut client, event, _answer) = sandbox.running().await;
    let head = format!("POST {} HTTP/1.1\r\n{}", error_path(&event), cause(2 * 1024 * 1024));
    // The server may close before it has read all of this.
    let _result = tokio::io::AsyncWriteExt::write_all(&mut client.socket, head.as_bytes()).await;
    assert!(client.try_receive().await.is_none_or(|received| received.status == 431));
}

#[tokio::test]
async fn only_one_large_head_is_read_at_a_time() {
    let sandbox = Sandbox::new();
    let half = format!("POST /x HTTP/1.1\r\nA: {}", "x".repeat(200 * 1024));
    let mut first = sandbox.connect().await;
    first.send(&half).await;
    assert!(first.is_quiet().await);
    let mut second = sandbox.connect().await;
    let _result = tokio::io::AsyncWriteExt::write_all(&mut second.socket, half.as_bytes()).await;
    second.ended().await;
    first.send("\r\nContent-Length: 0\r\n\r\n").await;
    is_error(&first.receive().await, 404, "NotFound");
    let mut third = sandbox.connect().await;
    third.send(&half).await;
    third.send("\r\nContent-Length: 0\r\n\r\n").await;
    is_error(&third.receive().await, 404, "NotFound");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let sandbox = Sandbox::new();
    let mut open = Vec::new();
    for _ in 0..Limits::default().connections {
        let mut client = sandbox.connect().await;
        client.send("GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(client.receive().await.status, 200);
        open.push(client);
    }
    let mut waiting = sandbox.connect().await;
    waiting.send("GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(waiting.is_quiet().await);
    open.pop();
    assert_eq!(waiting.receive().await.status, 200);
}

#[tokio::test]
async fn a_sandbox_that_takes_all_common_places_leaves_the_others_theirs() {
    let limits = Limits { certain_connections: 2, further_connections: 3, ..Limits::default() };
    let api = RuntimeApi::new(limits);
    let (greedy, modest) = (Sandbox::on(&api), Sandbox::on(&api));
    let ping = "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut taken = Vec::new();
    for _ in 0..5 {
        let mut client = greedy.connect().await;
        client.send(ping).await;
        assert_eq!(client.receive().await.status, 200);
        taken.push(client);
    }
    let mut sixth = greedy.connect().await;
    sixth.send(ping).await;
    assert!(sixth.is_quiet().await);
    let mut own = Vec::new();
    for _ in 0..2 {
        let mut client = modest.connect().await;
        client.send(ping).await;
        assert_eq!(client.receive().await.status, 200);
        own.push(client);
    }
    drop(greedy);
    let mut third = modest.connect().await;
    third.send(ping).await;
    assert_eq!(third.receive().await.status, 200);
}

#[tokio::test]
async fn refused_requests_are_rationed() {
    let sandbox = Sandbox::new();
    let mut client = sandbox.connect().await;
    let begun = Instant::now();
    // A burst of 256, of which the connection took one, then 16 a second.
    for _ in 0..255 + 8 {
        is_error(&client.post("/wrong", "", b"").await, 404, "NotFound");
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_end_of_the_session_closes_the_listener_and_every_connection() {
    let sandbox = Sandbox::new();
    let mut waiting = sandbox.connect().await;
    waiting.ask_next().await;
    sandbox.handle.started().await;
    let mut idle = sandbox.connect().await;
    let mut halfway = sandbox.connect().await;
    halfway.send("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Le").await;
    sandbox.handle.close();
    timeout(PATIENCE, sandbox.serving.ended()).await.expect("in time");
    waiting.ended().await;
    idle.ended().await;
    halfway.ended().await;
    assert!(tokio::net::TcpStream::connect(sandbox.address).await.is_err());
}

#[tokio::test]
async fn an_answer_after_the_end_gets_no_answer() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    client.send_head(&response_path(&event), "", 4).await;
    sandbox.handle.close();
    client.ended().await;
    assert!(answer.await.is_err());
}

#[tokio::test]
async fn dropping_the_server_closes_everything_although_the_session_goes_on() {
    let sandbox = Sandbox::new();
    let mut client = sandbox.connect().await;
    client.ask_next().await;
    sandbox.handle.started().await;
    drop(sandbox.serving);
    client.ended().await;
    assert!(tokio::net::TcpStream::connect(sandbox.address).await.is_err());
}

#[tokio::test]
async fn what_the_pool_is_given_serves_until_the_session_ends() {
    let hook = RuntimeApi::new(Limits::default()).hook();
    let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (handle, session) = session();
    hook(listener.into(), session);
    let event = an_event(b"{}");
    let answer = handle.offer(event.clone());
    let mut client = Client::connect(address).await;
    assert_eq!(client.next().await.status, 200);
    assert_eq!(client.post(&response_path(&event), "", b"1").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("1".into()));
    drop(handle);
    client.ended().await;
}

#[tokio::test]
async fn a_descriptor_that_is_no_listener_is_reported_and_harms_nobody() {
    let hook = RuntimeApi::new(Limits::default()).hook();
    let (handle, session) = session();
    let file = std::fs::File::open("/dev/null").expect("it is there");
    hook(file.into(), session);
    handle.close();
}
