//! What the kernel counts per user, or per owner of a user namespace, one function cannot take from
//! another, nor from the host.

use serde_json::{Value, json};

use super::Probe;
use crate::harness::{Function, Package, shared};

/// Above the kernel's `pipe-user-pages-soft`, beyond which a user's pipes have two pages instead of
/// sixteen: 16,384 pages are 1,024 pipes.
const PIPES: u64 = 1_200;
/// A pipe of ordinary size.
const WHOLE: u64 = 65_536;

#[test]
fn one_function_that_uses_up_what_the_kernel_counts_by_user_leaves_the_others_theirs() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/budgets.py"));
    let (greedy, modest) = (probe.function().deploy(&daemon), probe.function().deploy(&daemon));
    let wanted = 100_000;
    let all = json!({"pipes": PIPES, "processes": 4, "watches": wanted, "timers": wanted});
    let mut event = all.clone();
    event["keep"] = json!(true);
    let taken: Value = greedy.answer(&event);
    // The control: for the one that used them up there are none left.
    assert!(taken["pipe"].as_u64() < Some(WHOLE), "{taken}");
    for kind in ["watches", "timers"] {
        let share = taken[kind].as_u64().expect("a number");
        assert!((1..wanted).contains(&share), "as many as there are for one: {taken}");
    }

    let mut event = all;
    event["pipes"] = json!(0);
    event["processes"] = json!(0);
    let seen = modest.answer(&event);
    assert_eq!(seen["pipe"], WHOLE);
    for kind in ["watches", "timers"] {
        assert_eq!(seen[kind], taken[kind], "a share of its own: {seen}");
    }
    // And root, to whom all of it is charged in the end.
    let few = json!({"pipes": 0, "processes": 0, "watches": 8, "timers": 8});
    let root = probe.outside(&few);
    assert_eq!((root["watches"].as_u64(), root["timers"].as_u64()), (Some(8), Some(8)));
}

#[test]
fn one_function_that_fills_its_tmp_leaves_the_others_and_the_host_theirs() {
    let daemon = shared();
    let source = "
        import errno, os

        def bytes_that_fit():
            block, count = bytes(1 << 20), 0
            with open('/tmp/full', 'wb', buffering=0) as file:
                try:
                    while True:
                        count += file.write(block)
                except OSError as error:
                    return count >> 20, errno.errorcode[error.errno]

        def files_that_fit():
            count = 0
            try:
                while True:
                    open(f'/tmp/{count}', 'w').close()
                    count += 1
            except OSError as error:
                return count, errno.errorcode[error.errno]

        def handler(event, context):
            if event == 'files':
                return files_that_fit()
            if event == 'bytes':
                return bytes_that_fit()
            with open('/tmp/some', 'wb') as file:
                return file.write(bytes(64 << 20)) >> 20
        ";
    let deploy = || Function::python(source).memory(256).timeout(60).deploy(&daemon);
    let (many, large, modest) = (deploy(), deploy(), deploy());
    let host =
        || nix::sys::statvfs::statvfs(daemon.home().path()).expect("it is there").files_free();
    let before = host();
    // The control: both walls are run into, by bytes and by number.
    let full = large.answer(&json!("bytes"));
    assert!(full[0].as_u64() > Some(500) && full[1] == "ENOSPC", "{full}");
    let crowd = many.answer(&json!("files"));
    assert!(crowd[0].as_u64() > Some(30_000) && crowd[1] == "ENOSPC", "{crowd}");
    assert_eq!(modest.answer(&json!("some")), 64);
    // Thirty thousand files would show, whatever others do on this machine meanwhile.
    let gone = before.saturating_sub(host());
    assert!(gone < 25_000, "{gone} inodes of the host's file system");
    let package = Package::new().file("app.py", "def handler(event, context):\n    return 1\n");
    large.replace(&package.build());
    assert_eq!(large.answer(&json!("some")), 1, "and uploads are taken");
}
