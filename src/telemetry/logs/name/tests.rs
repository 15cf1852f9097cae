//! Promises about what a group's name can do to a path: nothing.

use std::path::Component;

use proptest::prelude::*;

use super::*;

#[test]
fn a_usual_name_stays_readable() {
    assert_eq!(directory("/aws/lambda/echo-1_x"), Some(PathBuf::from(",aws,lambda,echo-1_x")));
}

#[test]
fn names_that_would_climb_do_not() {
    for name in ["..", ".", "/", "../../etc", "a/../../b", "\0", "a\0b", "~", "x~", "*", "…"] {
        let path = directory(name).expect("short enough");
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{name:?}");
        assert_eq!(path.components().count(), 1, "{name:?}");
        assert_eq!(group(&path).as_deref(), Some(name));
    }
}

#[test]
fn no_name_and_a_name_that_is_too_long_are_refused() {
    assert_eq!(directory(""), None);
    assert!(directory(&"a".repeat(MAX_NAME)).is_some());
    assert_eq!(directory(&"a".repeat(MAX_NAME + 1)), None);
}

#[test]
fn a_directory_that_encodes_no_name_is_nobodys() {
    for path in ["lost+found.", "%zz", "%2", "%FF", "a b", "%61"] {
        assert_eq!(group(Path::new(path)), None, "{path}");
    }
}

proptest! {
    #[test]
    fn every_name_comes_back_from_a_path_that_fits(name in "\\PC{1,170}") {
        let path = directory(&name).expect("short enough");
        prop_assert!(path.components().count() <= MAX_DEPTH);
        for part in path.components() {
            prop_assert!(part.as_os_str().len() <= MAX_COMPONENT + 1);
        }
        prop_assert_eq!(group(&path), Some(name));
    }
}
