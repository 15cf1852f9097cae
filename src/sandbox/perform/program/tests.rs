//! What an image may say that its template executes.

use super::Program;

fn strings(program: &Program) -> (Vec<&str>, Vec<&str>) {
    fn text(list: &[std::ffi::CString]) -> Vec<&str> {
        list.iter().map(|string| string.to_str().unwrap()).collect()
    }
    (text(&program.argv), text(&program.env))
}

#[test]
fn arguments_and_environment_are_divided_by_an_empty_string() {
    let program = Program::parse(b"/usr/bin/python3\0-S\0\0LANG=C.UTF-8\0TZ=:UTC\0").unwrap();
    assert_eq!(
        strings(&program),
        (vec!["/usr/bin/python3", "-S"], vec!["LANG=C.UTF-8", "TZ=:UTC"])
    );
    let alone = Program::parse(b"/bin/true\0\0").unwrap();
    assert_eq!(strings(&alone), (vec!["/bin/true"], vec![]));
}

#[test]
fn whatever_is_not_such_a_file_is_refused() {
    for bytes in [
        &b""[..],
        b"\0",
        b"/bin/true\0",
        b"/bin/true\0\0LANG=C",
        b"true\0\0",
        b"\0LANG=C\0",
        b"/bin/true\0\0LANG\0",
        b"/bin/true\0\0LANG=C\0\0",
    ] {
        assert_eq!(Program::parse(bytes), None, "{bytes:?}");
    }
}
