//! What is promised about addresses.

use model::FunctionName;
use model::url::UrlId;

use super::{Address, read};

const SUFFIX: &str = ".lambda-url.us-east-1.localhost";
const ID: &str = "gz35gityuve3my64zwqypdfznq0bcuwk";

#[test]
fn a_host_under_the_suffix_names_a_url_and_leaves_the_path_alone() {
    let url = Address::Url(UrlId::parse(ID).unwrap());
    for host in [
        format!("{ID}{SUFFIX}"),
        format!("{ID}{SUFFIX}:8080"),
        format!("{}{}", ID.to_uppercase(), SUFFIX.to_uppercase()),
    ] {
        assert_eq!(read(&host, "/echo/a", SUFFIX), url, "{host}");
    }
    for host in [format!("short{SUFFIX}"), format!("a.{ID}{SUFFIX}"), SUFFIX.to_owned()] {
        assert_eq!(read(&host, "/echo/a", SUFFIX), Address::Nothing, "{host}");
    }
}

#[test]
fn any_other_host_leaves_it_to_the_path() {
    let name = FunctionName::parse("echo").unwrap();
    for (path, rest) in [
        ("/echo", "/"),
        ("/echo/", "/"),
        ("/echo/a/b", "/a/b"),
        ("/echo//a", "//a"),
        ("/echo/%2e%2e/a", "/%2e%2e/a"),
    ] {
        let expected = Address::Function { name: name.clone(), path: rest };
        assert_eq!(read("127.0.0.1:8080", path, SUFFIX), expected, "{path}");
        assert_eq!(read(&format!("{ID}.lambda-url.eu-west-1.localhost"), path, SUFFIX), expected);
    }
}

#[test]
fn what_is_no_name_names_nothing() {
    for path in ["/", "", "*", "//echo", "/%65cho", "/a.b", "/../echo", "/favicon.ico"] {
        assert_eq!(read("localhost:8080", path, SUFFIX), Address::Nothing, "{path}");
    }
    let long = format!("/{}", "a".repeat(65));
    assert_eq!(read("localhost", &long, SUFFIX), Address::Nothing);
}
