//! Refusing costs little: every bomb below is turned away within 64 MiB, the archive included.
//!
//! One test in a process of its own, because what it looks at is the process's own peak.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use archive::{BadEntry, Limits, UnpackError, unpack};

#[path = "it/raw.rs"]
#[allow(dead_code, reason = "shared with the corpus, which uses all of it")]
mod raw;

use raw::{End, Member};

/// Peak resident size of this process, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// 50 MiB of central directory: as many records as fit, all about one local header.
fn million(announce: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(52_428_800);
    let mut member = Member::file("000000", "");
    raw::local(&mut out, b"", &member);
    let start = out.len();
    let mut count = 0_u64;
    while out.len() + 46 + 6 + 98 <= 52_428_800 {
        member.name = format!("{:06x}", count & 0xff_ffff).into_bytes();
        raw::central(&mut out, &member, 0);
        count += 1;
    }
    let end = End { zip64: true, count64: Some(announce.unwrap_or(count)), ..End::default() };
    raw::finish(&mut out, b"", start, 0, &end);
    assert!(count > 1_000_000 && out.len() <= 52_428_800 && out.capacity() == 52_428_800);
    out
}

/// 50 MiB with 100,000 entries; the last shares its place with the first.
fn crowded() -> Vec<u8> {
    let mut out = Vec::with_capacity(52_428_800);
    let member = |n: u32| Member::file(format!("d{:03}/{n:08}", n % 997), [7; 400]);
    // The directories count as well.
    let count = 100_000 - 997 - 1;
    let mut offsets: Vec<_> = (0..count).map(|n| raw::local(&mut out, b"", &member(n))).collect();
    offsets.push(raw::local(&mut out, b"", &Member::file("d000/last", [7; 100])));
    offsets[0] = 0;
    let start = out.len();
    for (n, offset) in (0..count - 1).zip(&offsets) {
        raw::central(&mut out, &member(n), *offset);
    }
    let twin = Member { packed: 500, size: 500, ..member(count - 1) };
    raw::central(&mut out, &twin, offsets[count as usize - 1]);
    raw::central(&mut out, &Member::file("d000/last", [7; 100]), offsets[count as usize]);
    let end = End { zip64: true, count64: Some(u64::from(count) + 1), ..End::default() };
    raw::finish(&mut out, b"", start, 0, &end);
    assert!(out.capacity() == 52_428_800);
    out
}

/// Many files that inflate a thousandfold, honest about it.
fn inflating() -> Vec<u8> {
    let megabyte = Member::deflated("m", vec![0; 1 << 20]);
    let many: Vec<_> = (0..300)
        .map(|n| Member { name: format!("m{n}").into_bytes(), ..megabyte.clone() })
        .collect();
    raw::zip(&many)
}

/// Declares little and inflates to 200 MiB.
fn lying() -> Vec<u8> {
    let megabyte = Member::deflated("m", vec![0; 200 << 20]);
    raw::zip(&[Member { size: 1_000_000, ..megabyte }])
}

#[test]
fn bombs_are_refused_quickly_and_within_64_mib() {
    // Built first and small, because building inflates: the peak below would count it.
    let small = [inflating()];
    let refuse = |zip: &[u8]| {
        let root = tempfile::tempdir().expect("a directory");
        let started = Instant::now();
        let err = unpack(zip, File::open(root.path()).expect("the root"), &Limits::AWS);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "took {took:?}");
        err.expect_err("a bomb")
    };
    assert!(matches!(refuse(&small[0]), UnpackError::UnzippedTooLarge { .. }));
    assert!(matches!(refuse(&million(None)), UnpackError::TooManyEntries { .. }));
    // A directory that announces few and holds a million is walked only as far as announced.
    assert!(matches!(
        refuse(&million(Some(3))),
        UnpackError::Entry { .. } | UnpackError::Malformed(_)
    ));
    // The most that is looked at in full: as many as are allowed, honest but for the last.
    let err = refuse(&crowded());
    assert!(matches!(err, UnpackError::Entry { source: BadEntry::Overlaps, .. }), "{err:?}");
    let peak = peak();
    assert!(peak < 64 * 1024, "peak {peak} KiB");
    // Building this one needs its 200 MiB; unpacking it stops after what it declared.
    assert!(matches!(refuse(&lying()), UnpackError::Content { .. }));
}
