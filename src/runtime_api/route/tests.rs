//! Promises about paths.

use proptest::prelude::*;

use super::*;

fn parse<'a>(method: &str, path: &'a str) -> Result<Route<'a>, Unrouted> {
    Route::parse(&method.parse().expect("a method"), path)
}

#[test]
fn every_route_has_its_method_and_path() {
    assert_eq!(parse("GET", "/2018-06-01/ping"), Ok(Route::Ping));
    assert_eq!(parse("GET", "/2018-06-01/runtime/invocation/next"), Ok(Route::Next));
    assert_eq!(
        parse("POST", "/2018-06-01/runtime/invocation/8f50-7c/response"),
        Ok(Route::Response { request_id: "8f50-7c" })
    );
    assert_eq!(
        parse("POST", "/2018-06-01/runtime/invocation/8f50-7c/error"),
        Ok(Route::Error { request_id: "8f50-7c" })
    );
    assert_eq!(parse("POST", "/2018-06-01/runtime/init/error"), Ok(Route::InitError));
}

#[test]
fn another_method_is_told_from_another_path() {
    assert_eq!(parse("POST", "/2018-06-01/runtime/invocation/next"), Err(Unrouted::Method));
    assert_eq!(parse("GET", "/2018-06-01/runtime/invocation/x/response"), Err(Unrouted::Method));
    for path in [
        "/",
        "*",
        "/2018-06-01",
        "/2018-06-01/",
        "/2018-06-01/ping/",
        "/2018-06-02/runtime/invocation/next",
        "/2018-06-01/runtime/invocation/next/",
        "/2018-06-01//runtime/invocation/next",
        "/2018-06-01/runtime/invocation/x",
        "/2018-06-01/runtime/invocation/x/response/",
        "/2018-06-01/runtime/invocation/a/b/response",
        "/2018-06-01/runtime/restore/next",
        "/2020-01-01/extension/register",
    ] {
        assert_eq!(parse("GET", path), Err(Unrouted::Path), "{path}");
    }
}

proptest! {
    #[test]
    fn arbitrary_paths_are_never_a_panic(path in "(/2018-06-01/runtime/)?\\PC{0,64}") {
        let _parsed = parse("POST", &path);
    }
}
