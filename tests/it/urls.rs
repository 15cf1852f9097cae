//! Function URLs: payload format 2.0 in, HTTP out, and who is let in.

use serde_json::{Value, json};

use crate::harness::{Daemon, Deployed, Function, Request, Response, shared};

const ECHO: &str = "def handler(event, context):\n    return {'event': event}\n";

/// A function with a public URL, and the host name of that URL.
fn with_url<'d>(daemon: &'d Daemon, source: &str) -> (Deployed<'d>, String) {
    let function = Function::python(source).deploy(daemon);
    let answer = function.public_url();
    let url = answer["FunctionUrl"].as_str().expect("a URL").to_owned();
    let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    (function, host)
}

/// A request to the host of a URL.
fn to(host: &str, method: &str, target: &str) -> Request {
    Request::new(method, target).header("host", host)
}

/// What a function that answers with `expression` looks like over HTTP.
fn answering(expression: &str) -> Response {
    let daemon = shared();
    let source = format!("def handler(event, context):\n    return {expression}\n");
    let (_function, host) = with_url(&daemon, &source);
    to(&host, "GET", "/").send(daemon.http)
}

// ------------------------------------------------------------------------------- events

#[test]
fn an_event_is_payload_format_two_exactly() {
    let daemon = shared();
    let (function, host) = with_url(&daemon, ECHO);
    let request = to(&host, "POST", "/pa2%Fth/%C3%B6/1?q=a%20b&q=c&empty=&flag")
        .header("X-Own", "one")
        .header("x-own", "two")
        .header("Cookie", "a=1; b=2")
        .header("User-Agent", "probe/1")
        .header("Content-Type", "application/json")
        .body(r#"{"k": "v"}"#);
    let mut event = request.send(daemon.http).expect(200).json()["event"].take();

    let context = event["requestContext"].take();
    let id = host.split('.').next().expect("the first label");
    let domain = host.split(':').next().expect("without the port");
    assert_eq!(context["accountId"], "anonymous");
    assert_eq!(context["apiId"], id);
    assert_eq!(context["domainPrefix"], id);
    assert_eq!(context["domainName"], domain);
    assert_eq!(context["routeKey"], "$default");
    assert_eq!(context["stage"], "$default");
    assert_eq!(context["authentication"], Value::Null);
    assert_eq!(
        context["http"],
        json!({
            "method": "POST",
            "path": "/pa2%Fth/%C3%B6/1",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "probe/1",
        })
    );
    assert!(context["requestId"].is_string(), "{context}");
    assert!(context["timeEpoch"].is_u64(), "{context}");
    let time = context["time"].as_str().expect("a time");
    // Such as 20/Nov/2026:05:17:29 +0000.
    assert_eq!((time.len(), &time[20..]), (26, " +0000"), "{time}");

    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "$default");
    assert_eq!(event["rawPath"], "/pa2%Fth/%C3%B6/1");
    assert_eq!(event["rawQueryString"], "q=a%20b&q=c&empty=&flag");
    assert_eq!(event["queryStringParameters"], json!({"q": "a b,c", "empty": "", "flag": ""}));
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(event["headers"]["x-own"], "one,two");
    assert_eq!(event["headers"]["content-type"], "application/json");
    assert_eq!(event["headers"]["host"], host.as_str());
    assert_eq!(event["headers"].get("cookie"), None, "cookies have a field of their own");
    assert_eq!(event["body"], r#"{"k": "v"}"#);
    assert_eq!(event["isBase64Encoded"], false);
    drop(function);
}

#[test]
fn what_a_request_does_not_have_the_event_does_not_have_either() {
    let daemon = shared();
    let (_function, host) = with_url(&daemon, ECHO);
    let event = to(&host, "GET", "/").send(daemon.http).expect(200).json()["event"].take();
    for absent in ["body", "cookies", "queryStringParameters"] {
        assert_eq!(event.get(absent), None, "{event}");
    }
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["rawPath"], "/");
    assert_eq!(event["isBase64Encoded"], false);
}

