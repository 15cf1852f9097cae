//! What is promised about secrets.

use hmac::Mac;

use super::{REMEMBERED, Secret};

/// AWS's documentation derives a key step by step from this secret.
const EXAMPLE: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn fingerprint(secret: &Secret, scope: &str) -> String {
    let mut key = secret.signing_key(scope);
    key.update(b"message");
    key.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_remembered_key_is_the_derived_one() {
    let secret = Secret::new(EXAMPLE);
    let scope = "20150830/us-east-1/iam/aws4_request";
    let first = fingerprint(&secret, scope);
    assert_eq!(first, fingerprint(&secret, scope));
    assert_eq!(first, fingerprint(&Secret::new(EXAMPLE), scope));
}

#[test]
fn every_part_of_the_scope_and_the_secret_matters() {
    let secret = Secret::new(EXAMPLE);
    let base = fingerprint(&secret, "20150830/us-east-1/iam/aws4_request");
    for other in [
        "20150831/us-east-1/iam/aws4_request",
        "20150830/us-east-2/iam/aws4_request",
        "20150830/us-east-1/sts/aws4_request",
    ] {
        assert_ne!(base, fingerprint(&secret, other), "{other}");
    }
    let other = Secret::new("another");
    assert_ne!(base, fingerprint(&other, "20150830/us-east-1/iam/aws4_request"));
}

#[test]
fn only_a_few_keys_are_remembered_and_forgetting_changes_nothing() {
    let secret = Secret::new(EXAMPLE);
    let first = fingerprint(&secret, "20150801/us-east-1/iam/aws4_request");
    for day in 2..=20 {
        fingerprint(&secret, &format!("201508{day:02}/us-east-1/iam/aws4_request"));
    }
    assert_eq!(secret.0.derived.read().unwrap().len(), REMEMBERED);
    assert_eq!(first, fingerprint(&secret, "20150801/us-east-1/iam/aws4_request"));
}

#[test]
fn a_secret_does_not_print_itself() {
    let printed = format!("{:?}", Secret::temporary(EXAMPLE, "token"));
    assert!(!printed.contains("wJal") && !printed.contains("token"), "{printed}");
}
