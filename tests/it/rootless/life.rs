//! Beginning and end.

use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{EVERYTHING, NOTHING, WAIVER, options, start, stop};
use crate::harness::account::{EVERY_KIND, USER};
use crate::harness::daemon::{ended, nothing_left, send};
use crate::harness::tools::run;
use crate::harness::{Account, Daemon, Deployed, Function, Home, Means, Options};
use crate::lifecycle::dev::Dev;

const SOURCE: &str = "
    import time

    def handler(event, context):
        time.sleep(event)
        return 'served'
    ";

#[test]
fn without_groups_serve_refuses_and_names_all_that_is_missing() {
    let account = Account::new(NOTHING);
    let home = Home::new();
    let mut command = account.hearth(home.path());
    command.args(["serve", "--until-stdin-closes", "--data-dir"]).arg(home.data());
    command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--image-dir"]);
    let ran = run(command.arg(home.path().join("images")), "");
    assert_eq!(ran.code, 78, "{ran:#?}");
    for limit in ["memory", "pids", "cpu"] {
        assert!(ran.stderr.contains(&format!("{limit} cannot be enforced: ")), "{ran:#?}");
    }
    assert!(ran.stderr.contains("--allow-unenforced=memory,pids,cpu"), "it says how: {ran:#?}");
}

#[test]
fn without_groups_dev_says_what_is_missing_and_serves() {
    let account = Account::new(NOTHING);
    let mut dev = Dev::start_as("hello-python", Some(&account));
    let url = dev.url();
    dev.eventually_answers(&url, "the example answers", "Hello, world!");
    let said = dev.said();
    assert!(said.contains("not enforced on this machine: memory, pids, cpu"), "{said}");
    assert!(said.contains(&format!("started as user {USER}, without root")), "{said}");
    dev.end(Signal::SIGINT, "exit 0");
}

#[test]
fn doctor_tells_an_ordinary_user_that_his_runtime_directory_is_another_s() {
    let account = Account::new(NOTHING);
    let home = Home::new();
    let mut command = account.hearth(home.path());
    // As sudo and su leave it: there, and root's.
    command.env("XDG_RUNTIME_DIR", "/usr").args(["doctor", "--image-dir"]);
    let ran = run(command.arg(home.path().join("images")), "");
    assert!(ran.stdout.contains("may not write to XDG_RUNTIME_DIR, /usr"), "{ran:#?}");
}

#[test]
fn doctor_tells_an_ordinary_user_what_he_has_and_how_to_have_more() {
    for means in EVERY_KIND {
        let account = Account::new(means);
        let home = Home::new();
        let mut command = account.hearth(home.path());
        command.args(["--output", "json", "doctor", "--image-dir"]);
        let ran = run(command.arg(home.path().join("images")), "");
        let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let finding = |what: &str| {
            let list = answer["findings"].as_array().expect("a list");
            let found = list.iter().find(|finding| finding["what"] == what);
            found.unwrap_or_else(|| panic!("nothing about {what} in {answer:#}")).clone()
        };
        assert_eq!(ran.code, if means.groups { 0 } else { 78 }, "{means:?}: {answer:#}");
        assert_eq!(finding("memory")["ok"], means.groups, "{means:?}");
        assert_eq!(finding("subordinate ids")["ok"], means.ids, "{means:?}");
        if !means.ids {
            assert!(!finding("supplementary groups")["remedy"].is_null());
        }
        if !means.groups {
            assert_eq!(finding("killing")["needed"], false);
            let remedy = finding("memory")["remedy"].clone();
            assert!(remedy.as_str().is_some_and(|text| text.contains("Delegate=yes")), "{remedy}");
        }
    }
}

