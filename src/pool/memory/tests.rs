//! How the kernel's numbers are read.

use super::{anonymous, available, available_in};

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
fn the_machines_memory_is_read_in_bytes() {
    let meminfo = b"MemTotal:       24683956 kB\nMemAvailable:   24315116 kB\n";
    assert_eq!(available_in(meminfo), Some(24_315_116 * 1024));
    assert!(available().expect("this machine says") > 0);
}
