//! Promises about many functions: what each costs in memory, and that none makes the others dearer.
//!
//! Counted with ten thousand, which takes seconds unoptimised; the benchmark has ten times as many.
//! Memory is what the kernel says a process has that does nothing but open the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::configuration::{
    Architecture, Description, EphemeralStorage, Handler, MemorySize, RoleArn, RuntimeId, Timeout,
};
use model::url::AuthType;
use model::{Configuration, Digest, FunctionName};
use store::{Code, NewFunction, NewUrl, Settlement, Store};

/// Functions of the large store.
const MANY: usize = 10_000;
/// Of these, so many have a URL.
const URLS: usize = 1_000;
/// Changes on their way at the same time: they share commits.
const AT_ONCE: usize = 500;
/// Bytes of resident memory that a registered function may take.
const EACH: u64 = 1536;
/// Tells a second process which store to open.
const OPEN: &str = "HEARTH_TEST_OPENS";

fn name(number: usize) -> FunctionName {
    FunctionName::parse(&format!("function-{number:06}")).unwrap()
}

fn function(number: usize) -> NewFunction {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    NewFunction {
        name: name(number),
        code: Code { digest: Digest(digest), size: 1000 },
        configuration: Configuration {
            runtime: RuntimeId::parse("python3.11").unwrap(),
            handler: Handler::parse("app.handler").unwrap(),
            role: RoleArn::parse("arn:aws:iam::000000000000:role/service-role/hearth").unwrap(),
            description: Description::default(),
            timeout: Timeout::DEFAULT,
            memory: MemorySize::DEFAULT,
            tmp: EphemeralStorage::DEFAULT,
            environment: None,
            architecture: Architecture::HOST,
            log_group: None,
            snap_start: model::configuration::SnapStart::None,
            layers: None,
        },
        tags: BTreeMap::new(),
        publish: false,
        at_ms: 1_795_132_800_000,
    }
}

/// Registers functions, many at a time.
async fn fill(store: &Arc<Store>, functions: std::ops::Range<usize>) {
    for first in functions.clone().step_by(AT_ONCE) {
        let batch = (first..functions.end.min(first + AT_ONCE)).map(|number| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let made = store.create_function(function(number)).await.unwrap();
                let generation = made.latest.generation;
                store.settle(&made.name, generation, Settlement::Ready).await.unwrap();
                if number < URLS {
                    let (auth, at_ms) = (AuthType::None, 1_795_132_800_000);
                    let url = NewUrl { alias: None, auth, cors: None, invoke_mode: None, at_ms };
                    store.create_url(&made.name, url).await.unwrap();
                }
            })
        });
        for one in batch.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }
}

fn filled(directory: &Path, count: usize) -> Arc<Store> {
    let store = Arc::new(Store::open(&directory.join("control.db")).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(fill(&store, 0..count));
    store
}

/// Bytes of memory and the time that a fresh process needs to open a store.
fn opened(directory: &Path) -> (u64, Duration) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "somebody_opens_a_store", "--nocapture"])
        .env(OPEN, directory.join("control.db"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("opened: ")).map(|(_, said)| said);
    let mut numbers = line.expect(&text).split(' ').map(|number| number.parse::<u64>().unwrap());
    (numbers.next().unwrap(), Duration::from_micros(numbers.next().unwrap()))
}

/// The other process of [`opened`]; in the ordinary run nothing to do.
#[test]
fn somebody_opens_a_store() {
    let Some(path) = std::env::var_os(OPEN) else { return };
    let begun = Instant::now();
    let store = Store::open(Path::new(&path)).unwrap();
    let took = begun.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    println!("opened: {} {}", kib * 1024, took.as_micros());
    drop(store);
}

#[test]
fn a_registered_function_takes_a_kibibyte_and_a_half_at_most() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(filled(few.path(), 10));
    drop(filled(many.path(), MANY));
    let ((little, _), (much, took)) = (opened(few.path()), opened(many.path()));
    let each = (much - little) / MANY as u64;
    println!("each: {each} bytes, opened in {took:?}");
    assert!(each <= EACH, "{each} bytes each");
}
