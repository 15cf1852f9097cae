//! What is promised about timestamps.

use proptest::prelude::*;

use super::{format, parse};

#[test]
fn known_moments_are_read_and_written() {
    for (text, epoch) in [
        ("19700101T000000Z", 0),
        ("20000229T235959Z", 951_868_799),
        ("20150830T123600Z", 1_440_938_160),
        ("20240229T000000Z", 1_709_164_800),
        ("20380119T031408Z", 2_147_483_648),
        ("21000301T000000Z", 4_107_542_400),
    ] {
        assert_eq!(parse(text), Some(epoch), "{text}");
        assert_eq!(format(epoch), text);
    }
}

#[test]
fn what_is_not_exactly_the_form_is_refused() {
    for text in [
        "",
        "20150830",
        "2015-08-30T12:36:00Z",
        "20150830T123600",
        "20150830T123600z",
        "20150830t123600Z",
        "20150830T123600ZZ",
        "20150830T1236000",
        "20151330T123600Z",
        "20150030T123600Z",
        "20150800T123600Z",
        "20150832T123600Z",
        "20150229T123600Z",
        "21000229T123600Z",
        "20150830T240000Z",
        "20150830T126000Z",
        "20150830T123660Z",
        "+2015830T123600Z",
        "19691231T235959Z",
        "2015083０T1236Z",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn writing_and_reading_are_inverse(epoch in 0_u64..253_402_300_800) {
        prop_assert_eq!(parse(&format(epoch)), Some(epoch));
    }
}
