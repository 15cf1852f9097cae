//! Promises about what survives.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use model::alias::{Share, Weight};
use model::configuration::Description;
use model::url::{AuthType, Cors};
use model::{Environment, Version};

use super::*;
use crate::alias::NewAlias;
use crate::example::{code, configuration, name, new_function};
use crate::function::{ConfigurationChange, LastUpdate, State};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("control.db")).unwrap()
}

/// Everything there is, without what a restart may forget.
fn everything(store: &Store) -> Vec<Function> {
    let forget = |version: &Arc<FunctionVersion>| {
        let mut version = (**version).clone();
        version.previous = version.previous.map(|previous| {
            let mut previous = (*previous).clone();
            previous.revision = version.revision;
            previous.last_update = Some(LastUpdate::Successful);
            Arc::new(previous)
        });
        Arc::new(version)
    };
    let snapshot = store.snapshot();
    let plain = |function: &Arc<Function>| {
        let mut function = (**function).clone();
        function.latest = forget(&function.latest);
        function
    };
    snapshot.functions(None).map(plain).collect()
}

async fn activate(store: &Store, called: &str) -> Arc<Function> {
    let generation = store.snapshot().function(called).unwrap().latest.generation;
    store.settle(&name(called), generation, Settlement::Ready).await.unwrap().unwrap()
}

fn statement(id: &str) -> Statement {
    Statement {
        id: id.to_owned(),
        action: "lambda:InvokeFunctionUrl".to_owned(),
        principal: "*".to_owned(),
        source_arn: Some("arn:aws:s3:::b".to_owned()),
        source_account: None,
        event_source_token: None,
        principal_org_id: None,
        url_auth: Some("NONE".to_owned()),
        via_url: Some(true),
    }
}

#[test]
fn everything_acknowledged_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let variables = vec![("KEY".to_owned(), "välue \"\n".to_owned())];
        let rich = NewFunction {
            configuration: model::Configuration {
                environment: Some(Environment::parse(variables).unwrap()),
                ..configuration()
            },
            ..new_function("rich")
        };
        store.create_function(rich).await.unwrap();
        activate(&store, "rich").await;
        store.publish_version(&name("rich"), Publication::default()).await.unwrap();
        let description = Some(Description::parse("second").unwrap());
        let change = ConfigurationChange { description, ..ConfigurationChange::default() };
        let update = Update {
            configuration: change,
            code: Some(code(2)),
            publish: true,
            ..Update::default()
        };
        store.update_function(&name("rich"), update).await.unwrap();
        let unreserved = Unreserved { limit: 1000, minimum: 100 };
        store.reserve_concurrency(&name("rich"), Some(5), unreserved).await.unwrap();
        let (wanted, at_ms) = (5, 9);
        let new = Provisioning { qualifier: Qualifier::Version(1), wanted, at_ms };
        store.provision(&name("rich"), new.clone(), unreserved).await.unwrap();
        let fewer = store.reserve_concurrency(&name("rich"), Some(4), unreserved).await;
        let below = Refusal::BelowProvisioned { reserved: 4, provisioned: 5 };
        assert_eq!(fewer.unwrap_err(), ChangeError::Refused(below));
        let other = Provisioning { qualifier: Qualifier::Version(2), wanted: 1, at_ms };
        let more = store.provision(&name("rich"), other, unreserved).await;
        assert_eq!(more.unwrap_err(), ChangeError::Refused(Refusal::BeyondReserved));
        let tags = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        store.tag(&name("rich"), tags).await.unwrap();
        let cors = Cors { allow_origins: Some(vec!["*".to_owned()]), ..Cors::default() };
        let url = NewUrl {
            alias: None,
            auth: AuthType::None,
            cors: Some(cors),
            invoke_mode: None,
            at_ms: 3,
        };
        store.create_url(&name("rich"), url).await.unwrap();
        for (alias, version, second) in
            [("plain", Version::Latest, None), ("both", Version::Number(1), Some(2))]
        {
            let weight = Weight::parse(0.1).unwrap();
            let alias = NewAlias {
                name: AliasName::parse(alias).unwrap(),
                version,
                description: Description::parse("what for").unwrap(),
                second: second.map(|version| Share { version, weight }),
            };
            store.create_alias(&name("rich"), alias).await.unwrap();
        }
        for scope in [PolicyScope::Function, PolicyScope::Version(1)] {
            store.add_statement(&name("rich"), scope, None, statement("s"), |_| 1).await.unwrap();
        }
        store.create_function(new_function("pending")).await.unwrap();
        let key = AccessKey { id: "AK".to_owned(), secret: "s".to_owned(), created_ms: 1 };
        store.put_key(key).await.unwrap();

        let before = everything(&store);
        let (instance, totals) = (store.instance().to_owned(), store.snapshot().totals());
        drop(store);
        let store = open(&directory);
        assert_eq!(everything(&store), before);
        assert_eq!(store.instance(), instance);
        assert_eq!(store.snapshot().totals(), totals);
        assert_eq!(store.snapshot().key("AK").unwrap().secret, "s");
        let rich = Arc::clone(store.snapshot().function("rich").unwrap());
        assert_eq!(rich.latest.last_update, Some(LastUpdate::InProgress));
        assert_eq!(rich.latest.runnable.code, code(1).digest, "the old code is still served");
        assert!(store.snapshot().url(rich.urls[0].id.as_str()).is_some());
        let settled = activate(&store, "rich").await;
        assert_eq!(settled.latest.runnable.code, code(2).digest);
    });
}

