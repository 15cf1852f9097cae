//! Promises about variables.

use super::*;

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn variables_come_back_in_the_order_of_their_names() {
    let parsed = Environment::parse(pairs(&[("ZZ", "1"), ("AA", "2")])).unwrap();
    assert_eq!(parsed.iter().collect::<Vec<_>>(), [("AA", "2"), ("ZZ", "1")]);
}

#[test]
fn all_reserved_names_are_named_at_once_in_the_order_given() {
    let refused = Environment::parse(pairs(&[("AWS_REGION", "x"), ("OK", "y"), ("_HANDLER", "z")]));
    let names = vec!["AWS_REGION".to_owned(), "_HANDLER".to_owned()];
    assert_eq!(refused, Err(EnvironmentError::Reserved { names }));
}

#[test]
fn names_that_no_shell_would_take_are_refused() {
    for name in ["", "A", "1A", "A-B", "A B", "Ä1", "A=", "_A"] {
        let refused = Environment::parse(pairs(&[(name, "")]));
        assert_eq!(refused, Err(EnvironmentError::Form { name: name.to_owned() }), "{name:?}");
    }
}

#[test]
fn a_value_with_a_nul_byte_is_refused_because_no_process_could_be_given_it() {
    let refused = Environment::parse(pairs(&[("NAME", "a\0b")]));
    assert_eq!(refused, Err(EnvironmentError::Form { name: "NAME".to_owned() }));
}

#[test]
fn four_kibibytes_fit_and_one_byte_more_does_not() {
    // {"KEY":"…"} is 10 bytes around the value.
    let fits = "x".repeat(MAX_BYTES - 10);
    assert!(Environment::parse(pairs(&[("KEY", &fits)])).is_ok());
    let Err(EnvironmentError::TooLarge { measured }) =
        Environment::parse(pairs(&[("KEY", &format!("{fits}x"))]))
    else {
        panic!("too much was accepted");
    };
    assert_eq!(measured.len(), MAX_BYTES + 1);
    assert!(measured.starts_with("{\"KEY\":\"xx"));
}

#[test]
fn what_is_measured_is_json_so_quotes_count_twice() {
    let quotes = "\"".repeat((MAX_BYTES - 10) / 2);
    assert!(Environment::parse(pairs(&[("KEY", &quotes)])).is_ok());
    assert!(Environment::parse(pairs(&[("KEY", &format!("{quotes}\""))])).is_err());
}

#[test]
fn a_number_of_events_at_once_lies_between_one_and_the_most() {
    for (value, number) in [("1", 1), ("16", 16), ("64", 64)] {
        let parsed = Environment::parse(pairs(&[(CONCURRENCY, value)])).unwrap();
        assert_eq!(parsed.concurrency(), Some(number));
    }
    for value in ["", "0", "65", "-1", "+2", "two", "1.5", "99999999999"] {
        let refused = Environment::parse(pairs(&[(CONCURRENCY, value)]));
        assert_eq!(refused, Err(EnvironmentError::Concurrency { value: value.to_owned() }));
    }
    assert_eq!(Environment::default().concurrency(), None);
}
