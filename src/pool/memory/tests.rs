//! How the kernel's numbers are read.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{Meter, anonymous, available, available_in, has_room};

#[test]
fn version_1_is_read_with_its_children() {
    let stat = b"cache 811008\nrss 1\nrss_huge 0\nshmem 0\ntotal_cache 811008\ntotal_rss 5677056\n";
    assert_eq!(anonymous(stat), Some(5_677_056));
}

#[test]
fn version_2_is_read() {
    assert_eq!(anonymous(b"anon 1234\nfile 99\nanon_thp 7\n"), Some(1_234));
}

#[test]
fn anything_else_is_nothing() {
    assert_eq!(anonymous(b""), None);
    assert_eq!(anonymous(b"anon_thp 7\n"), None);
    assert_eq!(anonymous(b"anon many\n"), None);
}

#[test]
fn a_kill_is_told_from_the_switch_of_nearly_the_same_name() {
    let meter = |control: &str| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(control.as_bytes()).expect("written");
        let statistics = file.try_clone().expect("a descriptor").into();
        Meter::new(statistics, Some(file.into()))
    };
    assert!(!meter("oom_kill_disable 1\nunder_oom 1\noom_kill 0\n").has_killed());
    assert!(meter("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n").has_killed());
    assert!(!meter("").has_killed());
}

#[test]
fn the_machines_memory_is_read_in_bytes() {
    let meminfo = b"MemTotal:       24683956 kB\nMemAvailable:   24315116 kB\n";
    assert_eq!(available_in(meminfo), Some(24_315_116 * 1024));
    assert!(available().expect("this machine says") > 0);
}

#[test]
fn a_reserve_leaves_room_if_the_smallest_function_fits_beside_it() {
    assert!(has_room(384 << 20, 256 << 20));
    assert!(!has_room((384 << 20) - 1, 256 << 20));
    assert!(!has_room(1 << 40, u64::MAX));
}

#[test]
fn processes_that_nobody_counts_for_are_asked_one_by_one() {
    // A shell, its child, and that child's: the last one's 32 MiB count as well.
    let script =
        "sh -c 'python3 -c \"b = bytearray(32 << 20); print(1, flush=True); input()\"; :'; :";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().expect("a shell");
    let mut line = String::new();
    let mut out = BufReader::new(shell.stdout.take().expect("piped"));
    out.read_line(&mut line).expect("it says when it has them");
    let first = File::open(format!("/proc/{}", shell.id())).expect("it lives");
    let meter = Meter::new(first.into(), None);
    assert!(meter.anonymous().expect("it lives") > 32 << 20);
    shell.stdin.take().expect("piped").write_all(b"\n").expect("it waits");
    shell.wait().expect("our own child");
    assert_eq!(meter.anonymous(), None, "it is gone");
}
