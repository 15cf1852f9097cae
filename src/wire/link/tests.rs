//! Promises about the link: frames arrive, and nothing a stranger's code writes is read, or paid for
//! with memory, before its eight bytes of header are in order.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const KINDS: [Kind; 13] = [
    Kind::Hello,
    Kind::Ready,
    Kind::InitFailed,
    Kind::Response,
    Kind::Failed,
    Kind::Oversize,
    Kind::Fatal,
    Kind::Spare,
    Kind::Pages,
    Kind::Snapshot,
    Kind::Unfit,
    Kind::Invoke,
    Kind::Assign,
];

/// Text of up to four bytes a character, without restriction.
const TEXT: &str = "(?s).{0,80}";

fn header(kind: u8, length: u32, sequence: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_le_bytes();
    let [x, y, z, _] = sequence.to_le_bytes();
    [a, b, c, d, kind, x, y, z]
}

/// A sequence number that a frame of this kind may have.
fn sequence_of(kind: Kind) -> u32 {
    if kind.has_event() { 0x03_02_01 } else { 0 }
}

/// What both ends do with a frame: header first, then the body it announces.
fn read(frame: &[u8]) -> Result<(u32, Invoke<'_>), DecodeError> {
    let mut from = Reader::new(frame);
    let header = Header::parse(from.array("header")?)?;
    assert_eq!(header.kind, Kind::Invoke);
    let body = from.take("body", header.length)?;
    from.finish()?;
    Ok((header.sequence, Invoke::decode(body)?))
}

// === what is said arrives ===

proptest! {
    #[test]
    fn every_event_arrives_as_it_was_sent(
        sequence in 1..=MAX_SEQUENCE,
        deadline_ms in any::<u64>(),
        texts in prop::array::uniform5(TEXT),
        payload in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let [request_id, invoked_arn, trace_id, client_context, cognito_identity] = &texts;
        let sent = Invoke {
            deadline_ms,
            request_id,
            invoked_arn,
            trace_id,
            client_context,
            cognito_identity,
            payload: &payload,
        };
        let frame = [sent.encode_head(sequence), payload.clone()].concat();
        prop_assert_eq!(read(&frame), Ok((sequence, sent)));
    }

    #[test]
    fn every_environment_arrives_as_it_was_sent(
        env in prop::collection::vec("[^\0=][^\0=]{0,20}=[^\0]{0,80}", 0..60),
    ) {
        let sent = Assign { env: env.iter().map(|it| it.as_bytes()).collect() };
        let frame = sent.encode();
        let (header, body) = frame.split_at(HEADER);
        let header = Header::parse(header.try_into().expect("eight bytes"));
        let expected = Header { kind: Kind::Assign, length: body.len(), sequence: 0 };
        prop_assert_eq!(header, Ok(expected));
        prop_assert_eq!(Assign::decode(body), Ok(sent));
    }

    #[test]
    fn metadata_cut_anywhere_is_refused(texts in prop::array::uniform5(TEXT), at in any::<prop::sample::Index>()) {
        let [request_id, invoked_arn, trace_id, client_context, cognito_identity] = &texts;
        let sent = Invoke {
            deadline_ms: 1,
            request_id,
            invoked_arn,
            trace_id,
            client_context,
            cognito_identity,
            payload: b"",
        };
        let body = &sent.encode_head(1)[HEADER..];
        prop_assert!(Invoke::decode(&body[..at.index(body.len())]).is_err());
    }

    #[test]
    fn every_header_within_its_limits_arrives_as_it_was_sent(
        which in 0..KINDS.len(),
        part in 0.0..=1.0f64,
        drawn in 1..=MAX_SEQUENCE,
    ) {
        let kind = KINDS[which];
        let sequence = if kind.has_event() { drawn } else { 0 };
        let sent = Header { kind, length: (kind.limit() as f64 * part) as usize, sequence };
        prop_assert_eq!(Header::parse(sent.encode()), Ok(sent));
    }
}

// === what is not a frame is refused ===

#[test]
fn every_kind_takes_a_body_of_its_limit_and_not_a_byte_more() {
    for kind in KINDS {
        let (limit, sequence) = (kind.limit() as u32, sequence_of(kind));
        for length in [0, limit] {
            let taken = Header { kind, length: length as usize, sequence };
            assert_eq!(Header::parse(header(kind as u8, length, sequence)), Ok(taken));
        }
        for length in [limit + 1, u32::MAX] {
            let refused =
                DecodeError::TooLong { field: "body", length: length.into(), limit: limit.into() };
            assert_eq!(Header::parse(header(kind as u8, length, sequence)), Err(refused));
        }
    }
}

#[test]
fn an_event_and_an_answer_of_aws_limit_fit_beside_their_metadata() {
    // 6 MiB and the 100 bytes AWS grants on top, as it names them when it refuses more.
    assert_eq!(MAX_RESPONSE, 6_291_556);
    assert_eq!(Kind::Response.limit(), MAX_RESPONSE);
    // What AWS admits: an ARN of 200 bytes with its qualifier, 3,583 bytes of client context.
    let largest = Invoke {
        deadline_ms: u64::MAX,
        request_id: &"r".repeat(36),
        invoked_arn: &"a".repeat(400),
        trace_id: &"t".repeat(1024),
        client_context: &"c".repeat(3583),
        cognito_identity: &"i".repeat(1024),
        payload: &vec![b' '; MAX_EVENT],
    };
    let [head @ .., _] = &largest.encode_head(1)[..=HEADER] else { panic!("no header") };
    let parsed = Header::parse(head.try_into().expect("eight bytes")).expect("within the limit");
    assert_eq!(parsed.length, largest.encode_head(1).len() - HEADER + MAX_EVENT);
}

