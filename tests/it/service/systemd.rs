//! The units under a real systemd, where this machine has one to boot.

use std::os::unix::fs::chown;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::Systemd;
use crate::harness::eventually;
use crate::harness::systemd::BOOT;

/// Where the program lies before it is installed.
const BROUGHT: &str = "/srv/hearth";
/// A file of before.
const OLDER: &str = "/var/lib/hearth/data/logs/older";
/// Who serves where there is no user `hearth`.
const RESERVED_ID: u32 = 1_879_048_191;
const SOURCE: &str = "def handler(event, context):\n    return {'body': 'served'}\n";

/// Asks for a function URL until a file appears: four clients that connect anew for every request,
/// and three that keep their connections. Prints how often each thing happened.
const CLIENTS: &str = r#"
import collections, http.client, json, os, sys, threading
seen = collections.Counter()

def ask(keep):
    connection = None
    while not os.path.exists('/tmp/enough'):
        try:
            if connection is None:
                connection = http.client.HTTPConnection('127.0.0.1', 8080, timeout=60)
            connection.request('GET', '/app/')
            answer = connection.getresponse()
            answer.read()
            seen[str(answer.status)] += 1
            if not keep or answer.getheader('connection') == 'close':
                connection.close()
                connection = None
        except OSError as err:
            seen[repr(err)] += 1
            connection = None

threads = [threading.Thread(target=ask, args=(keep,)) for keep in [False] * 4 + [True] * 3]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
json.dump(seen, sys.stdout)
"#;

/// A systemd with Hearth installed on it; `None` where there is none.
fn installed() -> Option<Systemd> {
    let systemd = Systemd::boot()?;
    // Which limits can be had is this machine's business; here the units are looked at.
    let mut lacks = systemd.lacks();
    lacks.extend(["swap"]);
    let config = format!(
        "image_dir = \"/srv/images\"\nstate_dir = \"/srv/state\"\nallow_unenforced = {lacks:?}\n"
    );
    systemd.write("/etc/hearth/hearth.toml", &config);
    systemd.bring(env!("CARGO_BIN_EXE_hearth"), BROUGHT);
    // What `hearth serve` by hand left there, when there was no user `hearth`.
    systemd.write("/var/lib/hearth/data/logs/older", "");
    for path in ["/var/lib/hearth/data", "/var/lib/hearth/data/logs", OLDER] {
        chown(systemd.path(path), Some(RESERVED_ID), Some(RESERVED_ID)).expect("root may");
    }
    systemd.check(&[BROUGHT, "service", "install"]);
    Some(systemd)
}

fn deploy(systemd: &Systemd) {
    systemd.write("/srv/app/app.py", SOURCE);
    systemd.check(&["hearth", "deploy", "/srv/app", "--url"]);
}

