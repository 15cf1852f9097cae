//! Frames that are kept, and replayed with every test run: each message there is, and what somebody
//! would send who means harm.
//!
//! `corpus/<format>.txt` has a frame per line: whether it is a message (`ok`, `no`), its bytes, what it
//! is. From each, a few hundred are derived on the spot: cut anywhere, any byte and any four bytes
//! replaced by what lies at the edges of numbers. None may panic, and whatever is taken for a message
//! must be spelled exactly as it came: one message, one spelling.
//!
//! The tests with `bolero` beside each format draw frames at random, two seconds each. For longer:
//!
//! ```text
//! BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test -p wire bytes -- --test-threads=2
//! ```
//!
//! A frame that fails there goes into the corpus. The spawner's own tests send these frames to a
//! running spawner, and there is a corpus of its messages to the maker beside `src/spawner/order.rs`.

use crate::codec::DecodeError;
use crate::link::{Assign, HEADER, Header, Invoke};
use crate::{runner, spawner};

/// Reads bytes as a message and writes that down again.
type Format = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

const FORMATS: [(&str, Format); 7] = [
    (include_str!("corpus/spawner_request.txt"), |bytes| {
        spawner::Request::decode(bytes).map(|message| message.encode())
    }),
    (include_str!("corpus/spawner_reply.txt"), |bytes| {
        spawner::Reply::decode(bytes).map(|message| message.encode())
    }),
    (include_str!("corpus/runner_request.txt"), |bytes| {
        runner::Request::decode(bytes).map(|message| message.encode())
    }),
    (include_str!("corpus/runner_report.txt"), |bytes| {
        runner::Report::decode(bytes).map(|message| message.encode())
    }),
    (include_str!("corpus/link_header.txt"), |bytes| {
        let whole = <[u8; HEADER]>::try_from(bytes);
        let whole = whole.map_err(|_| DecodeError::Truncated { field: "header" })?;
        Header::parse(whole).map(|header| header.encode().to_vec())
    }),
    (include_str!("corpus/link_invoke.txt"), |bytes| {
        let event = Invoke::decode(bytes)?;
        Ok([&event.encode_head(1)[HEADER..], event.payload].concat())
    }),
    (include_str!("corpus/link_assign.txt"), |bytes| {
        Assign::decode(bytes).map(|assign| assign.encode()[HEADER..].to_vec())
    }),
];

/// Values at the edges of numbers.
const EDGES: [u32; 6] = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x0101_0101];

/// The frames of a list: whether each is a message, its bytes, what it is.
fn frames(list: &str) -> Vec<(bool, Vec<u8>, &str)> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (verdict, rest) = line.split_once(' ').unwrap();
            let (hex, what) = rest.split_once(' ').unwrap();
            let digits = hex.trim_start_matches('-').as_bytes();
            let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            (verdict == "ok", digits.chunks(2).map(byte).collect(), what)
        })
        .collect()
}

#[test]
fn every_frame_that_is_kept_is_still_understood_or_still_refused() {
    for (list, format) in FORMATS {
        for (is_message, bytes, what) in frames(list) {
            match format(&bytes) {
                Ok(again) => assert!(is_message && again == bytes, "{what}: understood"),
                Err(err) => assert!(!is_message, "{what}: {err}"),
            }
        }
    }
}

#[test]
fn whatever_is_derived_from_a_kept_frame_is_understood_as_spelled_or_refused() {
    let mut derived = 0;
    for (list, format) in FORMATS {
        let mut check = |bytes: &[u8], what: &str| {
            derived += 1;
            if let Ok(again) = format(bytes) {
                assert_eq!(again, bytes, "{what}");
            }
        };
        for (_, bytes, what) in frames(list) {
            for end in 0..bytes.len() {
                check(&bytes[..end], what);
            }
            for at in 0..bytes.len() {
                for edge in EDGES {
                    let edge = edge.to_le_bytes();
                    for width in [1, 2, 4] {
                        let mut bytes = bytes.clone();
                        let end = bytes.len().min(at + width);
                        // The upper end, where the sign is.
                        bytes[at..end].copy_from_slice(&edge[4 - (end - at)..]);
                        check(&bytes, what);
                    }
                }
            }
        }
    }
    assert!(derived > 50_000, "{derived} frames");
}