#[test]
fn kinds_outside_the_closed_set_are_refused() {
    for tag in 0..=u8::MAX {
        let known = KINDS.into_iter().find(|kind| *kind as u8 == tag);
        let parsed = Kind::parse(tag);
        match known {
            Some(kind) => assert_eq!(parsed, Ok(kind)),
            None => assert_eq!(parsed, Err(DecodeError::UnknownTag { what: "frame", tag })),
        }
        let sequence = known.map_or(0, sequence_of);
        assert_eq!(Header::parse(header(tag, 0, sequence)).is_ok(), known.is_some());
    }
}

#[test]
fn exactly_what_belongs_to_an_event_says_to_which() {
    use Kind::{
        Assign, Failed, Fatal, Hello, InitFailed, Invoke, Oversize, Pages, Ready, Response,
        Snapshot, Spare, Unfit,
    };
    let parse = |kind, sequence| Header::parse(header(kind as u8, 0, sequence));
    for kind in [Response, Failed, Fatal, Oversize, Invoke] {
        for sequence in [1, 0xff, 0x100, 0x01_00_00, MAX_SEQUENCE] {
            assert_eq!(parse(kind, sequence), Ok(Header { kind, length: 0, sequence }));
        }
        let (value, min, max) = (0, 1, MAX_SEQUENCE.into());
        let refused = DecodeError::OutOfRange { field: "sequence", value, min, max };
        assert_eq!(parse(kind, 0), Err(refused));
    }
    for kind in [Hello, Ready, InitFailed, Spare, Pages, Snapshot, Unfit, Assign] {
        assert!(parse(kind, 0).is_ok());
        for sequence in [1, 0x100, 0x01_00_00, MAX_SEQUENCE] {
            let (value, min, max) = (sequence.into(), 0, 0);
            let refused = DecodeError::OutOfRange { field: "sequence", value, min, max };
            assert_eq!(parse(kind, sequence), Err(refused));
        }
    }
}

#[test]
fn the_bytes_stand_where_the_bootstraps_look_for_them() {
    let sent = Header { kind: Kind::Response, length: 0x0d_0c_0b_0a, sequence: 0x33_22_11 };
    assert_eq!(sent.encode(), [0x0a, 0x0b, 0x0c, 0x0d, 4, 0x11, 0x22, 0x33]);
}

#[test]
fn metadata_that_is_not_text_or_lies_about_its_length_is_refused() {
    let sent = Invoke {
        deadline_ms: 0,
        request_id: "id",
        invoked_arn: "",
        trace_id: "",
        client_context: "",
        cognito_identity: "",
        payload: b"{}",
    };
    let body = [&sent.encode_head(1)[HEADER..], sent.payload].concat();
    let length_at = 8;
    for length in [body.len() as u32 + 1, u32::MAX] {
        let mut lying = body.clone();
        lying[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        assert!(matches!(
            Invoke::decode(&lying),
            Err(DecodeError::TooLong { field: "request_id", .. })
        ));
    }
    let mut not_text = body;
    not_text[length_at + 4] = 0xff;
    assert_eq!(Invoke::decode(&not_text), Err(DecodeError::NotText { field: "request_id" }));
}

// === fuzzing ===

#[test]
fn no_header_makes_the_reader_panic_or_announces_more_than_its_limit() {
    bolero::check!().with_type::<[u8; HEADER]>().with_test_time(Duration::from_secs(1)).for_each(
        |bytes| {
            if let Ok(header) = Header::parse(*bytes) {
                assert!(header.length <= header.kind.limit());
                assert!(header.sequence <= MAX_SEQUENCE);
                assert_eq!(header.sequence != 0, header.kind.has_event());
                assert_eq!(header.encode(), *bytes);
            }
        },
    );
}

#[test]
fn no_bytes_make_the_event_decoder_panic_and_nothing_is_copied() {
    bolero::check!().with_max_len(4096).with_test_time(Duration::from_secs(2)).for_each(
        |bytes: &[u8]| {
            let Ok(event) = Invoke::decode(bytes) else { return };
            // Every part is a slice of the body, so a decoded event owns no memory at all.
            let inside = bytes.as_ptr_range();
            for part in [
                event.request_id.as_bytes(),
                event.invoked_arn.as_bytes(),
                event.trace_id.as_bytes(),
                event.client_context.as_bytes(),
                event.cognito_identity.as_bytes(),
                event.payload,
            ] {
                let part = part.as_ptr_range();
                assert!(part.is_empty() || (inside.start <= part.start && part.end <= inside.end));
            }
            let frame = [&event.encode_head(1)[HEADER..], event.payload].concat();
            assert_eq!(frame, bytes);
        },
    );
}

#[test]
fn no_bytes_make_the_decoder_of_assignments_panic_and_no_value_is_copied() {
    bolero::check!().with_max_len(4096).with_test_time(Duration::from_secs(1)).for_each(
        |bytes: &[u8]| {
            let Ok(assign) = Assign::decode(bytes) else { return };
            let inside = bytes.as_ptr_range();
            for variable in &assign.env {
                let part = variable.as_ptr_range();
                assert!(inside.start <= part.start && part.end <= inside.end);
            }
            assert_eq!(&assign.encode()[HEADER..], bytes);
        },
    );
}