#[test]
fn generations_and_function_ids_are_never_given_out_twice() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let first = store.create_function(new_function("f")).await.unwrap();
        store.delete_function(&name("f")).await.unwrap();
        drop(store);
        let store = open(&directory);
        let second = store.create_function(new_function("f")).await.unwrap();
        assert!(second.id > first.id);
        assert!(second.latest.generation > first.latest.generation);
    });
}

#[test]
fn a_deleted_function_leaves_nothing_and_its_name_is_free_at_once() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        store.create_function(new_function("f")).await.unwrap();
        let new =
            NewUrl { alias: None, auth: AuthType::None, cors: None, invoke_mode: None, at_ms: 0 };
        let url = store.create_url(&name("f"), new).await.unwrap();
        store.delete_function(&name("f")).await.unwrap();
        assert!(store.snapshot().url(url.id.as_str()).is_none());
        assert_eq!(store.snapshot().totals(), crate::snapshot::Totals::default());
        store.create_function(new_function("f")).await.unwrap();
        drop(store);
        assert_eq!(open(&directory).snapshot().function("f").unwrap().urls.len(), 0);
    });
}

#[test]
fn a_name_is_taken_once() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        store.create_function(new_function("f")).await.unwrap();
        let again = store.create_function(new_function("f")).await;
        assert_eq!(again.unwrap_err(), ChangeError::Refused(Refusal::FunctionExists));
    });
}

#[test]
fn reservations_leave_what_has_to_be_left() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let unreserved = Unreserved { limit: 1000, minimum: 100 };
        for called in ["f", "g"] {
            store.create_function(new_function(called)).await.unwrap();
        }
        store.reserve_concurrency(&name("f"), Some(600), unreserved).await.unwrap();
        let refused = store.reserve_concurrency(&name("g"), Some(301), unreserved).await;
        let expected = ChangeError::Refused(Refusal::Unreserved { minimum: 100 });
        assert_eq!(refused.unwrap_err(), expected);
        store.reserve_concurrency(&name("g"), Some(300), unreserved).await.unwrap();
        store.reserve_concurrency(&name("f"), Some(500), unreserved).await.unwrap();
        store.reserve_concurrency(&name("f"), None, unreserved).await.unwrap();
        assert_eq!(store.snapshot().totals().set_aside, 300);
    });
}

#[test]
fn versions_are_deleted_and_deleting_what_is_not_there_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        store.create_function(new_function("f")).await.unwrap();
        activate(&store, "f").await;
        store.publish_version(&name("f"), Publication::default()).await.unwrap();
        assert!(store.delete_version(&name("f"), 7).await.unwrap().is_none());
        let gone = store.delete_version(&name("f"), 1).await.unwrap().unwrap();
        assert_eq!(gone.version, Version::Number(1));
        drop(store);
        assert!(open(&directory).snapshot().function("f").unwrap().versions.is_empty());
    });
}

#[test]
fn a_preview_says_what_an_update_would_lead_to_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        store.create_function(new_function("f")).await.unwrap();
        activate(&store, "f").await;
        let update = Update { code: Some(code(2)), ..Update::default() };
        let preview = store.preview_update("f", &update).unwrap();
        assert_eq!(preview.latest.code, code(2));
        assert_eq!(store.snapshot().function("f").unwrap().latest.code, code(1));
    });
}

#[test]
fn a_hundred_callers_at_once_are_all_told_the_truth() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = Arc::new(open(&directory));
        let tasks: Vec<_> = (0..100)
            .map(|index| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let called = format!("f{}", index % 50);
                    store.create_function(new_function(&called)).await.is_ok()
                })
            })
            .collect();
        let mut created = 0;
        for task in tasks {
            created += usize::from(task.await.unwrap());
        }
        assert_eq!(created, 50);
        assert_eq!(store.snapshot().totals().functions, 50);
    });
}

#[test]
fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for file in ["control.db", "control.db-wal"] {
        let path = directory.path().join(file);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
    drop(store);
}

