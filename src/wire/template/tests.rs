//! Promises about the spawner's conversation with a template.

use std::time::Duration;

use super::*;

const ANSWERS: [Answer; 3] = [
    Answer::Ready,
    Answer::Forked { cell: 7, pid: 12 },
    Answer::Failed { cell: 7, step: 4, errno: 1 },
];

#[test]
fn every_answer_arrives_as_it_was_sent() {
    for answer in ANSWERS {
        assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }
}

#[test]
fn whatever_is_not_exactly_one_answer_is_refused() {
    for answer in ANSWERS {
        let bytes = answer.encode();
        for end in 0..bytes.len() {
            assert!(Answer::decode(&bytes[..end]).is_err(), "{answer:?} cut at {end}");
        }
        assert!(Answer::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
    for tag in (0..=u8::MAX).filter(|tag| !(1..=3).contains(tag)) {
        assert_eq!(Answer::decode(&[tag]), Err(DecodeError::UnknownTag { what: "answer", tag }));
    }
    for pid in [0, 1, -1] {
        assert!(Answer::decode(&Answer::Forked { cell: 1, pid }.encode()).is_err(), "{pid}");
    }
    let unknown = Answer::Failed { cell: 1, step: STEPS.len() as u8, errno: 1 };
    assert!(Answer::decode(&unknown.encode()).is_err());
}

#[test]
fn orders_are_spelled_as_the_program_without_a_library_reads_them() {
    let domain = Domain { handled: 0x1FF, scoped: 3, rules: vec![("/tmp".to_owned(), 0x10)] };
    let recipe = Recipe { id: 1000, domain: Some(domain), filter: vec![6, 0, 0, 0, 1, 2, 3, 4] };
    let expected = [
        &[1][..],
        &1000_u32.to_le_bytes(),
        &0x1FF_u64.to_le_bytes(),
        &3_u64.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &0x10_u64.to_le_bytes(),
        &5_u32.to_le_bytes(),
        b"/tmp\0",
        &8_u32.to_le_bytes(),
        &[6, 0, 0, 0, 1, 2, 3, 4],
    ]
    .concat();
    assert_eq!(Order::Recipe(recipe).encode(), expected);
    let none = Recipe { id: 1000, domain: None, filter: Vec::new() };
    assert_eq!(Order::Recipe(none).encode().len(), 1 + 4 + 8 + 8 + 4 + 4);
    assert_eq!(Order::Fork { cell: 7 }.encode(), [2, 7, 0, 0, 0]);
}

#[test]
fn no_bytes_make_the_decoder_panic_or_say_anything_twice() {
    bolero::check!().with_max_len(64).with_test_time(Duration::from_secs(1)).for_each(
        |bytes: &[u8]| {
            if let Ok(answer) = Answer::decode(bytes) {
                assert_eq!(answer.encode(), bytes);
            }
        },
    );
}