#[test]
fn bodies_that_are_not_text_arrive_in_base64() {
    let daemon = shared();
    let (_function, host) = with_url(&daemon, ECHO);
    for (kind, encoded) in [
        ("application/json", false),
        ("text/plain", false),
        ("text/html; charset=utf-8", false),
        ("application/octet-stream", true),
        ("multipart/form-data; boundary=x", true),
        ("image/png", true),
    ] {
        let request = to(&host, "PUT", "/").header("content-type", kind).body("hi");
        let event = request.send(daemon.http).expect(200).json()["event"].take();
        assert_eq!(event["isBase64Encoded"], encoded, "{kind}");
        assert_eq!(event["body"], if encoded { "aGk=" } else { "hi" }, "{kind}");
    }
}

#[test]
fn a_function_is_reached_by_path_as_well_as_by_host() {
    let daemon = shared();
    let (function, host) = with_url(&daemon, ECHO);
    let by_host = to(&host, "GET", "/a/b?c=d").send(daemon.http).expect(200).json();
    let target = format!("/{}/a/b?c=d", function.name);
    let by_path = Request::new("GET", &target).send(daemon.http).expect(200).json();
    for field in ["rawPath", "rawQueryString", "queryStringParameters", "version"] {
        assert_eq!(by_host["event"][field], by_path["event"][field], "{field}");
    }
    let bare = format!("/{}", function.name);
    let event = Request::new("GET", &bare).send(daemon.http).expect(200).json();
    assert_eq!(event["event"]["rawPath"], "/");
}

// ------------------------------------------------------------------------------- answers