#[test]
fn what_is_not_our_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.db");
    std::fs::write(&path, "this is no database, however long it may be ".repeat(200)).unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::Open { .. })));
    let path = directory.path().join("foreign.db");
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("PRAGMA application_id = 7; CREATE TABLE t (c TEXT);").unwrap();
    drop(foreign);
    assert!(matches!(Store::open(&path), Err(OpenError::Foreign { found: 7, .. })));
}

#[test]
fn a_row_that_cannot_be_understood_stops_the_start_and_names_the_function() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        store.create_function(new_function("broken")).await.unwrap();
    });
    let path = directory.path().join("control.db");
    let edited = rusqlite::Connection::open(&path).unwrap();
    edited.execute_batch("UPDATE version SET configuration = '{}'").unwrap();
    drop(edited);
    let refused = Store::open(&path).unwrap_err();
    let OpenError::Load { source, .. } = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("broken"), "{source}");
}

/// Set for the process that [`a_killed_process_loses_no_function_it_acknowledged`] starts: where to
/// work.
const WORKER: &str = "STORE_TEST_WORKER";

/// Not a promise of its own: what the killed process does.
#[test]
fn the_process_that_is_killed() {
    let Some(directory) = std::env::var_os(WORKER) else { return };
    let store = Store::open(&Path::new(&directory).join("control.db")).unwrap();
    runtime().block_on(async {
        for index in 0.. {
            let called = format!("f{index}");
            store.create_function(new_function(&called)).await.unwrap();
            // One line per acknowledged function, after a mark that no test harness prints.
            println!("\n@{called}");
        }
    });
}

#[test]
fn a_killed_process_loses_no_function_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = None;
    for round in 0..3 {
        let work = directory.path().join(round.to_string());
        std::fs::create_dir(&work).unwrap();
        let mut worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::the_process_that_is_killed", "--nocapture"])
            .env(WORKER, &work)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 20 + round * 37 {
            let line = lines.next().expect("the worker goes on until it is killed").unwrap();
            acknowledged.extend(line.strip_prefix('@').map(str::to_owned));
        }
        // SIGKILL.
        worker.kill().unwrap();
        worker.wait().unwrap();
        acknowledged.extend(
            lines
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix('@').map(str::to_owned)),
        );
        let store = Store::open(&work.join("control.db")).unwrap();
        let snapshot = store.snapshot();
        for called in &acknowledged {
            let function = snapshot.function(called).expect("acknowledged, so kept");
            assert_eq!(function.latest.state, State::Pending);
        }
        last = Some(acknowledged.len());
    }
    assert!(last > Some(20));
}

#[test]
fn a_package_is_needed_until_the_last_version_with_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(&directory);
    let (one, two) = (code(1).digest, code(2).digest);
    let needs = |store: &Store| [one, two].map(|package| store.snapshot().needs(&package));
    runtime().block_on(async {
        assert_eq!(needs(&store), [false, false]);
        store.create_function(new_function("a")).await.unwrap();
        store.create_function(new_function("b")).await.unwrap();
        activate(&store, "a").await;
        store.delete_function(&name("b")).await.unwrap();
        assert_eq!(needs(&store), [true, false], "the other has it, too");
        let publication = Publication::default();
        store.publish_version(&name("a"), publication).await.unwrap();
        let update = Update { code: Some(code(2)), ..Update::default() };
        store.update_function(&name("a"), update).await.unwrap();
        assert_eq!(needs(&store), [true, true]);
    });
    // While the update is in progress what was before is needed, and it is known after a restart.
    drop(store);
    store = open(&directory);
    runtime().block_on(async {
        assert_eq!(needs(&store), [true, true]);
        activate(&store, "a").await;
        assert_eq!(needs(&store), [true, true], "version 1 has it");
        store.delete_version(&name("a"), 1).await.unwrap();
        assert_eq!(needs(&store), [false, true]);
        store.delete_function(&name("a")).await.unwrap();
        assert_eq!(needs(&store), [false, false]);
    });
}

#[test]
fn whether_a_version_is_restored_survives_a_restart() {
    use crate::snapshots::{Optimization, Preparation};
    use model::configuration::SnapStart;

    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = open(&directory);
        let reason = Some("it has a thread".to_owned());
        for (called, optimization) in
            [("on", Optimization::On), ("off", Optimization::Off { reason })]
        {
            let mut new = new_function(called);
            new.configuration.snap_start = SnapStart::PublishedVersions;
            store.create_function(new).await.unwrap();
            activate(&store, called).await;
            let name = name(called);
            let (_, version) = store.publish_version(&name, Publication::default()).await.unwrap();
            let how = Preparation::Ready(optimization);
            store.prepare_version(&name, version.generation, how).await.unwrap().unwrap();
        }
        let before = everything(&store);
        drop(store);
        assert_eq!(everything(&open(&directory)), before);
    });
}
