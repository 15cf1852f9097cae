//! Promises about streams of events.

use super::*;

#[test]
fn sums_are_those_that_everybody_computes() {
    assert_eq!(crc32(b""), 0);
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of CRC-32/ISO-HDLC");
}

#[test]
fn an_event_says_how_long_it_is_and_what_it_carries() {
    let mut body = b"before".to_vec();
    event(&mut body, "PayloadChunk", "application/octet-stream", b"abc");
    let event = &body[6..];
    let number = |at: usize| u32::from_be_bytes(event[at..at + 4].try_into().unwrap());
    assert_eq!(number(0) as usize, event.len());
    assert_eq!(number(8), crc32(&event[..8]));
    assert_eq!(number(event.len() - 4), crc32(&event[..event.len() - 4]));
    let headers = number(4) as usize;
    assert!(
        event[12..12 + headers].starts_with(b"\x0d:message-type\x07\0\x05event\x0b:event-type")
    );
    assert_eq!(&event[12 + headers..event.len() - 4], b"abc");
}
