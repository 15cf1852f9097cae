//! What the files say is what is taken.

use super::largest;

const FILE: &str = "root:100000:65536\n# nobody's\nalice:200000:1000\nalice:300000:65536\n\
    1001:400000:65536\nalice:500000:65536\nshort:600000:63\nhigh:4294960000:65536\nodd:x:y\n";

#[test]
fn the_largest_range_of_a_user_is_taken_and_of_equal_ones_the_first() {
    assert_eq!(largest(FILE, &["alice", "1000"]), Some((300_000, 65_536)));
}

#[test]
fn a_user_without_a_name_is_found_by_his_number() {
    assert_eq!(largest(FILE, &["1001", "1001"]), Some((400_000, 65_536)));
}

#[test]
fn what_is_nobodys_or_too_small_or_no_range_at_all_is_no_range() {
    for name in ["bob", "short", "high", "odd", "# nobody's", ""] {
        assert_eq!(largest(FILE, &[name]), None, "{name}");
    }
    assert_eq!(largest("", &["alice"]), None);
}
