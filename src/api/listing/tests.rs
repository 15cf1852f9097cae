//! Promises about pages.

use super::*;

fn page(query: &str) -> Result<Page, AwsError> {
    Page::read(&Query::parse(Some(query)).unwrap(), Violations::default(), 10_000)
}

#[test]
fn a_page_has_fifty_entries_at_most_and_as_many_as_asked_for() {
    assert_eq!(page("").unwrap().size, 50);
    assert_eq!(page("MaxItems=7").unwrap().size, 7);
    assert_eq!(page("MaxItems=10000").unwrap().size, 50);
    for refused in ["MaxItems=0", "MaxItems=10001", "MaxItems=-1", "MaxItems=x"] {
        assert_eq!(page(refused).unwrap_err().code, "ValidationException", "{refused}");
    }
}

#[test]
fn a_marker_comes_back_as_it_was_and_another_text_is_refused() {
    let (entries, next) = take(["a", "b", "c"].into_iter(), 2, |entry| (*entry).to_owned());
    assert_eq!(entries, ["a", "b"]);
    let marker = next.unwrap();
    assert_eq!(page(&format!("Marker={marker}")).unwrap().after.as_deref(), Some("b"));
    assert!(page("Marker=*").is_err());
}

#[test]
fn the_last_page_has_no_marker_even_if_it_is_full() {
    let (entries, next) = take(["a", "b"].into_iter(), 2, |entry| (*entry).to_owned());
    assert_eq!((entries.len(), next), (2, None));
    let (entries, next) = take([""; 0].into_iter(), 2, |entry| (*entry).to_owned());
    assert_eq!((entries.len(), next), (0, None));
}
