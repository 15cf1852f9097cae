//! Promises about settings of functions.

use std::collections::BTreeMap;

use model::settings::{RecursiveLoop, RuntimeUpdate, Untrusted};

use super::*;
use crate::example::{name, new_function};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("control.db")).unwrap()
}

fn config() -> SigningConfig {
    SigningConfig {
        id: SigningId::random(),
        description: Some("d".to_owned()),
        publishers: vec!["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/v".to_owned()],
        untrusted: Untrusted::Enforce,
        modified_ms: 1,
        tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, ChangeError>) -> Refusal {
    match result.unwrap_err() {
        ChangeError::Refused(refusal) => refusal,
        ChangeError::Storage(err) => panic!("{err}"),
    }
}

#[test]
fn settings_and_signing_configurations_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let config = runtime.block_on(async {
        let store = open(&directory);
        let config = store.create_signing(config()).await.unwrap();
        let id = Some(config.id.clone());
        store.create_signed_function(new_function("signed"), id).await.unwrap();
        store.create_function(new_function("plain")).await.unwrap();
        let arn = "arn:aws:lambda:us-east-1::runtime:r".to_owned();
        store
            .change_settings(&name("plain"), |settings| {
                settings.recursion = RecursiveLoop::Allow;
                settings.runtime.insert("$LATEST".to_owned(), RuntimeUpdate::Manual(arn));
            })
            .await
            .unwrap();
        config
    });
    let store = open(&directory);
    let snapshot = store.snapshot();
    let all = snapshot.settings();
    assert_eq!(all.signing_of("signed"), Some(&config));
    assert_eq!(all.signing_of("plain"), None);
    let plain = all.function("plain").unwrap();
    assert_eq!(plain.recursion, RecursiveLoop::Allow);
    assert_eq!(plain.runtime["$LATEST"].as_str(), "Manual");
    let referring: Vec<_> = all.signed_by(&config.id, None).map(ToString::to_string).collect();
    assert_eq!(referring, ["signed"]);
}

#[test]
fn settings_go_with_their_function_and_the_next_of_that_name_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    runtime().block_on(async {
        let config = store.create_signing(config()).await.unwrap();
        let id = Some(config.id.clone());
        store.create_signed_function(new_function("f"), id).await.unwrap();
        assert_eq!(refused(store.delete_signing(&config.id).await), Refusal::SigningUsed);
        store.delete_function(&name("f")).await.unwrap();
        store.create_function(new_function("f")).await.unwrap();
        assert_eq!(store.snapshot().settings().function("f"), None);
        store.delete_signing(&config.id).await.unwrap();
        assert_eq!(refused(store.delete_signing(&config.id).await), Refusal::NoSigning);
    });
    drop(store);
    assert_eq!(open(&directory).snapshot().settings().function("f"), None);
}

#[test]
fn nothing_refers_to_a_signing_configuration_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    runtime().block_on(async {
        let none = SigningId::random();
        let created = store.create_signed_function(new_function("f"), Some(none.clone())).await;
        assert_eq!(refused(created), Refusal::NoSigning);
        assert!(store.snapshot().function("f").is_none(), "nothing was created");
        store.create_function(new_function("f")).await.unwrap();
        let put = store.change_settings(&name("f"), |settings| settings.signing = Some(none)).await;
        assert_eq!(refused(put), Refusal::NoSigning);
        let missing = store.change_settings(&name("g"), |_| {}).await;
        assert_eq!(refused(missing), Refusal::NoFunction);
    });
}

#[test]
fn a_signing_configuration_has_fifty_tags_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let tags = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect();
    runtime().block_on(async {
        let many = SigningConfig { tags: tags(51), ..config() };
        assert_eq!(refused(store.create_signing(many).await), Refusal::TooManyTags);
        let most = SigningConfig { tags: tags(50), ..config() };
        let most = store.create_signing(most).await.unwrap();
        let more = store.change_signing(&most.id, |config| {
            config.tags.insert("more".to_owned(), String::new());
        });
        assert_eq!(refused(more.await), Refusal::TooManyTags);
    });
}
