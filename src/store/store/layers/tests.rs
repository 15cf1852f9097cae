//! Promises about layers that survive.

use std::path::Path;

use model::configuration::{Architecture, Description};
use model::{AttachedLayers, Digest, LayerName, Qualifier};

use super::*;
use crate::example::{code, configuration, name, new_function};
use crate::layer::AboutLayer;
use crate::lifecycle::{Publication, Settlement, Update};
use crate::{ConfigurationChange, Store};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(directory: &Path) -> Store {
    Store::open(&directory.join("control.db")).unwrap()
}

fn layer(text: &str) -> LayerName {
    LayerName::parse(text).unwrap()
}

fn new(called: &str, byte: u8) -> NewLayerVersion {
    let about = AboutLayer {
        description: Description::parse("what it is for").unwrap(),
        runtimes: Some(vec!["python3.11".to_owned()]),
        architectures: Some(vec![Architecture::X86_64]),
        license: Some("MIT".to_owned()),
    };
    NewLayerVersion { name: layer(called), code: code(byte), unzipped: 9, about, at_ms: 5 }
}

fn statement(id: &str) -> Statement {
    Statement {
        id: id.to_owned(),
        action: "lambda:GetLayerVersion".to_owned(),
        principal: "*".to_owned(),
        source_arn: None,
        source_account: None,
        event_source_token: None,
        principal_org_id: Some("o-abcdefghij".to_owned()),
        url_auth: None,
        via_url: None,
    }
}

/// Everything there is of layers.
fn everything(store: &Store) -> Vec<Layer> {
    store.snapshot().layers(None).map(|layer| (**layer).clone()).collect()
}

/// Layers for a function, as whoever looked at them remembers them.
fn attached(store: &Store, wanted: &[(&str, u64)]) -> Option<Arc<AttachedLayers>> {
    let snapshot = store.snapshot();
    let find = |(name, version): &(&str, u64)| snapshot.layer(name)?.attached(*version);
    let list = wanted.iter().map(find).collect::<Option<Vec<_>>>()?;
    AttachedLayers::of(list, Digest([0xEE; 32])).map(Arc::new)
}

#[test]
fn layers_are_the_same_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(directory.path());
        for byte in 1..=3 {
            assert_eq!(
                store.publish_layer(new("one", byte)).await.unwrap().number,
                u64::from(byte)
            );
        }
        let plain = NewLayerVersion { about: AboutLayer::default(), ..new("two", 4) };
        store.publish_layer(plain).await.unwrap();
        let one = layer("one");
        let added = store.add_layer_statement(&one, 2, None, statement("s"), |_| 9).await;
        let revision = Some(added.unwrap().to_string());
        store.add_layer_statement(&one, 2, revision, statement("t"), |_| 9).await.unwrap();
        store.remove_layer_statement(&one, 2, None, "s".to_owned()).await.unwrap();
        store.delete_layer_version(&layer("one"), 1).await.unwrap().unwrap();
        assert_eq!(store.delete_layer_version(&layer("one"), 1).await.unwrap(), None);
        store.delete_layer_version(&layer("two"), 1).await.unwrap().unwrap();
        let before = everything(&store);
        drop(store);
        let store = open(directory.path());
        assert_eq!(everything(&store), before);
        // A number is not used again, not even by a layer that nobody sees any more.
        assert_eq!(store.publish_layer(new("one", 5)).await.unwrap().number, 4);
        assert_eq!(store.publish_layer(new("two", 5)).await.unwrap().number, 2);
    });
}

