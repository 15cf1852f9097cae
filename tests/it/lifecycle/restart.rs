//! Stopped and started in order; several side by side; started wrongly.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::daemon::{ended, images, nothing_left};
use crate::harness::tools::run;
use crate::harness::{Daemon, Function, Home, Options, Request, eventually};

const ECHO: &str = "def handler(event, context):\n    return event\n";

/// A path of the API, an answer to compare before and after.
fn facts(daemon: &Daemon, name: &str) -> Vec<Value> {
    let get = |path: String| daemon.api("GET", &path, &Value::Null).expect(200).json();
    vec![
        get(format!("/2015-03-31/functions/{name}"))["Configuration"].take(),
        get(format!("/2015-03-31/functions/{name}"))["Tags"].take(),
        get(format!("/2015-03-31/functions/{name}"))["Concurrency"].take(),
        get(format!("/2015-03-31/functions/{name}/versions")),
        get(format!("/2015-03-31/functions/{name}/policy")),
        get(format!("/2021-10-31/functions/{name}/url")),
    ]
}

#[test]
fn everything_registered_is_there_after_a_restart() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Options::default());
    let function = Function::python(ECHO)
        .environment(json!({"ONE": "1"}))
        .with("Tags", json!({"team": "tests"}))
        .deploy(&daemon);
    daemon.api("POST", &function.path("versions"), &json!({"Description": "first"})).expect(201);
    function.public_url();
    let path = function.path("concurrency").replace("2015-03-31", "2017-10-31");
    daemon.api("PUT", &path, &json!({"ReservedConcurrentExecutions": 3})).expect(200);
    let name = function.keep();
    let before = facts(&daemon, &name);
    let key = daemon.signer().key;
    daemon.stop();

    let daemon = Daemon::start_in(&home, &Options::default());
    assert_eq!(daemon.signer().key, key, "the administrator's key is made once");
    let after = facts(&daemon, &name);
    // The URL holds the port of the trigger listener, which the kernel chose anew.
    let without_port = |facts: &[Value]| {
        let text = serde_json::to_string(facts).expect("JSON");
        let ports = [daemon.http.port().to_string()];
        ports.iter().fold(text, |text, port| text.replace(port, "PORT"))
    };
    assert_eq!(after[..5], before[..5]);
    assert_eq!(after[5]["AuthType"], before[5]["AuthType"]);
    assert!(without_port(&after).contains("lambda-url"), "{after:#?}");
    let path = format!("/{name}/");
    Request::new("GET", &path).send(daemon.http).expect(200);
    let path = format!("/2015-03-31/functions/{name}/invocations?Qualifier=1");
    assert_eq!(daemon.send(Request::new("POST", &path).body("5")).expect(200).json(), 5);
}

#[test]
fn an_orderly_stop_lets_a_running_call_finish() {
    let daemon = Daemon::start();
    let source =
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'done'\n";
    let function = Function::python(source).timeout(20).deploy(&daemon);
    assert_eq!(function.answer(&json!(0)), "done");
    let trace = daemon.trace();
    let response = thread::scope(|scope| {
        let call = scope.spawn(|| function.invoke(&json!(2)).response);
        function.called(2);
        daemon.signal(Signal::SIGTERM);
        call.join().expect("answered")
    });
    assert_eq!(response.expect(200).json(), "done");
    function.keep();
    let mut daemon = daemon;
    assert_eq!(ended(daemon.wait()), "exit 0", "{}", daemon.log());
    nothing_left(&trace);
}

#[test]
fn a_daemon_whose_standard_input_ends_stops_in_order() {
    // What the tests themselves and `hearth dev` rely on, should they be killed.
    let home = Home::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(["serve", "--until-stdin-closes", "--data-dir"]).arg(home.data());
    command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    command.arg("--image-dir").arg(images());
    // Standard input ends at once: the daemon starts, sees it, and stops.
    let ran = run(&mut command, "");
    assert_eq!(ran.code, 0, "{ran:#?}");
}

#[test]
fn relative_directories_are_meant_from_where_it_was_started() {
    let home = Home::new();
    let images = images();
    let (data, above) = (home.data(), images.parent().expect("lies in a folder"));
    let serve = |from: &Path, data: &str, images: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.args(["serve", "--until-stdin-closes", "--data-dir", data, "--image-dir", images]);
        command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        run(command.current_dir(from), "").succeeded();
    };
    serve(home.path(), "data", &images.display().to_string());
    assert!(data.join("control.db").exists());
    serve(above, &data.display().to_string(), "images");
}

