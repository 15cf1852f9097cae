//! Promises about the control plane's conversation with the spawner: what is said arrives, what is
//! not a message is refused, and every limit holds on both of its sides.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

// === generators ===

fn digest() -> impl Strategy<Value = Digest> {
    prop::array::uniform32(any::<u8>())
}

fn within((min, max): (u32, u32)) -> impl Strategy<Value = u32> {
    min..=max
}

fn limits() -> impl Strategy<Value = Limits> {
    (
        within(Limits::MEMORY_MIB),
        within(Limits::TMP_MIB),
        within(Limits::PIDS),
        within(Limits::CPU_WEIGHT),
    )
        .prop_map(|(memory_mib, tmp_mib, pids, cpu_weight)| Limits {
            memory_mib,
            tmp_mib,
            pids,
            cpu_weight,
        })
}

fn trees() -> impl Strategy<Value = Trees> {
    (digest(), prop::option::of(digest()))
        .prop_map(|(code, layers)| Trees::of(code).with(Place::Layers, layers))
}

fn cell() -> impl Strategy<Value = CellId> {
    any::<u32>().prop_map(CellId)
}

fn template() -> impl Strategy<Value = TemplateId> {
    any::<u32>().prop_map(TemplateId)
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (any::<u64>(), digest()).prop_map(|(ticket, image)| Request::Make { ticket, image }),
        (cell(), trees(), limits()).prop_map(|(cell, trees, limits)| Request::Assign {
            cell,
            trees,
            limits
        }),
        cell().prop_map(|cell| Request::End { cell }),
        (any::<u64>(), digest(), any::<u8>())
            .prop_map(|(ticket, image, index)| { Request::Template { ticket, image, index } }),
        template().prop_map(|template| Request::EndTemplate { template }),
        (cell(), template()).prop_map(|(cell, template)| Request::Fork { cell, template }),
    ]
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        any::<u64>().prop_map(Subject::Ticket),
        cell().prop_map(Subject::Cell),
        template().prop_map(Subject::Template)
    ]
}

/// Explanations that need no cutting; `.` is any character but a newline, up to four bytes long.
fn detail() -> impl Strategy<Value = String> {
    prop::string::string_regex("(?s).{0,64}").expect("a valid pattern")
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        (any::<u16>(), any::<u32>(), any::<u32>()).prop_map(|(version, uid_base, capacity)| {
            Reply::Hello { version, uid_base, capacity }
        }),
        (any::<u64>(), cell(), any::<u32>(), any::<bool>(), any::<bool>()).prop_map(
            |(ticket, cell, uid, freezer, kills)| Reply::Made { ticket, cell, uid, freezer, kills }
        ),
        (subject(), detail()).prop_map(|(subject, detail)| Reply::Failed { subject, detail }),
        cell().prop_map(|cell| Reply::Assigned { cell }),
        (cell(), detail()).prop_map(|(cell, detail)| Reply::Short { cell, detail }),
        (cell(), any::<u32>(), any::<u64>()).prop_map(|(cell, memory_kills, peak_bytes)| {
            Reply::Ended { cell, memory_kills, peak_bytes }
        }),
        (cell(), any::<u32>(), detail()).prop_map(|(cell, uid, detail)| Reply::Quarantined {
            cell,
            uid,
            detail
        }),
        (any::<u64>(), template())
            .prop_map(|(ticket, template)| Reply::TemplateReady { ticket, template }),
        cell().prop_map(|cell| Reply::Forked { cell }),
        (cell(), any::<u32>()).prop_map(|(cell, status)| Reply::Exited { cell, status }),
        template().prop_map(|template| Reply::TemplateEnded { template }),
    ]
}

fn sample() -> Request {
    let limits = Limits { memory_mib: 128, tmp_mib: 512, pids: 64, cpu_weight: 100 };
    Request::Assign { cell: CellId(7), trees: Trees::of([3; 32]), limits }
}

// === what is said arrives ===

