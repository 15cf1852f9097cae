//! Promises about records: what is written is read, what is damaged is noticed.

use proptest::prelude::*;

use super::*;

fn salt() -> Salt {
    Salt::new(*b"0123456789abcdef")
}

fn event(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    salt().write_event(&mut out, 24, 1, 2, message);
    out
}

#[test]
fn an_event_is_read_as_it_was_written() {
    let bytes = event(b"hello");
    assert_eq!(bytes.len(), EVENT_OVERHEAD + 5);
    let expected =
        Record::Event { stream: 24, timestamp_ms: 1, ingestion_ms: 2, message: b"hello" };
    assert_eq!(salt().check(&bytes), Front::Whole(bytes.len()));
    assert_eq!(decode(&bytes), Some(expected));
}

#[test]
fn a_stream_is_read_as_it_was_written() {
    let mut bytes = Vec::new();
    salt().write_stream(&mut bytes, "2026/11/20/[$LATEST]00");
    let expected = Record::Stream { name: "2026/11/20/[$LATEST]00" };
    assert_eq!(salt().check(&bytes), Front::Whole(bytes.len()));
    assert_eq!(decode(&bytes), Some(expected));
}

#[test]
fn the_longest_message_fits_and_one_byte_more_is_damage() {
    let bytes = event(&vec![b'x'; MAX_MESSAGE]);
    assert!(matches!(salt().check(&bytes), Front::Whole(_)));
    let bytes = event(&vec![b'x'; MAX_MESSAGE + 1]);
    assert_eq!(salt().check(&bytes), Front::Damaged);
}

#[test]
fn half_a_record_asks_for_the_rest() {
    let bytes = event(b"hello");
    for cut in 0..bytes.len() {
        assert!(matches!(salt().check(&bytes[..cut]), Front::Short(_)), "{cut}");
    }
}

#[test]
fn any_flipped_bit_is_noticed() {
    let whole = event(b"hello");
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(!matches!(salt().check(&bytes), Front::Whole(_)), "bit {at}");
    }
}

#[test]
fn a_record_of_another_segment_is_damage_here() {
    let other = Salt::new(*b"fedcba9876543210");
    assert_eq!(other.check(&event(b"hello")), Front::Damaged);
}

#[test]
fn a_header_comes_back_and_a_damaged_one_does_not() {
    let header = salt().header();
    assert_eq!(Salt::parse(&header), Some(salt()));
    for at in 0..SEGMENT_HEADER {
        let mut damaged = header;
        damaged[at] ^= 1;
        assert_eq!(Salt::parse(&damaged), None, "byte {at}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let mut marked = b"0123".to_vec();
        marked.extend_from_slice(&bytes);
        let _seen = (salt().check(&bytes), salt().check(&marked), salt().find(&bytes), decode(&bytes));
    }
}
