//! What is promised about paths.

use proptest::prelude::*;

use super::{PathError, Segments};

fn parse(raw: &str) -> Result<Vec<String>, PathError> {
    let segments = Segments::parse(raw)?;
    Ok(segments.as_slice().iter().map(|segment| segment.clone().into_owned()).collect())
}

#[test]
fn a_path_is_split_first_and_decoded_once() {
    for (raw, segments) in [
        ("/", &[][..]),
        ("/a", &["a"]),
        ("/a/", &["a", ""]),
        ("//a", &["", "a"]),
        ("/a%2Fb/c", &["a/b", "c"]),
        ("/arn%3Aaws%3alambda", &["arn:aws:lambda"]),
        ("/$default;v=1", &["$default;v=1"]),
        ("/%252e%252e", &["%2e%2e"]),
        ("/a+b", &["a+b"]),
        ("/%E1%88%B4", &["ሴ"]),
        ("/...", &["..."]),
        ("/a..b", &["a..b"]),
    ] {
        assert_eq!(parse(raw).unwrap(), segments, "{raw}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (raw, error) in [
        ("", PathError::Relative),
        ("*", PathError::Relative),
        ("a/b", PathError::Relative),
        ("/..", PathError::Dots),
        ("/a/./b", PathError::Dots),
        ("/a/%2e%2E/b", PathError::Dots),
        ("/a/.%2e", PathError::Dots),
        ("/..%2Fb", PathError::Dots),
        ("/a%2F..%2Fb", PathError::Dots),
        ("/a%5C..%5Cb", PathError::Dots),
        ("/..\\b", PathError::Dots),
        ("/a%00", PathError::Nul),
        ("/%", PathError::Escape),
        ("/%4", PathError::Escape),
        ("/%zz", PathError::Escape),
        ("/%+1", PathError::Escape),
        // Overlong slash, overlong dot, a lone surrogate, a lone continuation byte.
        ("/%C0%AF", PathError::Encoding),
        ("/%c0%ae%c0%ae", PathError::Encoding),
        ("/%ED%A0%80", PathError::Encoding),
        ("/%80", PathError::Encoding),
    ] {
        assert_eq!(parse(raw), Err(error), "{raw}");
    }
}

proptest! {
    #[test]
    fn no_path_leads_anywhere_but_down(raw in "/(%[0-9a-fA-F]{2}|[a./\\\\%]){0,12}") {
        if let Ok(segments) = parse(&raw) {
            for segment in segments {
                prop_assert!(!segment.split(['/', '\\']).any(|part| part == ".."), "{raw}");
                prop_assert!(!segment.contains('\0'));
            }
        }
    }
}
