//! Promises about which heads are usual ones.

use proptest::prelude::*;

use super::*;

const NEXT: &str = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n";

fn response(request: &RequestId, headers: &str) -> String {
    format!("POST /2018-06-01/runtime/invocation/{request}/response HTTP/1.1\r\n{headers}\r\n")
}

#[test]
fn what_the_official_clients_send_is_usual() {
    let head = format!("{NEXT}user-agent: aws-lambda-rust/1.5.0\r\nhost: 127.0.0.1:9001\r\n\r\n");
    let seen = Request::read(format!("{head}POST").as_bytes());
    assert_eq!(seen, Seen::Usual(Request { head: head.len(), asks: Asks::Next }));

    let (request, attempt) = (RequestId::random(), RequestId::random());
    let headers = format!(
        "Content-Type: application/json\r\nLambda-Runtime-Invocation-Id: {attempt}\r\n\
         Content-Length: 4\r\nConnection: Keep-Alive\r\n"
    );
    let head = response(&request, &headers);
    let asks = Asks::Response { request, attempt: Some(attempt), length: 4 };
    let seen = Request::read(format!("{head}true").as_bytes());
    assert_eq!(seen, Seen::Usual(Request { head: head.len(), asks }));
}

#[test]
fn what_could_mean_something_else_is_left_to_who_knows() {
    let request = RequestId::random();
    for headers in [
        "",
        "Content-Length: \r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length: 10000000000\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 4\r\nExpect: 100-continue\r\n",
        "Content-Length: 4\r\nConnection: close\r\n",
        "Content-Length: 4\r\nUpgrade: h2c\r\n",
        "Content-Length: 4\r\nTrailer: x\r\n",
        "Content-Length: 4\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n",
        "Content-Length: 4\r\nLambda-Runtime-Invocation-Id: x\r\n",
        "Content-Length: 4\r\n folded: x\r\n",
        "Content-Length : 4\r\n",
    ] {
        assert_eq!(Request::read(response(&request, headers).as_bytes()), Seen::Other, "{headers}");
    }
    for head in [
        "GET /2018-06-01/runtime/invocation/next HTTP/1.0\r\n\r\n",
        "GET /2018-06-01/runtime/invocation/next?x HTTP/1.1\r\n\r\n",
        "GET http://x/2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n",
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        "PUT /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n",
        "GET /2018-06-01/ping HTTP/1.1\r\n\r\n",
        "POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        "\x16\x03\x01",
    ] {
        assert_eq!(Request::read(head.as_bytes()), Seen::Other, "{head}");
    }
}

#[test]
fn a_head_is_not_judged_before_it_is_whole() {
    let head = format!("{NEXT}Host: x\r\n\r\n");
    for end in 0..head.len() {
        assert_eq!(Request::read(&head.as_bytes()[..end]), Seen::Part, "{end}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_a_usual_head_is_no_longer_than_what_came(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        usual in any::<bool>(),
    ) {
        let mut all = if usual { NEXT.as_bytes().to_vec() } else { Vec::new() };
        all.extend_from_slice(&bytes);
        if let Seen::Usual(request) = Request::read(&all) {
            prop_assert!(request.head <= all.len());
        }
    }
}