fn invoke(systemd: &Systemd) -> Value {
    let said = systemd.check(&["hearth", "invoke", "app"]);
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn a_real_systemd_installs_serves_and_takes_away() {
    let Some(systemd) = installed() else { return };
    deploy(&systemd);
    assert_eq!(invoke(&systemd), json!({"body": "served"}));
    assert_eq!(systemd.show("hearth.service", "ActiveState"), "active");
    assert_eq!(systemd.show("hearth-spawner.service", "ActiveState"), "active");
    assert!(systemd.show("hearth-spawner.service", "StatusText").starts_with("slot "));
    let raised = std::fs::read_to_string(systemd.path("/proc/sys/fs/inotify/max_user_instances"));
    assert!(raised.expect("a setting").trim().parse::<u64>().expect("a number") > 128);

    // What it found is its own.
    let uid = systemd.check(&["id", "--user", "hearth"]);
    assert_eq!(systemd.check(&["stat", "--format=%u", OLDER]), uid);

    // What it may do: nothing.
    let pid = systemd.show("hearth.service", "MainPID");
    let status = systemd.check(&["cat", &format!("/proc/{pid}/status")]);
    for line in ["CapBnd:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.lines().any(|said| said == line), "{line}\n{status}");
    }
    assert!(status.contains("Seccomp:\t2"), "{status}");
    let interfaces = systemd.check(&["cat", &format!("/proc/{pid}/net/dev")]);
    assert_eq!(interfaces.lines().filter(|line| line.contains(':')).count(), 1, "{interfaces}");

    // All that it is, logs and keys included, goes as it came.
    systemd.check(&[BROUGHT, "service", "uninstall"]);
    for gone in
        ["/usr/local/bin/hearth", "/etc/systemd/system/hearth.service", "/run/hearth/spawner.sock"]
    {
        assert!(!systemd.path(gone).exists(), "{gone}");
    }
    assert!(systemd.path("/var/lib/hearth/data/control.db").exists(), "functions stay");
    assert!(systemd.check(&["cat", "/etc/passwd"]).contains("hearth:"), "and whose they are");
    systemd.check(&[BROUGHT, "service", "uninstall", "--purge"]);
    assert!(!systemd.path("/var/lib/hearth").exists());
    assert!(!systemd.path("/etc/hearth").exists());
    assert!(!systemd.check(&["cat", "/etc/passwd"]).contains("hearth:"));
}

#[test]
fn under_a_real_systemd_restarts_and_an_upgrade_lose_no_request() {
    let Some(systemd) = installed() else { return };
    deploy(&systemd);
    let clients = systemd.start(&["python3", "-c", CLIENTS]);
    for _ in 0..3 {
        systemd.check(&["systemctl", "restart", "hearth.service"]);
        assert_eq!(invoke(&systemd), json!({"body": "served"}));
    }
    systemd.check(&[BROUGHT, "service", "install"]);
    assert_eq!(invoke(&systemd), json!({"body": "served"}));
    systemd.write("/tmp/enough", "");
    let out = clients.wait_with_output().expect("our own child");
    let seen: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{out:?}"));
    let seen = seen.as_object().expect("counts");
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["200"], "{seen:?}");
    assert!(seen["200"].as_u64() > Some(20), "{seen:?}");
}

#[test]
fn under_a_real_systemd_both_services_come_back_whichever_is_killed() {
    let Some(systemd) = installed() else { return };
    deploy(&systemd);
    for unit in ["hearth.service", "hearth-spawner.service"] {
        let before = systemd.show(unit, "MainPID");
        systemd.check(&["kill", "-9", &before]);
        eventually("another one runs", BOOT, || {
            let now = systemd.show(unit, "MainPID");
            (now != before && now != "0").then_some(())
        });
        // Who asks meanwhile waits.
        assert_eq!(invoke(&systemd), json!({"body": "served"}), "{unit}");
    }
    // A control plane that hangs is not waited for.
    let before = systemd.show("hearth.service", "MainPID");
    systemd.write("/etc/systemd/system/hearth.service.d/watch.conf", "[Service]\nWatchdogSec=5\n");
    systemd.check(&["systemctl", "daemon-reload"]);
    systemd.check(&["systemctl", "restart", "hearth.service"]);
    let hangs = systemd.show("hearth.service", "MainPID");
    assert_ne!(hangs, before);
    systemd.check(&["kill", "-STOP", &hangs]);
    eventually("the watchdog barks", BOOT + Duration::from_secs(60), || {
        let now = systemd.show("hearth.service", "MainPID");
        (now != hangs && now != "0").then_some(())
    });
    assert_eq!(invoke(&systemd), json!({"body": "served"}));
}

#[test]
fn under_a_real_systemd_a_spawner_that_hangs_is_replaced_with_the_control_plane() {
    let Some(systemd) = installed() else { return };
    deploy(&systemd);
    let drop_in = "/etc/systemd/system/hearth-spawner.service.d/soon.conf";
    systemd.write(drop_in, "[Service]\nTimeoutStopSec=2\n");
    systemd.check(&["systemctl", "daemon-reload"]);
    let outer = systemd.show("hearth-spawner.service", "MainPID");
    // The spawner proper, and who would clean up after the outer process.
    let inner = systemd.check(&["cat", &format!("/proc/{outer}/task/{outer}/children")]);
    for pid in inner.split_whitespace() {
        systemd.check(&["kill", "-STOP", pid]);
    }
    systemd.check(&["systemctl", "restart", "hearth.service"]);
    assert_ne!(systemd.show("hearth-spawner.service", "MainPID"), outer);
    assert_eq!(invoke(&systemd), json!({"body": "served"}));
}
