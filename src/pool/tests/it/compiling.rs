//! Code is compiled in a cell of its own, which ends whatever comes of it.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Digest;
use pool::CompileError;

use crate::rig::{Rig, Setup, eventually};

const CODE: Digest = Digest([7; 32]);

/// What comes of compiling for a runtime, and what is in the file afterwards.
async fn compiled(rig: &Rig, runtime: &str) -> (Result<u64, CompileError>, String) {
    let mut file = tempfile::tempfile().unwrap();
    let into: File = file.try_clone().unwrap();
    let result = rig.pool.compile(runtime, CODE, into).await;
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    (result, text)
}

#[tokio::test]
async fn a_compiler_knows_nothing_but_what_the_image_says_and_its_cell_is_gone_afterwards() {
    let rig = Rig::new().await;
    let (result, text) = compiled(&rig, "compiles").await;
    assert_eq!(text, r#"{"_HANDLER": "compiles"}"#);
    assert_eq!(result.unwrap(), text.len() as u64);
    assert_eq!(rig.double.assigned().len(), 1);
    rig.settled(0).await;
    // It was nobody's instance.
    assert_eq!(rig.pool.stats(), pool::Stats::default());
}

#[tokio::test]
async fn a_compiler_that_dies_leaves_nothing() {
    let rig = Rig::new().await;
    let (result, text) = compiled(&rig, "compiles-and-dies").await;
    assert!(matches!(result, Err(CompileError::CutShort { bytes: 0 })), "{result:?}");
    assert!(text.is_empty());
    rig.settled(0).await;
}

#[tokio::test]
async fn a_compiler_has_a_limited_time() {
    let limit = Duration::from_millis(200);
    let rig = Setup { init_limit: limit, ..Setup::default() }.start().await;
    let (result, _) = compiled(&rig, "compiles-forever").await;
    assert!(matches!(result, Err(CompileError::Slow { limit: it }) if it == limit), "{result:?}");
    rig.settled(0).await;
}

#[tokio::test]
async fn a_compiler_nobody_waits_for_any_more_ends_all_the_same() {
    let rig = Setup { init_limit: Duration::from_millis(500), ..Setup::default() }.start().await;
    let compiling = compiled(&rig, "compiles-forever");
    tokio::select! {
        biased;
        _ = compiling => panic!("it never ends"),
        () = eventually("it has a cell", || !rig.double.assigned().is_empty()) => {}
    }
    rig.settled(0).await;
}

#[tokio::test]
async fn a_cell_that_cannot_be_made_or_assigned_or_does_not_execute_is_an_error_and_no_leak() {
    let rig = Rig::new().await;
    let behaviour = &rig.double.behaviour;
    behaviour.refuse_make.store(true, Ordering::SeqCst);
    let (result, _) = compiled(&rig, "compiles").await;
    assert!(matches!(result, Err(CompileError::NoCell { .. })), "{result:?}");
    behaviour.refuse_make.store(false, Ordering::SeqCst);
    behaviour.refuse_assign.store(true, Ordering::SeqCst);
    let (result, _) = compiled(&rig, "compiles").await;
    assert!(matches!(result, Err(CompileError::NoCell { .. })), "{result:?}");
    behaviour.refuse_assign.store(false, Ordering::SeqCst);
    behaviour.refuse_execute.store(12, Ordering::SeqCst);
    let (result, _) = compiled(&rig, "compiles").await;
    assert!(matches!(result, Err(CompileError::NotExecuted { .. })), "{result:?}");
    behaviour.refuse_execute.store(0, Ordering::SeqCst);
    assert!(compiled(&rig, "compiles").await.0.is_ok());
    rig.settled(0).await;
}

#[tokio::test]
async fn nothing_compiles_for_a_runtime_that_has_no_compiler_or_is_not_served() {
    let rig = Rig::new().await;
    for runtime in ["python3.11", "provided.al2023", "java21"] {
        let (result, _) = compiled(&rig, runtime).await;
        assert!(matches!(result, Err(CompileError::NoCompiler { .. })), "{result:?}");
    }
    assert_eq!(rig.double.made(), 0);
}

#[tokio::test]
async fn a_spawner_that_is_gone_is_said() {
    let rig = Rig::new().await;
    rig.double.die();
    rig.pool.closed().await;
    assert!(compiled(&rig, "compiles").await.0.is_err());
}