#[test]
fn a_value_without_a_status_code_is_a_json_answer() {
    for (expression, body) in [
        ("{'a': 1}", r#"{"a":1}"#),
        ("'hello'", "hello"),
        ("['hello', 3, True]", r#"["hello",3,true]"#),
        ("7", "7"),
        ("None", "null"),
    ] {
        let response = answering(expression).expect(200);
        assert_eq!(response.header("content-type"), Some("application/json"), "{expression}");
        assert_eq!(response.text().replace(' ', ""), body, "{expression}");
    }
}

#[test]
fn status_headers_cookies_and_body_are_the_function_s() {
    let response = answering(
        "{'statusCode': 201, 'headers': {'Content-Type': 'text/plain', 'X-Own': 'v'}, \
         'cookies': ['a=1; Path=/', 'b=2'], 'body': 'made'}",
    );
    assert_eq!(response.status, 201);
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(response.header("x-own"), Some("v"));
    assert_eq!(response.all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert_eq!(response.text(), "made");

    let response = answering("{'statusCode': 200, 'body': 'aGk=', 'isBase64Encoded': True}");
    assert_eq!(response.text(), "hi");
    let response = answering("{'statusCode': 204}");
    assert_eq!((response.status, response.text().as_str()), (204, ""));
    let response = answering("{'statusCode': 302, 'headers': {'Location': '/other'}}");
    assert_eq!((response.status, response.header("location")), (302, Some("/other")));
}

#[test]
fn a_function_that_fails_is_a_bad_gateway_that_tells_nothing() {
    let daemon = shared();
    let (_function, host) =
        with_url(&daemon, "def handler(event, context):\n    raise ValueError('secret')\n");
    let response = to(&host, "GET", "/").send(daemon.http);
    assert_eq!((response.status, response.text().as_str()), (502, "Internal Server Error"));

    let nonsense = answering("{'statusCode': 'many', 'body': 1}");
    assert_eq!((nonsense.status, nonsense.text().as_str()), (502, "Internal Server Error"));
}

#[test]
fn headers_that_would_split_an_answer_do_not() {
    let response =
        answering("{'statusCode': 200, 'headers': {'X-Own': 'v\\r\\nX-Injected: 1'}, 'body': 'b'}");
    assert_eq!(response.header("x-injected"), None, "{response:?}");
}

// ------------------------------------------------------------------------------- who is let in

const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
     https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

#[test]
fn a_url_without_permission_is_forbidden_and_with_it_is_open() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let answer =
        daemon.api("POST", &function.path("url"), &json!({"AuthType": "NONE"})).expect(201);
    let url = answer.json()["FunctionUrl"].as_str().expect("a URL").to_owned();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let closed = to(host, "GET", "/").send(daemon.http);
    closed.refused(403, "AccessDeniedException", FORBIDDEN);
    let by_path = Request::new("GET", &format!("/{}/", function.name)).send(daemon.http);
    by_path.refused(403, "AccessDeniedException", FORBIDDEN);

    let statement = json!({
        "StatementId": "s",
        "Action": "lambda:InvokeFunctionUrl",
        "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    });
    daemon.api("POST", &function.path("policy"), &statement).expect(201);
    to(host, "GET", "/").send(daemon.http).expect(200);
    daemon.api("DELETE", &function.path("policy/s"), &Value::Null).expect(204);
    to(host, "GET", "/").send(daemon.http).refused(403, "AccessDeniedException", FORBIDDEN);
}

#[test]
fn nothing_is_reached_that_has_no_url() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let by_path = Request::new("GET", &format!("/{}/", function.name)).send(daemon.http);
    assert_eq!(by_path.status, 403, "{by_path:?}");
    assert_eq!(by_path.json(), json!({"Message": null}));
    let unknown = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.lambda-url.us-east-1.localhost";
    let by_host = to(unknown, "GET", "/").send(daemon.http);
    assert_eq!((by_host.status, by_host.json()), (403, json!({"Message": null})));
    let management = Request::new("GET", "/2015-03-31/functions").send(daemon.http);
    assert_eq!(management.status, 403, "the management API is not here: {management:?}");
}

#[test]
fn a_url_s_configuration_has_a_life_of_its_own() {
    let daemon = shared();
    let function = Function::python(ECHO).deploy(&daemon);
    let path = function.path("url");
    let created = daemon.api("POST", &path, &json!({"AuthType": "NONE"})).expect(201).json();
    assert_eq!(created["AuthType"], "NONE");
    assert_eq!(created["FunctionArn"], function.arn());
    assert_eq!(created.get("InvokeMode"), None, "{created}");
    let twice = daemon.api("POST", &path, &json!({"AuthType": "NONE"}));
    let message = format!(
        "Failed to create function url config for [functionArn = {}]. Error message:  \
         FunctionUrlConfig exists for this Lambda function",
        function.arn()
    );
    twice.refused(409, "ResourceConflictException", &message);

    let read = daemon.api("GET", &path, &Value::Null).expect(200).json();
    assert_eq!(read["FunctionUrl"], created["FunctionUrl"]);
    assert_eq!(read["InvokeMode"], "BUFFERED");
    let wrong = daemon.api("PUT", &path, &json!({"InvokeMode": "UNKNOWN"}));
    let message = "1 validation error detected: Value 'UNKNOWN' at 'invokeMode' failed to satisfy \
         constraint: Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]";
    wrong.refused(400, "ValidationException", message);

    daemon.api("DELETE", &path, &Value::Null).expect(204);
    let gone = daemon.api("GET", &path, &Value::Null);
    let message = "The resource you requested does not exist.";
    gone.refused(404, "ResourceNotFoundException", message);
}

#[test]
fn cors_is_the_url_s_and_not_the_function_s() {
    let daemon = shared();
    let (function, host) = with_url(&daemon, ECHO);
    let cors = json!({"Cors": {
        "AllowOrigins": ["https://shop.example"],
        "AllowMethods": ["PUT"],
        "AllowHeaders": ["x-own"],
        "MaxAge": 600,
    }});
    daemon.api("PUT", &function.path("url"), &cors).expect(200);
    let preflight = |origin: &str| {
        to(&host, "OPTIONS", "/")
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "x-own")
            .send(daemon.http)
    };
    let allowed = preflight("https://shop.example").expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));
    let foreign = preflight("https://attacker.example");
    assert_eq!(foreign.header("access-control-allow-origin"), None, "{foreign:?}");
    let called = to(&host, "PUT", "/").header("origin", "https://shop.example").send(daemon.http);
    let origin = called.expect(200);
    assert_eq!(origin.header("access-control-allow-origin"), Some("https://shop.example"));
}
