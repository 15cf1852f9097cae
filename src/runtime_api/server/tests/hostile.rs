//! Promises about a runtime that means harm: it harms its own invocation and nothing else.

use super::*;

/// A neighbour does its work; called while somebody misbehaves.
async fn works(sandbox: &Sandbox) {
    let (mut client, event, answer) = sandbox.running().await;
    assert_eq!(client.post(&response_path(&event), "", b"fine").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("fine".into()));
}

#[tokio::test]
async fn garbage_ends_its_own_connection() {
    let sandbox = Sandbox::new();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = sandbox.connect().await;
        client.send(garbage).await;
        if let Some(received) = client.try_receive().await {
            assert!(received.status >= 400, "{}", received.head);
        }
    }
    works(&sandbox).await;
}

#[tokio::test]
async fn a_byte_at_a_time_is_slow_and_right() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ntrue",
        response_path(&event)
    );
    for byte in request.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.receive().await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("true".into()));
}

#[tokio::test]
async fn a_body_that_does_not_end_is_cut_off_and_reported_as_too_large() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        response_path(&event)
    );
    client.send(head).await;
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10_0000, b'x');
    chunk.extend_from_slice(b"\r\n");
    let mut sent = 0;
    while tokio::io::AsyncWriteExt::write_all(&mut client.socket, &chunk).await.is_ok() {
        sent += 1;
        assert!(sent < 200, "it goes on for ever");
    }
    assert_eq!(heard(answer).await, Answer::Oversize);
}

#[tokio::test]
async fn an_announced_gibibyte_is_refused_before_it_comes() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    client.send_head(&response_path(&event), "", 1 << 30).await;
    assert_eq!(heard(answer).await, Answer::Oversize);
}

#[tokio::test]
async fn two_answers_at_once_are_one_answer() {
    let sandbox = Sandbox::new();
    let (mut first, event, answer) = sandbox.running().await;
    first.send_head(&response_path(&event), "", 4).await;
    first.send("tr").await;
    assert!(first.is_quiet().await);
    let mut second = sandbox.connect().await;
    for path in [response_path(&event), error_path(&event)] {
        let refused = second.post(&path, "", b"me first").await;
        is_error(&refused, 403, "InvalidStateTransition");
        assert!(refused.text().contains("from InvocationResponse to Invocation"));
    }
    first.send("ue").await;
    assert_eq!(first.receive().await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("true".into()));
}

#[tokio::test]
async fn half_open_connections_hold_only_the_sandboxs_own_places() {
    let api = RuntimeApi::new(Limits::default());
    let (hostile, neighbour) = (Sandbox::on(&api), Sandbox::on(&api));
    let mut held = Vec::new();
    // As many as there are places, and as many again that wait for one.
    for number in 0..64 {
        let mut client = hostile.connect().await;
        if number % 2 == 0 {
            client.send("POST /2018-06-01/runtime/invocation/x/resp").await;
        }
        held.push(client);
    }
    works(&neighbour).await;
    held.clear();
    works(&hostile).await;
}

#[tokio::test]
async fn connections_without_end_are_rationed_and_end_with_the_session() {
    let sandbox = Sandbox::new();
    let mut held = Vec::new();
    // Until the kernel's queue is full and a connection has to wait.
    let wait = Duration::from_millis(200);
    while let Ok(socket) = timeout(wait, tokio::net::TcpStream::connect(sandbox.address)).await {
        held.push(socket);
        assert!(held.len() < 10_000, "it takes all of them");
    }
    sandbox.handle.close();
    timeout(PATIENCE, sandbox.serving.ended()).await.expect("in time");
}

#[tokio::test]
async fn fetches_that_are_given_up_leave_no_places_behind() {
    let sandbox = Sandbox::new();
    for _ in 0..100 {
        let mut client = sandbox.connect().await;
        client.ask_next().await;
        drop(client);
    }
    works(&sandbox).await;
}

#[tokio::test]
async fn requests_ahead_of_their_answers_are_answered_in_order() {
    let sandbox = Sandbox::new();
    let mut client = sandbox.connect().await;
    let ping = "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(ping.repeat(50)).await;
    for _ in 0..50 {
        assert_eq!(client.receive().await.text(), "pong");
    }
}

#[tokio::test]
async fn a_fetch_with_a_body_is_a_fetch_unless_the_body_is_large() {
    let sandbox = Sandbox::new();
    let _answer = sandbox.handle.offer(an_event(b"{}"));
    let mut client = sandbox.connect().await;
    let next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nContent-Length: ";
    client.send(format!("{next}2\r\n\r\n{{}}")).await;
    assert_eq!(client.receive().await.status, 200);
    client.send(format!("{next}100000\r\n\r\n{}", "x".repeat(100_000))).await;
    is_error(&client.receive().await, 400, "TruncatedHTTPRequest");
}

#[tokio::test]
async fn a_runtime_that_does_not_read_its_event_harms_nobody() {
    let api = RuntimeApi::new(Limits::default());
    let (hostile, neighbour) = (Sandbox::on(&api), Sandbox::on(&api));
    let payload = Bytes::from(vec![b'x'; 6 * 1024 * 1024]);
    let _answer = hostile.handle.offer(Event { payload, ..an_event(b"") });
    let mut client = hostile.connect().await;
    client.ask_next().await;
    works(&neighbour).await;
    hostile.handle.close();
    timeout(PATIENCE, hostile.serving.ended()).await.expect("in time");
}
