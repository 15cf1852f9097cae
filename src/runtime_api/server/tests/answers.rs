//! Promises to a runtime that does its work.

use super::*;

#[tokio::test]
async fn a_runtime_serves_event_after_event_on_one_connection() {
    let sandbox = Sandbox::new();
    let mut client = sandbox.connect().await;
    client.ask_next().await;
    assert_eq!(sandbox.handle.started().await, Started::Ready);
    for number in 0..3 {
        if number > 0 {
            client.ask_next().await;
        }
        let event = an_event(br#"{"key": 1}"#);
        let answer = sandbox.handle.offer(event.clone());
        let received = client.receive().await;
        assert_eq!((received.status, received.text().as_str()), (200, r#"{"key": 1}"#));
        let taken = client.post(&response_path(&event), "", br#""done""#).await;
        assert_eq!((taken.status, taken.text().as_str()), (202, r#"{"status":"OK"}"#));
        assert_eq!(taken.header("Content-Type"), Some("application/json"));
        assert_eq!(heard(answer).await, Answer::Response(r#""done""#.into()));
    }
}

#[tokio::test]
async fn an_event_comes_with_every_header_in_awss_spelling() {
    let sandbox = Sandbox::new();
    let event = Event {
        trace_id: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".into(),
        client_context: "{\"custom\":\n{\"k\":\"é\"}}".into(),
        cognito_identity: r#"{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}"#.into(),
        ..an_event(b"{}")
    };
    let _answer = sandbox.handle.offer(event.clone());
    let received = sandbox.connect().await.next().await;
    for (name, value) in [
        ("Lambda-Runtime-Aws-Request-Id", event.request_id.as_str()),
        ("Lambda-Runtime-Invocation-Id", event.invocation_id.as_str()),
        ("Lambda-Runtime-Deadline-Ms", "1795132800000"),
        ("Lambda-Runtime-Invoked-Function-Arn", &event.invoked_arn),
        ("Lambda-Runtime-Trace-Id", &event.trace_id),
        ("Lambda-Runtime-Client-Context", "{\"custom\": {\"k\":\"é\"}}"),
        ("Lambda-Runtime-Cognito-Identity", &event.cognito_identity),
        ("Content-Type", "application/json"),
        ("Content-Length", "2"),
    ] {
        assert_eq!(received.header(name), Some(value), "{name} in {}", received.head);
    }
}

#[tokio::test]
async fn an_error_reaches_the_caller_verbatim() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let document = br#"{ "errorMessage": "x", "errorType": "MyError", "stackTrace": [] }"#;
    let headers = "Lambda-Runtime-Function-Error-Type: Function.MyError\r\n";
    let taken = client.post(&error_path(&event), headers, document).await;
    assert_eq!((taken.status, taken.text().as_str()), (202, r#"{"status":"OK"}"#));
    assert_eq!(heard(answer).await, Answer::Failed(Bytes::from_static(document)));
}

#[tokio::test]
async fn a_runtime_that_cannot_start_says_why_once() {
    let sandbox = Sandbox::new();
    let mut client = sandbox.connect().await;
    let path = "/2018-06-01/runtime/init/error";
    let taken = client.post(path, "", br#"{"errorType":"Runtime.NoSuchHandler"}"#).await;
    assert_eq!(taken.status, 202);
    let document = r#"{"errorType":"Runtime.NoSuchHandler"}"#;
    assert_eq!(sandbox.handle.started().await, Started::Failed(document.into()));
    is_error(&client.post(path, "", b"again").await, 403, "InvalidStateTransition");
    is_error(&client.next().await, 403, "InvalidStateTransition");
}

#[tokio::test]
async fn a_second_answer_is_refused_in_awss_words() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    assert_eq!(client.post(&response_path(&event), "", b"1").await.status, 202);
    for path in [response_path(&event), error_path(&event)] {
        let refused = client.post(&path, "", b"2").await;
        is_error(&refused, 403, "InvalidStateTransition");
        assert!(refused.text().contains("State transition from ResponseSent to Invocation"));
    }
    assert_eq!(heard(answer).await, Answer::Response("1".into()));
}

#[tokio::test]
async fn an_answer_to_another_event_is_refused_and_the_right_one_is_still_taken() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let other = an_event(b"{}");
    is_error(&client.post(&response_path(&other), "", b"1").await, 400, "InvalidRequestID");
    is_error(&client.post(&error_path(&other), "", b"1").await, 400, "InvalidRequestID");
    let garbled = "/2018-06-01/runtime/invocation/%00%ff/response";
    is_error(&client.post(garbled, "", b"1").await, 400, "InvalidRequestID");
    assert_eq!(client.post(&response_path(&event), "", b"2").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("2".into()));
}

#[tokio::test]
async fn an_answer_before_the_event_was_fetched_is_refused() {
    let sandbox = Sandbox::new();
    let event = an_event(b"{}");
    let _answer = sandbox.handle.offer(event.clone());
    let refused = sandbox.connect().await.post(&response_path(&event), "", b"1").await;
    is_error(&refused, 403, "InvalidStateTransition");
}

#[tokio::test]
async fn an_answer_to_an_earlier_attempt_is_gone() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let stale = format!("Lambda-Runtime-Invocation-Id: {}\r\n", RequestId::random());
    is_error(&client.post(&response_path(&event), &stale, b"1").await, 410, "InvokeTimeout");
    let current = format!("lambda-runtime-invocation-id: {}\r\n", event.invocation_id);
    assert_eq!(client.post(&response_path(&event), &current, b"2").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("2".into()));
}

#[tokio::test]
async fn other_paths_and_methods_are_not_there() {
    let sandbox = Sandbox::new();
    let mut client = sandbox.connect().await;
    is_error(&client.post("/2018-06-01/runtime/nothing", "", b"x").await, 404, "NotFound");
    is_error(&client.post("/2020-01-01/extension/register", "", b"").await, 404, "NotFound");
    let next = "/2018-06-01/runtime/invocation/next";
    is_error(&client.post(next, "", b"").await, 405, "MethodNotAllowed");
    client.send("GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.receive().await.text(), "pong");
}

#[tokio::test]
async fn a_streamed_answer_is_gathered() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let headers = "Lambda-Runtime-Function-Response-Mode: streaming\r\n";
    let taken =
        client.post_chunked(&response_path(&event), headers, &[b"{\"a\":", b"1", b"}"], "").await;
    assert_eq!(taken.status, 202);
    assert_eq!(heard(answer).await, Answer::Response(r#"{"a":1}"#.into()));
}

#[tokio::test]
async fn a_streamed_answer_that_fails_in_the_middle_is_a_failure() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let headers = "Lambda-Runtime-Function-Response-Mode: streaming\r\n\
                   Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n";
    let trailers = "Lambda-Runtime-Function-Error-Type: Unhandled\r\n\
                    Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJFIn0=\r\n";
    let taken =
        client.post_chunked(&response_path(&event), headers, &[b"half an ans"], trailers).await;
    assert_eq!(taken.status, 202);
    assert_eq!(heard(answer).await, Answer::Failed(r#"{"errorType":"E"}"#.into()));
}

#[tokio::test]
async fn a_response_mode_that_does_not_exist_fails_the_invocation() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    let headers = "Lambda-Runtime-Function-Response-Mode: buffered\r\n";
    let refused = client.post(&response_path(&event), headers, b"1").await;
    is_error(&refused, 400, "InvalidFunctionResponseMode");
    let Answer::Failed(document) = heard(answer).await else { panic!("a failure") };
    assert!(document.starts_with(br#"{"errorType":"Runtime.InvalidResponseModeHeader""#));
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    client.send_head(&response_path(&event), "Expect: 100-continue\r\n", 4).await;
    assert_eq!(client.receive().await.status, 100);
    client.send("true").await;
    assert_eq!(client.receive().await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("true".into()));
}

#[tokio::test]
async fn a_client_with_a_connection_for_each_request_is_served_as_well() {
    let sandbox = Sandbox::new();
    for _ in 0..200 {
        let (client, event, answer) = sandbox.running().await;
        drop(client);
        let mut client = sandbox.connect().await;
        let close = "Connection: close\r\n";
        assert_eq!(client.post(&response_path(&event), close, b"1").await.status, 202);
        assert_eq!(heard(answer).await, Answer::Response("1".into()));
        client.ended().await;
    }
}

#[tokio::test]
async fn an_event_whose_connection_broke_is_delivered_again() {
    let sandbox = Sandbox::new();
    let (client, event, answer) = sandbox.running().await;
    drop(client);
    let mut client = sandbox.connect().await;
    let again = client.next().await;
    assert_eq!(again.header("Lambda-Runtime-Invocation-Id"), Some(event.invocation_id.as_str()));
    assert_eq!(client.post(&response_path(&event), "", b"1").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("1".into()));
}

#[tokio::test]
async fn an_answer_that_was_broken_off_can_be_sent_again() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    client.send_head(&response_path(&event), "", 1_000).await;
    client.send([b'x'; 500]).await;
    drop(client);
    let mut client = sandbox.connect().await;
    loop {
        let received = client.post(&response_path(&event), "", b"whole").await;
        // The first one may not have been noticed yet.
        if received.status == 202 {
            break;
        }
        is_error(&received, 403, "InvalidStateTransition");
    }
    assert_eq!(heard(answer).await, Answer::Response("whole".into()));
}

#[tokio::test]
async fn a_connection_goes_from_usual_requests_to_unusual_ones_and_on() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    assert_eq!(client.post(&response_path(&event), "", b"1").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("1".into()));
    // A failure and an answer in chunks are none of the usual ones; both at once with what follows.
    let (second, third) = (an_event(b"2"), an_event(b"3"));
    let answer = sandbox.handle.offer(second.clone());
    assert_eq!(client.next().await.text(), "2");
    client
        .send(format!(
            "POST {} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}\
             GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n",
            error_path(&second)
        ))
        .await;
    assert_eq!(client.receive().await.status, 202);
    assert_eq!(heard(answer).await, Answer::Failed("{}".into()));
    let answer = sandbox.handle.offer(third.clone());
    assert_eq!(client.receive().await.text(), "3");
    let taken = client.post_chunked(&response_path(&third), "", &[b"on", b"e"], "").await;
    assert_eq!(taken.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("one".into()));
}

#[tokio::test]
async fn an_answer_and_the_next_fetch_may_come_in_one_piece_or_in_many() {
    let sandbox = Sandbox::new();
    let (mut client, mut event, mut answer) = sandbox.running().await;
    for pieces in [1, 7, 100] {
        let request = format!(
            "POST {} HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
             GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n",
            response_path(&event)
        );
        for piece in request.as_bytes().chunks(request.len().div_ceil(pieces)) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        let taken = client.receive().await;
        assert_eq!((taken.status, taken.text().as_str()), (202, r#"{"status":"OK"}"#));
        assert!(taken.header("Date").is_some_and(|date| date.ends_with(" GMT")), "{}", taken.head);
        assert_eq!(heard(answer).await, Answer::Response("hello".into()));
        event = an_event(b"{}");
        answer = sandbox.handle.offer(event.clone());
        assert_eq!(client.receive().await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_so_and_may_be_given_again() {
    let sandbox = Sandbox::new();
    let (mut client, event, answer) = sandbox.running().await;
    client.send_head(&response_path(&event), "", 10).await;
    client.send("half").await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.socket).await.expect("it is open");
    is_error(&client.receive().await, 400, "TruncatedHTTPRequest");
    let mut other = sandbox.connect().await;
    assert_eq!(other.post(&response_path(&event), "", b"whole").await.status, 202);
    assert_eq!(heard(answer).await, Answer::Response("whole".into()));
}
