//! Promises about traces.

use super::*;

#[test]
fn a_trace_is_continued_and_anything_else_begins_one() {
    let mut headers = HeaderMap::new();
    let begun = of(&headers, 0x6f00_0000);
    assert!(begun.starts_with("Root=1-6f000000-") && begun.ends_with(";Sampled=0"), "{begun}");
    assert_eq!(begun.len(), "Root=1-".len() + 8 + 1 + 24 + ";Parent=".len() + 16 + 10);
    headers.insert(HEADER, "Root=1-5e1b4151-5ac6c58f1e2d;Sampled=1".parse().unwrap());
    assert_eq!(&*of(&headers, 1), "Root=1-5e1b4151-5ac6c58f1e2d;Sampled=1");
    headers.insert(HEADER, "x\"; DROP".parse().unwrap());
    assert!(of(&headers, 1).starts_with("Root=1-00000001-"));
}
