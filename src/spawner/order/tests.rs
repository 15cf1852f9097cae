//! Orders and answers survive the trip; anything else does not.

use super::{Answer, MAX_MESSAGE, Order, Whose};

/// Ids of root's cells.
const BOUNDS: (u32, u32) = (16, 65_535);

#[test]
fn orders_and_answers_are_read_back_as_they_were_written() {
    for order in [Order::Cell { cell: 7, id: 16 }, Order::Template { template: 7, index: 255 }] {
        assert_eq!(Order::decode(&order.encode(), BOUNDS), Ok(order));
    }
    for whose in [Whose::Cell(7), Whose::Template(7)] {
        for answer in [
            Answer::Born { whose, pid: 12 },
            Answer::Failed { whose, detail: "clone: EAGAIN".to_owned() },
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
    }
}

#[test]
fn an_id_that_no_cell_may_have_is_refused() {
    for id in [0, 1, 15, 65_536, u32::MAX] {
        assert!(Order::decode(&Order::Cell { cell: 1, id }.encode(), BOUNDS).is_err(), "{id}");
    }
}

#[test]
fn a_pid_that_no_cell_can_have_is_refused() {
    for pid in [0, 1, -1] {
        assert!(
            Answer::decode(&Answer::Born { whose: Whose::Cell(1), pid }.encode()).is_err(),
            "{pid}"
        );
    }
}

#[test]
fn long_explanations_are_cut_and_fit() {
    let long = Answer::Failed { whose: Whose::Cell(1), detail: "ä".repeat(1000) };
    let bytes = long.encode();
    assert!(bytes.len() <= MAX_MESSAGE);
    assert!(Answer::decode(&bytes).is_ok());
}

#[test]
fn cut_and_padded_messages_are_refused() {
    let whole = Order::Cell { cell: 7, id: 16 }.encode();
    for end in 0..whole.len() {
        assert!(Order::decode(&whole[..end], BOUNDS).is_err());
    }
    let padded = [whole.as_slice(), &[0]].concat();
    assert!(Order::decode(&padded, BOUNDS).is_err());
}

/// The frames of a list: whether each is a message, its bytes, what it is. As in `wire`'s corpus.
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
fn every_frame_that_is_kept_and_all_that_derive_from_it_are_understood_as_spelled_or_refused() {
    type Format = fn(&[u8]) -> Option<Vec<u8>>;
    let formats: [(&str, Format); 2] = [
        (include_str!("corpus/maker_order.txt"), |bytes| {
            Order::decode(bytes, BOUNDS).ok().map(Order::encode)
        }),
        (include_str!("corpus/maker_answer.txt"), |bytes| {
            Answer::decode(bytes).ok().map(|answer| answer.encode())
        }),
    ];
    for (list, format) in formats {
        for (is_message, bytes, what) in frames(list) {
            assert_eq!(format(&bytes), is_message.then(|| bytes.clone()), "{what}");
            for at in 0..bytes.len() {
                assert!(!is_message || format(&bytes[..at]).is_none(), "{what}: cut at {at}");
                for value in 0..=u8::MAX {
                    let mut bytes = bytes.clone();
                    bytes[at] = value;
                    assert!(format(&bytes).is_none_or(|again| again == bytes), "{what}");
                }
            }
        }
    }
}
