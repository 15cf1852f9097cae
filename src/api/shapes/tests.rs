//! Promises about how moments are written.

use super::*;

#[test]
fn functions_and_urls_write_moments_each_in_their_own_way() {
    let moment = 1_795_151_460_123;
    assert_eq!(function_time(moment), "2026-11-20T05:11:00.123+0000");
    assert_eq!(url_time(moment), "2026-11-20T05:11:00.123000Z");
    assert_eq!(function_time(0), "1970-01-01T00:00:00.000+0000");
}

#[test]
fn a_moment_that_no_calendar_has_is_the_last_there_is() {
    assert!(function_time(u64::MAX).starts_with("9999-12"));
}
