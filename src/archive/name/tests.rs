//! Names: the corpus in `tests/it/evil.rs` has what is refused; here is what is made of the rest.

use super::{Name, leaf, parent, printable};

#[test]
fn an_ordinary_name_is_taken_as_it_is() {
    for raw in ["a", "a/b.py", ".hidden", "..a", "a..", "...", "a b", "ü/ß", "a:b", "-rf", "~"] {
        let name = Name::parse(raw.as_bytes()).expect(raw);
        assert_eq!(name, Name { path: raw.as_bytes(), directory: false });
    }
}

#[test]
fn a_slash_at_the_end_means_a_directory() {
    let name = Name::parse(b"a/b/").expect("a good name");
    assert_eq!(name, Name { path: b"a/b", directory: true });
}

#[test]
fn the_root_may_be_named() {
    for raw in ["./", "././"] {
        assert_eq!(Name::parse(raw.as_bytes()), Ok(Name { path: b"", directory: true }), "{raw}");
    }
}

#[test]
fn paths_come_apart() {
    assert_eq!((parent(b"a/b/c"), leaf(b"a/b/c")), (Some(&b"a/b"[..]), &b"c"[..]));
    assert_eq!((parent(b"c"), leaf(b"c")), (None, &b"c"[..]));
}

#[test]
fn what_a_stranger_called_it_does_not_reach_a_terminal_raw() {
    assert_eq!(printable(b"\x1b[31mred\n"), "\\u{1b}[31mred\\n");
    assert_eq!(printable(&[b'a'; 5_000]), format!("{}…", "a".repeat(120)));
    assert_eq!(printable(b"plain"), "plain");
}