#[test]
fn a_stop_leaves_nothing_and_a_second_start_serves_what_was_registered() {
    for means in EVERY_KIND {
        let (account, daemon) = start(means);
        let home = daemon.home().clone();
        let function = Function::python(SOURCE).deploy(&daemon);
        assert_eq!(function.answer(&json!(0)), "served");
        let name = function.keep();
        stop(&account, daemon);
        let daemon = Daemon::start_in(&home, &options(&account));
        assert_eq!(Deployed::existing(&daemon, &name).answer(&json!(0)), "served");
        stop(&account, daemon);
    }
}

/// Kills whatever `choose` names in the middle of a call: nothing is left of the daemon but, at most,
/// groups, which the next start sweeps.
#[track_caller]
fn killed(means: Means, choose: impl Fn(&Daemon) -> u32) {
    let (account, mut daemon) = start(means);
    let home = daemon.home().clone();
    let function = Function::python(SOURCE).timeout(60).deploy(&daemon);
    assert_eq!(function.answer(&json!(0)), "served");
    let name = function.keep();
    let trace = daemon.trace();
    assert!(trace.processes().len() >= 5, "control plane, outer, proper, maker, cells: {trace:?}");
    assert!(!trace.sandboxed().is_empty(), "{trace:?}");
    assert_eq!(account.remaining_groups().is_empty(), !means.groups);
    let victim = choose(&daemon);
    let of_the_control_plane = victim == daemon.pid;
    send(victim, Signal::SIGKILL);
    let expected = if of_the_control_plane { "signal 9" } else { "exit 70" };
    assert_eq!(ended(daemon.wait()), expected, "{}", daemon.log());
    nothing_left(&trace);
    let daemon = Daemon::start_in(&home, &options(&account));
    assert_eq!(Deployed::existing(&daemon, &name).answer(&json!(0)), "served");
    stop(&account, daemon);
}

#[test]
fn kill_nine_of_the_control_plane_leaves_nothing() {
    for means in [NOTHING, EVERYTHING] {
        killed(means, |daemon| daemon.pid);
    }
}

#[test]
fn kill_nine_of_the_spawner_leaves_nothing() {
    for means in [NOTHING, EVERYTHING] {
        killed(means, |daemon| daemon.spawner);
    }
}

#[test]
fn kill_nine_of_the_spawner_proper_leaves_nothing() {
    for means in [NOTHING, EVERYTHING] {
        killed(means, |daemon| {
            let trace = daemon.trace();
            let all: Vec<_> = trace.processes().iter().cloned().collect();
            let child = |one: &&crate::harness::leftovers::Process| {
                one.parent_in(&all).is_some_and(|parent| parent.pid == daemon.spawner)
            };
            all.iter().find(child).expect("the outer process has a child").pid
        });
    }
}

#[test]
fn two_daemons_of_one_user_have_different_ids_and_leave_each_other_alone() {
    let account = Arc::new(Account::new(Means { ids: true, groups: false }));
    let home = Home::new();
    let state = home.path().join("shared");
    let more = vec![WAIVER.to_owned(), format!("--state-dir={}", state.display())];
    let options = Options { account: Some(Arc::clone(&account)), more, ..Options::default() };
    let two = Home::new();
    std::os::unix::fs::chown(home.path(), Some(USER), Some(USER)).expect("we are root");
    let (one, two) = (Daemon::start_in(&home, &options), Daemon::start_in(&two, &options));
    let ids = |daemon: &Daemon| -> std::collections::BTreeSet<u64> {
        daemon.trace().sandboxed().iter().map(|process| process.uid()).collect()
    };
    let ready = std::time::Duration::from_secs(30);
    let seen = |daemon: &Daemon| {
        crate::harness::eventually("it has cells", ready, || {
            Some(ids(daemon)).filter(|ids| !ids.is_empty())
        })
    };
    let (first, second) = (seen(&one), seen(&two));
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    one.stop();
    let function = Function::python(SOURCE).deploy(&two);
    assert_eq!(function.answer(&json!(0)), "served");
    drop(function);
    two.stop();
}
