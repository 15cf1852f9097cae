//! Promises about commits.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::example::{name, new_function};
use crate::sqlite::migrations;

fn thread() -> Thread {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.pragma_update(None, "foreign_keys", "ON").unwrap();
    migrations::migrate(&mut connection, migrations::CONTROL).unwrap();
    Thread {
        connection,
        published: Arc::new(ArcSwap::from_pointee(Snapshot::default())),
        counters: Counters { function: 0, generation: 0 },
        poisoned: Arc::new(AtomicBool::new(false)),
    }
}

type Answer = oneshot::Receiver<Result<(), ChangeError>>;

fn job(
    decide: impl FnOnce(&mut Batch<'_>) -> Result<Result<(), Refusal>, rusqlite::Error> + Send + 'static,
) -> (Box<dyn Job>, Answer) {
    let (answer, answered) = oneshot::channel();
    (Box::new(Change { decide: Some(decide), decided: None, answer }), answered)
}

fn create(called: &'static str) -> (Box<dyn Job>, Answer) {
    job(move |batch| {
        let id = batch.next_function();
        let function = Function::create(id, new_function(called), || batch.next_generation());
        batch.put(function).map(|_| Ok(()))
    })
}

/// Commits jobs together and says what each of them was told.
fn commit(thread: &mut Thread, jobs: Vec<(Box<dyn Job>, Answer)>) -> Vec<Result<(), ChangeError>> {
    let (mut jobs, answers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
    let outcome = thread.commit(&mut jobs);
    for job in jobs {
        job.release(outcome.clone());
    }
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
}

fn rows(thread: &Thread) -> u64 {
    thread
        .connection
        .query_row("SELECT count(*) FROM function", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .cast_unsigned()
}

#[test]
fn a_refusal_does_not_disturb_the_changes_it_shares_a_commit_with() {
    let mut thread = thread();
    let refused = job(|_| Ok(Err(Refusal::NoFunction)));
    let answers = commit(&mut thread, vec![create("a"), refused, create("b")]);
    assert_eq!(answers[0], Ok(()));
    assert_eq!(answers[1], Err(ChangeError::Refused(Refusal::NoFunction)));
    assert_eq!(answers[2], Ok(()));
    assert_eq!(rows(&thread), 2);
    assert!(thread.published.load().function("b").is_some());
}

#[test]
fn a_job_sees_what_the_jobs_before_it_in_the_same_commit_did() {
    let mut thread = thread();
    let looks = job(|batch| {
        assert!(batch.function("a").is_ok());
        Ok(Ok(()))
    });
    assert_eq!(commit(&mut thread, vec![create("a"), looks]), [Ok(()), Ok(())]);
}

#[test]
fn a_failed_statement_undoes_the_whole_commit_and_nothing_after_it_runs() {
    let mut thread = thread();
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ran);
    let fails = job(|batch| batch.connection.execute_batch("no such statement").map(Ok));
    let after = job(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(Ok(()))
    });
    for answer in commit(&mut thread, vec![create("a"), fails, after]) {
        assert!(matches!(answer, Err(ChangeError::Storage(StorageError::RolledBack { .. }))));
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    assert_eq!(rows(&thread), 0);
    assert!(thread.published.load().function("a").is_none());
    assert_eq!(commit(&mut thread, vec![create("a")]), [Ok(())], "the next commit succeeds");
}

#[test]
fn a_failed_commit_acknowledges_nothing_and_ends_all_writing() {
    let mut thread = thread();
    let breaks_at_commit = job(|batch| {
        batch
            .connection
            .execute_batch(
                "PRAGMA defer_foreign_keys = ON;
                 INSERT INTO tag (function, name, value) VALUES (999, 'a', 'b');",
            )
            .map(Ok)
    });
    let answers = commit(&mut thread, vec![create("a"), breaks_at_commit]);
    let poisoned = Err(ChangeError::Storage(StorageError::Poisoned));
    assert_eq!(answers, [poisoned.clone(), poisoned.clone()]);
    assert!(thread.published.load().function("a").is_none());
    assert_eq!(commit(&mut thread, vec![create("b")]), [poisoned]);
    assert!(thread.published.load().function("b").is_none());
}

#[test]
fn a_generation_given_out_in_a_transaction_that_was_undone_was_never_seen_by_anybody() {
    let mut thread = thread();
    let before = thread.counters;
    let fails = job(|batch| batch.connection.execute_batch("no such statement").map(Ok));
    commit(&mut thread, vec![create("a"), fails]);
    assert_eq!(thread.counters, before);
    commit(&mut thread, vec![create("a")]);
    let function = Arc::clone(thread.published.load().function(name("a").as_str()).unwrap());
    assert_eq!(function.latest.generation.0, before.generation + 1);
}