proptest! {
    #[test]
    fn every_request_arrives_as_it_was_sent(request in request()) {
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn every_reply_arrives_as_it_was_sent(reply in reply()) {
        prop_assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }

    #[test]
    fn no_message_is_longer_than_the_limit(
        request in request(),
        subject in subject(),
        detail in "(?s).{0,600}",
    ) {
        prop_assert!(request.encode().len() <= MAX_MESSAGE);
        let failed = Reply::Failed { subject, detail };
        prop_assert!(failed.encode().len() <= MAX_MESSAGE);
    }

    #[test]
    fn a_long_explanation_is_cut_between_two_characters(detail in "(?s).{0,600}") {
        let sent = Reply::Failed { subject: Subject::Ticket(1), detail: detail.clone() };
        let Ok(Reply::Failed { detail: arrived, .. }) = Reply::decode(&sent.encode()) else {
            return Err(TestCaseError::fail("not understood"));
        };
        prop_assert!(detail.starts_with(&arrived));
        prop_assert!(arrived.len() <= MAX_DETAIL);
        // Nothing is lost but the one character (of at most four bytes) that did not fit.
        prop_assert!(arrived == detail || arrived.len() + 4 > MAX_DETAIL);
    }

    // === what is not a message is refused ===

    #[test]
    fn a_message_cut_anywhere_is_refused(request in request(), reply in reply(), at in any::<prop::sample::Index>()) {
        let bytes = request.encode();
        prop_assert!(Request::decode(&bytes[..at.index(bytes.len())]).is_err());
        let bytes = reply.encode();
        prop_assert!(Reply::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_message_with_anything_behind_it_is_refused(request in request(), reply in reply(), more in prop::collection::vec(any::<u8>(), 1..16)) {
        let mut bytes = request.encode();
        bytes.extend(&more);
        prop_assert_eq!(Request::decode(&bytes), Err(DecodeError::Trailing { count: more.len() }));
        let mut bytes = reply.encode();
        bytes.extend(&more);
        prop_assert_eq!(Reply::decode(&bytes), Err(DecodeError::Trailing { count: more.len() }));
    }
}

#[test]
fn tags_outside_the_closed_set_are_refused() {
    for tag in (0..=u8::MAX).filter(|tag| !(1..=6).contains(tag)) {
        let mut bytes = sample().encode();
        bytes[0] = tag;
        assert_eq!(Request::decode(&bytes), Err(DecodeError::UnknownTag { what: "request", tag }));
    }
    for tag in (0..=u8::MAX).filter(|tag| !(1..=11).contains(tag)) {
        let bytes = [tag; 64];
        assert_eq!(Reply::decode(&bytes), Err(DecodeError::UnknownTag { what: "reply", tag }));
    }
    for tag in 3..=u8::MAX {
        let mut bytes =
            Reply::Failed { subject: Subject::Ticket(0), detail: String::new() }.encode();
        bytes[1] = tag;
        assert_eq!(Reply::decode(&bytes), Err(DecodeError::UnknownTag { what: "subject", tag }));
    }
}

#[test]
fn only_a_fork_has_descriptors_beside_it() {
    let fork = Request::Fork { cell: CellId(1), template: TemplateId(1) };
    assert_eq!(fork.descriptors(), FORK_DESCRIPTORS);
    let template = Request::Template { ticket: 1, image: [1; 32], index: 0 };
    for other in [sample(), template, Request::EndTemplate { template: TemplateId(1) }] {
        assert_eq!(other.descriptors(), 0);
    }
}

#[test]
fn every_limit_holds_on_both_of_its_sides() {
    // Tag, cell and one tree come first, then the four limits in this order.
    let first = 1 + 4 + (1 + 1 + 32);
    let ranges = [Limits::MEMORY_MIB, Limits::TMP_MIB, Limits::PIDS, Limits::CPU_WEIGHT];
    for (index, (min, max)) in ranges.into_iter().enumerate() {
        let with = |value: u32| {
            let mut bytes = sample().encode();
            bytes[first + 4 * index..][..4].copy_from_slice(&value.to_le_bytes());
            Request::decode(&bytes)
        };
        assert!(with(min).is_ok(), "limit {index}: smallest");
        assert!(with(max).is_ok(), "limit {index}: largest");
        for value in [0, min - 1, max + 1, u32::MAX] {
            let refused = with(value);
            assert!(
                matches!(refused, Err(DecodeError::OutOfRange { value: said, .. }) if said == u64::from(value)),
                "limit {index}: {value} gave {refused:?}"
            );
        }
    }
}

#[test]
fn an_explanation_may_be_as_long_as_the_limit_and_no_longer() {
    let claim = |length: u32, text: &[u8]| {
        let mut bytes = vec![3, 1, 0, 0, 0, 0];
        bytes.extend(length.to_le_bytes());
        bytes.extend(text);
        Reply::decode(&bytes)
    };
    assert!(claim(MAX_DETAIL as u32, &[b'a'; MAX_DETAIL]).is_ok());
    for length in [MAX_DETAIL as u32 + 1, u32::MAX] {
        let refused = DecodeError::TooLong {
            field: "detail",
            length: length.into(),
            limit: MAX_DETAIL as u64,
        };
        assert_eq!(claim(length, &[b'a'; MAX_DETAIL + 1]), Err(refused));
    }
    assert_eq!(claim(1, &[0xff]), Err(DecodeError::NotText { field: "detail" }));
}

#[test]
fn a_datagram_above_the_limit_is_refused_whatever_it_holds() {
    let bytes = [1; MAX_MESSAGE + 1];
    let length = bytes.len() as u64;
    let refused = DecodeError::TooLong { field: "datagram", length, limit: MAX_MESSAGE as u64 };
    assert_eq!(Request::decode(&bytes), Err(refused.clone()));
    assert_eq!(Reply::decode(&bytes), Err(refused));
}

// === fuzzing ===

#[test]
fn no_bytes_make_the_privileged_decoder_panic_or_say_anything_twice() {
    bolero::check!().with_max_len(2 * MAX_MESSAGE).with_test_time(Duration::from_secs(2)).for_each(
        |bytes: &[u8]| {
            // One message has one spelling: what is understood is spelled as it came.
            if let Ok(request) = Request::decode(bytes) {
                assert_eq!(request.encode(), bytes);
            }
        },
    );
}

#[test]
fn no_bytes_make_the_reply_decoder_panic_or_allocate_beyond_them() {
    bolero::check!().with_max_len(2 * MAX_MESSAGE).with_test_time(Duration::from_secs(2)).for_each(
        |bytes: &[u8]| {
            if let Ok(reply) = Reply::decode(bytes) {
                assert_eq!(reply.encode(), bytes);
                if let Reply::Failed { detail, .. } = &reply {
                    assert!(detail.capacity() <= bytes.len());
                }
            }
        },
    );
}

#[test]
fn damaged_messages_are_understood_as_spelled_or_refused() {
    bolero::check!().with_type::<(u8, u16, u8)>().with_test_time(Duration::from_secs(1)).for_each(
        |(which, at, value)| {
            let all = [
                sample().encode(),
                Request::Make { ticket: 5, image: [1; 32] }.encode(),
                Request::End { cell: CellId(9) }.encode(),
                Request::Template { ticket: 6, image: [2; 32], index: 1 }.encode(),
                Request::EndTemplate { template: TemplateId(3) }.encode(),
                Request::Fork { cell: CellId(9), template: TemplateId(3) }.encode(),
            ];
            let mut bytes = all[usize::from(*which) % all.len()].clone();
            let at = usize::from(*at) % bytes.len();
            bytes[at] = *value;
            if let Ok(request) = Request::decode(&bytes) {
                assert_eq!(request.encode(), bytes);
            }
        },
    );
}
