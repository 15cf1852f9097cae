//! How much of the host is left to the host.

use super::share;

#[test]
fn a_quarter_of_all_process_numbers_is_left_to_the_host() {
    assert_eq!(share(u64::MAX, 32_768, 192_730), 24_576);
    assert_eq!(share(u64::MAX, 4_194_304, 15_000), 11_250);
    assert_eq!(share(4_096, 32_768, 192_730), 4_096, "nor more than the host allows us");
}
