//! Every wall that needs neither root nor what an administrator gives.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;

use super::{EVERYTHING, NOTHING, options, start, stop};
use crate::harness::account::USER;
use crate::harness::tools::run;
use crate::harness::{Account, Daemon, Function, Home, Means};
use crate::isolation;

/// All probes that concern nothing but walls.
#[track_caller]
fn stand(means: Means) {
    let (account, daemon) = start(means);
    isolation::root::holds(&daemon);
    isolation::capabilities::holds(&daemon);
    isolation::syscalls::holds(&daemon);
    // Of the same user: only walls are between them.
    isolation::processes::holds(&daemon, USER);
    isolation::files::holds(&daemon);
    isolation::files::changes_nothing(&daemon);
    isolation::network::holds(&daemon);
    stop(&account, daemon);
}

#[test]
fn every_wall_stands_with_nothing_given() {
    stand(NOTHING);
}

#[test]
fn every_wall_stands_with_subordinate_ids() {
    stand(Means { ids: true, groups: false });
}

#[test]
fn every_wall_stands_with_delegated_groups() {
    stand(Means { ids: false, groups: true });
}

#[test]
fn every_wall_stands_with_both() {
    stand(EVERYTHING);
}

/// Two functions that have answered, and the host's ids of their processes.
fn ids_of_two(daemon: &Daemon) -> BTreeSet<u64> {
    let source = "
        import os

        def handler(event, context):
            return [os.getuid(), os.getgid(), os.getgroups(), os.listdir('/dev')]
        ";
    for function in [Function::python(source), Function::python(source)] {
        let function = function.deploy(daemon);
        let answer = function.answer(&json!({}));
        assert_eq!((&answer[0], &answer[1]), (&json!(1000), &json!(1000)));
        assert!(answer[3].as_array().is_some_and(|nodes| nodes.len() == 9), "{answer}");
        let _name = function.keep();
    }
    daemon.trace().sandboxed().iter().map(|one| one.uid()).collect()
}

#[test]
fn with_subordinate_ids_every_sandbox_has_one_of_them_and_none_the_users_own() {
    let (account, daemon) = start(Means { ids: true, groups: false });
    let ids = ids_of_two(&daemon);
    let first = u64::from(account.first_id);
    assert!(ids.len() >= 2, "{ids:?}");
    assert!(ids.iter().all(|id| (first..first + 65_536).contains(id)), "{ids:?} from {first} on");
    assert!(!daemon.log().contains("share one user id"), "{}", daemon.log());
    stop(&account, daemon);
}

#[test]
fn without_subordinate_ids_all_sandboxes_have_the_users_own_and_that_is_said() {
    let (account, daemon) = start(NOTHING);
    assert_eq!(ids_of_two(&daemon), BTreeSet::from([u64::from(USER)]));
    let log = daemon.log();
    assert!(log.contains(&format!("all sandboxes share one user id, {USER}: ")), "{log}");
    assert!(log.contains("sandboxes keep this user's supplementary groups"), "{log}");
    stop(&account, daemon);
}

#[test]
fn where_newuidmap_refuses_the_daemon_says_so_and_goes_on_without_subordinate_ids() {
    let account = Arc::new(Account::nameless());
    let daemon = Daemon::start_in(&Home::new(), &options(&account));
    assert_eq!(ids_of_two(&daemon), BTreeSet::from([u64::from(USER)]));
    let log = daemon.log();
    assert!(log.contains("all sandboxes share one user id: /"), "{log}");
    assert!(log.contains("newgidmap says: ") || log.contains("newuidmap says: "), "{log}");
    stop(&account, daemon);
}

#[test]
fn the_control_plane_has_no_capability_and_no_way_to_one() {
    let (account, daemon) = start(NOTHING);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid)).expect("it runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Uid:").split_whitespace().next(), Some(&*USER.to_string()));
    let namespace =
        |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).expect("it runs");
    assert_ne!(namespace(&daemon.pid.to_string()), namespace("self"), "a namespace of its own");
    stop(&account, daemon);
}

/// Tries to get at processes of Hearth: what it could open, one per line.
const TRESPASS: &str = "
import os, sys
for pid in sys.argv[1:]:
    for name in ['mem', 'ns/user', 'environ', 'root/']:
        try:
            os.close(os.open(f'/proc/{pid}/{name}', os.O_RDONLY))
            print(pid, name)
        except OSError:
            pass
";

#[test]
fn from_where_the_control_plane_is_the_spawner_cannot_be_entered_or_read() {
    let (account, daemon) = start(NOTHING);
    let function = Function::python("def handler(event, context):\n    return 1\n").deploy(&daemon);
    assert_eq!(function.answer(&json!({})), 1);
    let pids: Vec<String> = daemon
        .trace()
        .processes()
        .iter()
        .filter(|one| one.pid != daemon.pid)
        .map(|one| one.pid.to_string())
        .collect();
    assert!(pids.len() >= 4, "outer, proper, maker, cells: {pids:?}");
    let trespass = |wrapper: &[&str]| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).args(["/usr/bin/python3", "-c", TRESPASS]).args(&pids);
        run(command.uid(USER).gid(USER).stdin(Stdio::null()), "").succeeded().stdout
    };
    // As the control plane is: this user, in another user namespace, without a capability.
    let inside = trespass(&["unshare", "--user"]);
    assert_eq!(inside, "", "the control plane could open these");
    // The control: whoever made a user namespace may look into it from outside.
    let outside = trespass(&["env"]);
    assert!(outside.contains("ns/user"), "the attack can succeed: {outside:?}");
    drop(function);
    stop(&account, daemon);
}