#[test]
fn a_package_is_needed_while_a_layer_or_a_function_that_uses_it_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(directory.path());
        store.publish_layer(new("l", 7)).await.unwrap();
        let layers = attached(&store, &[("l", 1)]);
        let (archive, tree) = (code(7).digest, Digest([0xEE; 32]));
        let needed = |store: &Store| {
            let snapshot = store.snapshot();
            (snapshot.needs(&archive), snapshot.needs(&tree), snapshot.packages().count())
        };
        assert_eq!(needed(&store), (true, false, 1));
        let mut function = new_function("f");
        function.configuration.layers = layers.clone();
        let function = store.create_function(function).await.unwrap();
        assert_eq!(needed(&store), (true, true, 3));
        assert_eq!(function.latest.runnable.layers, Some(tree));
        store.settle(&name("f"), function.latest.generation, Settlement::Ready).await.unwrap();
        store.publish_version(&name("f"), Publication::default()).await.unwrap();
        // Who uses it keeps it: also over a restart.
        store.delete_layer_version(&layer("l"), 1).await.unwrap().unwrap();
        drop(store);
        let store = open(directory.path());
        assert_eq!(needed(&store), (true, true, 3));
        let function = store.snapshot().function("f").cloned().unwrap();
        assert_eq!(function.latest.configuration.layers, layers);
        let version = function.version(Some(&Qualifier::Version(1))).unwrap();
        assert_eq!(version.runnable.layers, Some(tree));
        // Until neither `$LATEST` nor a version does.
        let change = ConfigurationChange { layers: Some(None), ..ConfigurationChange::default() };
        let update = Update { configuration: change, ..Update::default() };
        let function = store.update_function(&name("f"), update).await.unwrap();
        assert_eq!(function.latest.runnable.layers, Some(tree), "still served");
        let settled = store.settle(&name("f"), function.latest.generation, Settlement::Ready).await;
        assert_eq!(settled.unwrap().unwrap().latest.runnable.layers, None);
        assert_eq!(needed(&store), (true, true, 3));
        store.delete_version(&name("f"), 1).await.unwrap().unwrap();
        assert_eq!(needed(&store), (false, false, 1));
    });
}

#[test]
fn a_function_gets_only_layers_that_are_there_when_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(directory.path());
        store.publish_layer(new("l", 7)).await.unwrap();
        let layers = attached(&store, &[("l", 1)]);
        let with = || {
            let mut configuration = configuration();
            configuration.layers.clone_from(&layers);
            let mut function = new_function("f");
            function.configuration = configuration;
            function
        };
        store.delete_layer_version(&layer("l"), 1).await.unwrap();
        let gone = Refusal::NoLayer { name: layer("l"), version: 1 };
        let refused = store.create_function(with()).await.unwrap_err();
        assert_eq!(refused, ChangeError::Refused(gone.clone()));
        let function = store.create_function(new_function("f")).await.unwrap();
        store.settle(&name("f"), function.latest.generation, Settlement::Ready).await.unwrap();
        let change =
            ConfigurationChange { layers: Some(layers.clone()), ..ConfigurationChange::default() };
        let update = Update { configuration: change, ..Update::default() };
        let refused = store.update_function(&name("f"), update).await.unwrap_err();
        assert_eq!(refused, ChangeError::Refused(gone));
    });
}

#[test]
fn changing_something_else_keeps_layers_that_were_deleted_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(directory.path());
        store.publish_layer(new("l", 7)).await.unwrap();
        let mut function = new_function("f");
        function.configuration.layers = attached(&store, &[("l", 1)]);
        let created = store.create_function(function).await.unwrap();
        store.settle(&name("f"), created.latest.generation, Settlement::Ready).await.unwrap();
        store.delete_layer_version(&layer("l"), 1).await.unwrap();
        let update = Update { code: Some(code(2)), ..Update::default() };
        let updated = store.update_function(&name("f"), update).await.unwrap();
        assert_eq!(updated.latest.configuration.layers, created.latest.configuration.layers);
    });
}

#[test]
fn what_layers_weigh_counts_like_what_functions_weigh() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(directory.path());
        store.create_function(new_function("f")).await.unwrap();
        store.publish_layer(new("l", 7)).await.unwrap();
        store.publish_layer(new("l", 8)).await.unwrap();
        let total = |store: &Store| store.snapshot().totals().code_size;
        assert_eq!(total(&store), code(1).size + code(7).size + code(8).size);
        store.delete_layer_version(&layer("l"), 1).await.unwrap();
        assert_eq!(total(&store), code(1).size + code(8).size);
        drop(store);
        assert_eq!(total(&open(directory.path())), code(1).size + code(8).size);
    });
}
