//! What is promised about listeners without credentials.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{NotLocal, check};

fn checked(fields: &[(&'static str, &str)]) -> Result<(), NotLocal> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    check(&headers, &["hearth.test"])
}

#[test]
fn programs_of_this_machine_get_through() {
    for host in [
        "localhost",
        "localhost:9000",
        "LOCALHOST:9000",
        "127.0.0.1:9000",
        "[::1]:9000",
        "[::1]",
        "hearth.test:80",
    ] {
        assert_eq!(checked(&[("host", host)]), Ok(()), "{host}");
    }
}

#[test]
fn a_name_that_merely_resolves_to_loopback_is_refused() {
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.localhost:9000",
        "127.0.0.1.nip.io",
        "127.0.0.2",
        "0.0.0.0:9000",
        "localhost:9000:1",
        "localhost@evil.example",
        "localhost:90a0",
    ] {
        let host = host.to_owned();
        assert_eq!(checked(&[("host", &host)]), Err(NotLocal::Host { host }));
    }
    assert!(checked(&[]).is_err());
    assert!(checked(&[("host", "localhost"), ("host", "localhost")]).is_err());
}

#[test]
fn a_page_of_another_origin_is_refused() {
    let host = ("host", "localhost:9000");
    assert_eq!(checked(&[host, ("origin", "http://localhost:9000")]), Ok(()));
    let others = ["http://localhost:3000", "http://127.0.0.1:9000", "http://localhost"];
    for origin in others.into_iter().chain([
        "null",
        "https://evil.example",
        "http://localhost.evil.example",
        "file://",
        "",
    ]) {
        let refusal = NotLocal::Origin { origin: origin.to_owned() };
        assert_eq!(checked(&[host, ("origin", origin)]), Err(refusal));
    }
}

#[test]
fn a_fetch_that_another_site_caused_is_refused() {
    let host = ("host", "localhost:9000");
    for (site, result) in [
        ("same-origin", Ok(())),
        ("none", Ok(())),
        ("same-site", Err(NotLocal::CrossSite)),
        ("cross-site", Err(NotLocal::CrossSite)),
        ("made-up", Err(NotLocal::CrossSite)),
    ] {
        assert_eq!(checked(&[host, ("sec-fetch-site", site)]), result, "{site}");
    }
}
