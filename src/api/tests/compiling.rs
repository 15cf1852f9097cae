//! Functions are made ready whatever comes of compiling their code, and code is compiled once.

use std::io::Write as _;
use std::sync::Arc;

use archive::Edition;
use http::StatusCode;
use model::Digest;
use pool::CompileError;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::server::{Server, new_function_with, package, package_text};
use crate::compiling::{self, WORTHWHILE};

/// A package whose one module has so many bytes.
fn module(bytes: u64) -> String {
    "#".repeat(usize::try_from(bytes).unwrap())
}

async fn create(server: &Server, name: &str, text: &str) -> Edition {
    let function = new_function_with(name, json!({ "Code": { "ZipFile": package_text(text) } }));
    let created = server.call("POST", "/2015-03-31/functions", function).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    let settled = server.settled(name).await;
    assert_eq!(settled["State"], "Active");
    let code = Digest(Sha256::digest(package(text)).into());
    Edition { code, image: Digest([7; 32]), runtime: "python3.11".to_owned() }
}

#[tokio::test]
async fn a_package_is_compiled_before_its_function_is_active() {
    let server = Server::open();
    let edition = create(&server, "f", &module(WORTHWHILE)).await;
    let path = server.api.code.compiled_path(&edition);
    assert_eq!(std::fs::read(path).unwrap(), b"compiled");
}

#[tokio::test]
async fn the_same_package_is_compiled_once() {
    let server = Server::open();
    let edition = create(&server, "f", &module(WORTHWHILE)).await;
    create(&server, "g", &module(WORTHWHILE)).await;
    assert_eq!(*server.pool.compiled.lock().unwrap(), [(edition.code, "python3.11".to_owned())]);
    create(&server, "h", &module(WORTHWHILE + 1)).await;
    assert_eq!(server.pool.compiled.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_few_lines_are_not_worth_a_sandbox() {
    let server = Server::open();
    let edition = create(&server, "f", &module(WORTHWHILE - 1)).await;
    assert!(!server.api.code.is_compiled(&edition).unwrap());
    assert!(server.pool.compiled.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_compiled_for_a_runtime_without_a_compiler() {
    let server = Server::open();
    let members = json!({
        "Runtime": "provided.al2023",
        "Code": { "ZipFile": package_text(&module(WORTHWHILE)) },
    });
    let created =
        server.call("POST", "/2015-03-31/functions", new_function_with("f", members)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(server.settled("f").await["State"], "Active");
    assert!(server.pool.compiled.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_function_whose_code_cannot_be_compiled_is_made_ready_and_leaves_nothing() {
    let server = Server::open();
    server.pool.compile_with(|mut into| {
        into.write_all(b"half of it").unwrap();
        Err(CompileError::CutShort { bytes: 10 })
    });
    let edition = create(&server, "f", &module(WORTHWHILE)).await;
    assert!(!server.api.code.is_compiled(&edition).unwrap());
    let store = server.api.code.path(&edition.code);
    let names: Vec<_> = std::fs::read_dir(store.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, [edition.code.hex()]);
    // The next function with this code is another chance.
    server
        .pool
        .compile_with(|mut into| into.write_all(b"whole").map(|()| 5).map_err(CompileError::Write));
    create(&server, "g", &module(WORTHWHILE)).await;
    assert!(server.api.code.is_compiled(&edition).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_function_is_not_kept_waiting_for_those_before_it() {
    let server = Server::open();
    // Everybody's place is taken, by compilers that do not come to an end.
    let all = server.api.compiling.available_permits();
    let all = server.api.compiling.acquire_many(u32::try_from(all).unwrap()).await.unwrap();
    let edition = Edition {
        code: server.api.code.put(&package(&module(WORTHWHILE))).unwrap().digest,
        image: Digest([7; 32]),
        runtime: "python3.11".to_owned(),
    };
    let name = model::FunctionName::parse("f").unwrap();
    compiling::compile(&Arc::clone(&server.api), &name, edition.code, "python3.11").await;
    assert!(!server.api.code.is_compiled(&edition).unwrap());
    drop(all);
    compiling::compile(&server.api, &name, edition.code, "python3.11").await;
    assert!(server.api.code.is_compiled(&edition).unwrap());
}

/// Waits until something is compiled.
async fn eventually(server: &Server, edition: &Edition) {
    for _ in 0..500 {
        if server.api.code.is_compiled(edition).unwrap() {
            return;
        }
        // It is done in the background, and nobody says when.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it was never compiled");
}

#[tokio::test]
async fn what_an_image_compiled_that_is_no_more_is_compiled_again_after_a_start_and_nothing_else() {
    let server = Server::open();
    let outdated = create(&server, "outdated", &module(WORTHWHILE)).await;
    let current = create(&server, "current", &module(WORTHWHILE + 1)).await;
    server.pool.compile_with(|_| Err(CompileError::NoMemory));
    let never = create(&server, "never", &module(WORTHWHILE + 2)).await;
    let place = server.api.code.compiled_root(&outdated.code);
    let (now, before) = (outdated.image.hex(), Digest([6; 32]).hex());
    std::fs::rename(place.join(&now), place.join(&before)).unwrap();
    server.pool.compiled.lock().unwrap().clear();

    server
        .pool
        .compile_with(|mut into| into.write_all(b"anew").map(|()| 4).map_err(CompileError::Write));
    crate::recover(&server.api).await;
    eventually(&server, &outdated).await;
    assert_eq!(std::fs::read(server.api.code.compiled_path(&outdated)).unwrap(), b"anew");
    assert_eq!(std::fs::read(server.api.code.compiled_path(&current)).unwrap(), b"compiled");
    assert!(!server.api.code.is_compiled(&never).unwrap());
    let compiled = server.pool.compiled.lock().unwrap().clone();
    assert_eq!(compiled, [(outdated.code, "python3.11".to_owned())]);
    // What is in place is seen before what it replaces is taken away.
    for _ in 0..500 {
        if !place.join(&before).exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("what nothing uses any more stays");
}
