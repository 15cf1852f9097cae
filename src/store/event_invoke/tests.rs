//! Promises about what is configured for events.

use model::name::AliasName;

use super::*;
use crate::example::{name, new_function};
use crate::lifecycle::{NewFunction, Settlement};

fn change(qualifier: Qualifier) -> EventInvokeChange {
    EventInvokeChange {
        qualifier,
        anew: true,
        retries: Some(1),
        max_age_s: None,
        destinations: Some(Destinations { on_success: Some("arn".to_owned()), on_failure: None }),
        at_ms: 7,
    }
}

/// A store with a function that has a version 1, ready.
async fn store(directory: &tempfile::TempDir) -> Store {
    let store = Store::open(&directory.path().join("control.db")).unwrap();
    let new = NewFunction { publish: true, ..new_function("f") };
    let function = store.create_function(new).await.unwrap();
    let generation = function.latest.generation;
    store.settle(&name("f"), generation, Settlement::Ready).await.unwrap();
    store
}

fn configured(store: &Store, qualifier: &Qualifier) -> Option<EventInvoke> {
    store.snapshot().function("f").unwrap().event_invokes.get(qualifier).cloned()
}

#[tokio::test]
async fn what_is_configured_is_there_after_a_restart_and_for_its_qualifier_alone() {
    let directory = tempfile::tempdir().unwrap();
    let opened = store(&directory).await;
    let told = opened.configure_events(&name("f"), change(Qualifier::Version(1))).await.unwrap();
    assert_eq!((told.retries, told.max_age_s, told.modified_ms), (Some(1), None, 7));
    drop(opened);
    let store = Store::open(&directory.path().join("control.db")).unwrap();
    assert_eq!(configured(&store, &Qualifier::Version(1)), Some(told));
    assert_eq!(configured(&store, &Qualifier::Latest), None);
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_give_and_a_put_forgets_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    let none = EventInvokeChange {
        anew: false,
        retries: None,
        max_age_s: Some(60),
        destinations: None,
        ..change(Qualifier::Latest)
    };
    let refused = store.configure_events(&name("f"), none.clone()).await;
    assert_eq!(refused, Err(ChangeError::Refused(Refusal::NoEventInvoke)));
    let first = store.configure_events(&name("f"), change(Qualifier::Latest)).await.unwrap();
    let both = store.configure_events(&name("f"), none.clone()).await.unwrap();
    assert_eq!((both.retries, both.max_age_s), (Some(1), Some(60)));
    assert_eq!(both.destinations, first.destinations);
    let anew = EventInvokeChange { anew: true, ..none };
    let anew = store.configure_events(&name("f"), anew).await.unwrap();
    assert_eq!((anew.retries, anew.destinations), (None, Destinations::default()));
}

#[tokio::test]
async fn nothing_is_configured_for_what_there_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    let alias = Qualifier::Alias(AliasName::parse("none").unwrap());
    for qualifier in [Qualifier::Version(2), alias] {
        let refused = store.configure_events(&name("f"), change(qualifier)).await;
        assert_eq!(refused, Err(ChangeError::Refused(Refusal::NoVersion)));
    }
    let refused = store.configure_events(&name("g"), change(Qualifier::Latest)).await;
    assert_eq!(refused, Err(ChangeError::Refused(Refusal::NoFunction)));
    let refused = store.unconfigure_events(&name("f"), Qualifier::Latest).await;
    assert_eq!(refused, Err(ChangeError::Refused(Refusal::NoEventInvoke)));
}

#[tokio::test]
async fn a_version_that_is_deleted_takes_its_configuration_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    store.configure_events(&name("f"), change(Qualifier::Version(1))).await.unwrap();
    store.configure_events(&name("f"), change(Qualifier::Latest)).await.unwrap();
    store.delete_version(&name("f"), 1).await.unwrap();
    assert_eq!(configured(&store, &Qualifier::Version(1)), None);
    assert!(configured(&store, &Qualifier::Latest).is_some());
    store.unconfigure_events(&name("f"), Qualifier::Latest).await.unwrap();
    assert_eq!(configured(&store, &Qualifier::Latest), None);
}
