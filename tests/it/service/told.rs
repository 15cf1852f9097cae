//! What a service manager is told, and what it may conclude from silence.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::daemon::send;
use crate::harness::{Deployed, Function, Manager, eventually};

const ECHO: &str = "def handler(event, context):\n    return event\n";

#[test]
fn two_services_joined_by_a_socket_serve_functions() {
    let manager = Manager::new();
    let daemon = manager.start();
    manager.hears_from_spawner("READY=1");
    let function = Function::python(ECHO).deploy(&daemon);
    assert_eq!(function.answer(&json!({"one": 1})), json!({"one": 1}));
    let name = function.keep();
    daemon.stop();
    manager.hears("STOPPING=1");
    assert_eq!(manager.spawner_ended(1), "exit 0");

    // A fresh spawner for the next control plane; the function is still there.
    let daemon = manager.start();
    assert_eq!(Deployed::existing(&daemon, &name).answer(&json!(2)), 2);
    daemon.stop();
    assert_eq!(manager.spawner_ended(2), "exit 0");
}

#[test]
fn the_watchdog_is_fed_only_while_the_spawner_answers() {
    let manager = Manager::new();
    std::fs::write(manager.home().path().join("hearth.toml"), "ready_cells = 0\n").expect("ours");
    let mut command = manager.serve();
    // Half of it is the bound on the spawner's silence.
    command.env("WATCHDOG_USEC", "1000000");
    let daemon = manager.start_as(command);
    let function = Function::python(ECHO).deploy(&daemon);
    manager.hears("WATCHDOG=1");

    let proper = daemon.spawner_proper();
    send(proper, Signal::SIGSTOP);
    let answer = std::thread::scope(|scope| {
        // It needs a sandbox, and nobody makes one.
        let call = scope.spawn(|| function.answer(&json!(1)));
        let quiet = Duration::from_secs(2);
        eventually("the watchdog is not fed", Duration::from_secs(60), || {
            manager.unheard();
            std::thread::sleep(quiet);
            manager.unheard().is_empty().then_some(())
        });
        send(proper, Signal::SIGCONT);
        call.join().expect("answered")
    });
    assert_eq!(answer, 1);
    manager.hears("WATCHDOG=1");
}