#[test]
fn daemons_live_side_by_side_and_share_nothing() {
    let (one, two) = (Daemon::start(), Daemon::start());
    assert_ne!(one.slot, two.slot);
    let function = Function::python(ECHO).deploy(&one);
    let elsewhere =
        two.api("GET", &format!("/2015-03-31/functions/{}", function.name), &Value::Null);
    assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
    let foreign =
        one.signer().sign(Request::new("GET", "/2015-03-31/functions"), &two.api.to_string());
    assert_eq!(foreign.send(two.api).status, 403, "the other one's key is not known here");
    assert_eq!(function.answer(&json!(1)), 1);
    two.stop();
    assert_eq!(function.answer(&json!(2)), 2, "the end of one is not the end of the other");
}

#[test]
fn a_data_directory_has_one_daemon() {
    let daemon = Daemon::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(["serve", "--data-dir"]).arg(daemon.home().data());
    command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    command.arg("--image-dir").arg(images());
    let ran = run(&mut command, "");
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.stderr.contains("in use by another hearth"), "{ran:#?}");
    assert!(ran.stderr.contains("--data-dir"), "it says what to do: {ran:#?}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let daemon = Daemon::start();
    let home = Home::new();
    let taken = daemon.api.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.args(["serve", "--api-listen", &taken, "--http-listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(home.data()).arg("--image-dir").arg(images());
    let ran = run(&mut command, "");
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.stderr.contains(&taken) && ran.stderr.contains("--api-listen"), "{ran:#?}");
}

#[test]
fn the_control_plane_runs_without_root_and_without_capabilities() {
    let daemon = Daemon::start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid)).expect("it runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    for ids in ["Uid:", "Gid:"] {
        assert!(field(ids).split_whitespace().all(|id| id != "0"), "{status}");
    }
    assert_eq!(field("Groups:"), "");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    // Every thread has the filter: it was loaded before the first was made.
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid)).expect("it runs");
    for thread in threads {
        let path = thread.expect("it runs").path().join("status");
        // One that has ended meanwhile has none.
        let status = std::fs::read_to_string(path).unwrap_or_else(|_| "Seccomp:\t2\n".to_owned());
        assert!(status.contains("Seccomp:\t2\n"), "{status}");
    }
}

#[test]
fn what_cannot_be_enforced_is_refused_by_name_and_left_out_only_where_that_is_said() {
    let home = Home::new();
    // In a mount namespace of its own the machine loses what is unmounted there.
    let without = |kinds: &str, more: &[&str]| {
        let mut command = Command::new("unshare");
        let script = format!("umount --all --types {kinds}; exec \"$@\"");
        command.args(["--mount", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_hearth")]);
        command.args(["serve", "--until-stdin-closes", "--data-dir"]).arg(home.data());
        command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        command.arg("--image-dir").arg(images()).args(more);
        run(&mut command, "")
    };
    let all_limits = "--allow-unenforced=memory,pids,cpu,swap";
    let refused = without("cgroup,cgroup2", &[all_limits]);
    assert_eq!(refused.code, 78, "{refused:#?}");
    assert!(refused.stderr.contains("cgroup-kill cannot be enforced: "), "{refused:#?}");

    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    if !mounts.contains(" - cgroup ") {
        // Where all controllers are in the one version-2 tree, none can be taken away alone.
        return;
    }
    let refused = without("cgroup", &["--allow-unenforced=pids,cpu,swap"]);
    assert_eq!(refused.code, 78, "{refused:#?}");
    assert!(refused.stderr.contains("memory cannot be enforced: "), "{refused:#?}");
    assert!(refused.stderr.contains("--allow-unenforced=memory"), "it says how: {refused:#?}");
    let allowed = without("cgroup", &[all_limits]);
    assert_eq!(allowed.code, 0, "{allowed:#?}");
    assert!(allowed.stderr.contains("memory is not enforced: "), "{allowed:#?}");
}

#[test]
fn a_stop_during_the_start_leaves_nothing() {
    let home = Home::new();
    for _ in 0..3 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.args(["serve", "--data-dir"]).arg(home.data());
        command.args(["--api-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        command.arg("--image-dir").arg(images()).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("hearth starts");
        let all = crate::harness::leftovers::Process::all;
        eventually("it has children", crate::harness::daemon::MOMENT, || {
            let family = crate::harness::leftovers::Process::family(child.id(), &all());
            (family.len() > 1 || matches!(child.try_wait(), Ok(Some(_)))).then_some(())
        });
        let family = crate::harness::leftovers::Process::family(child.id(), &all());
        crate::harness::daemon::send(child.id(), Signal::SIGKILL);
        child.wait().expect("our own child");
        eventually("its family is gone", crate::harness::daemon::MOMENT, || {
            let now = all();
            family.iter().all(|one| !now.contains(one)).then_some(())
        });
    }
}
