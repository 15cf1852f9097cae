//! What is taken of a compiler's link, and what not. A whole compilation is in `tests/it`.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::net::UnixStream;

use super::{CompileError, LARGEST, receive};

/// What comes of these bytes, and what is in the file afterwards.
fn received(said: &[&[u8]]) -> (Result<u64, CompileError>, Vec<u8>) {
    let (mut theirs, ours) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    let into: File = file.try_clone().unwrap();
    let receiving = std::thread::spawn(move || receive(ours.into(), into));
    for part in said {
        // Whoever says too much is not listened to any more.
        let _gone = theirs.write_all(part);
    }
    drop(theirs);
    let result = receiving.join().unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    (result, bytes)
}

fn length(bytes: u64) -> [u8; 8] {
    bytes.to_le_bytes()
}

#[test]
fn a_result_is_taken_as_it_is() {
    let (result, bytes) = received(&[&length(5), b"he", b"llo"]);
    assert_eq!((result.unwrap(), bytes), (5, b"hello".to_vec()));
    let (result, bytes) = received(&[&length(0)]);
    assert_eq!((result.unwrap(), bytes), (0, Vec::new()));
}

#[test]
fn a_result_may_be_as_large_as_is_said_and_no_larger() {
    let whole = vec![7; usize::try_from(LARGEST).unwrap()];
    let (result, bytes) = received(&[&length(LARGEST), &whole]);
    assert_eq!((result.unwrap(), bytes.len()), (LARGEST, whole.len()));
    let (result, bytes) = received(&[&length(LARGEST + 1), &whole]);
    assert!(matches!(result, Err(CompileError::TooLarge)));
    assert!(bytes.is_empty());
    let (result, _) = received(&[&length(u64::MAX), b"x"]);
    assert!(matches!(result, Err(CompileError::TooLarge)));
}

#[test]
fn a_compiler_that_ends_early_has_said_nothing() {
    for (said, had) in [
        (vec![&b""[..]], 0),
        (vec![&length(5)[..7]], 0),
        (vec![&length(5)], 0),
        (vec![&length(5), b"hell"], 4),
    ] {
        let (result, _) = received(&said);
        assert!(
            matches!(result, Err(CompileError::CutShort { bytes }) if bytes == had),
            "{said:?}"
        );
    }
}

#[test]
fn nothing_comes_after_the_end() {
    let (result, bytes) = received(&[&length(5), b"hello!"]);
    assert!(matches!(result, Err(CompileError::Trailing)));
    assert!(bytes.len() <= 5);
}
