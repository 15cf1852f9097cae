//! Promises about the control plane's conversation with PID 1 of a sandbox.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

// === generators ===

/// A string the kernel can pass: anything without a NUL.
fn item() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..=u8::MAX, 0..48)
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    item().prop_map(|tail| [b"/".as_slice(), &tail].concat())
}

fn request() -> impl Strategy<Value = Request> {
    let execute = (
        path(),
        prop::collection::vec(item(), 0..12),
        prop::collection::vec(item(), 0..40),
        path(),
    )
        .prop_map(|(program, mut argv, env, cwd)| {
            argv.insert(0, program);
            Request::Execute { argv, env, cwd }
        });
    prop_oneof![3 => execute, 1 => (1..=64u8).prop_map(|number| Request::Signal { number })]
}

fn report() -> impl Strategy<Value = Report> {
    (any::<u32>(), 0..3).prop_map(|(value, which)| match which {
        0 => Report::Executed { pid: value },
        1 => Report::Refused { errno: value },
        _ => Report::Exited { status: value },
    })
}

fn execute(argv: &[&[u8]], env: &[&[u8]], cwd: &[u8]) -> Request {
    let own = |list: &[&[u8]]| list.iter().map(|item| item.to_vec()).collect();
    Request::Execute { argv: own(argv), env: own(env), cwd: cwd.to_vec() }
}

fn through(request: &Request) -> Result<Request, DecodeError> {
    Request::decode(&request.encode())
}

// === what is said arrives ===

proptest! {
    #[test]
    fn every_request_arrives_as_it_was_sent(request in request()) {
        prop_assert_eq!(through(&request), Ok(request));
    }

    #[test]
    fn every_report_arrives_as_it_was_sent(report in report()) {
        prop_assert_eq!(Report::decode(&report.encode()), Ok(report));
    }

    // === what is not a message is refused ===

    #[test]
    fn a_message_cut_anywhere_is_refused(request in request(), report in report(), at in any::<prop::sample::Index>()) {
        let bytes = request.encode();
        prop_assert!(Request::decode(&bytes[..at.index(bytes.len())]).is_err());
        let bytes = report.encode();
        prop_assert!(Report::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_message_with_anything_behind_it_is_refused(request in request(), report in report(), more in prop::collection::vec(any::<u8>(), 1..16)) {
        let mut bytes = request.encode();
        bytes.extend(&more);
        prop_assert_eq!(Request::decode(&bytes), Err(DecodeError::Trailing { count: more.len() }));
        let mut bytes = report.encode();
        bytes.extend(&more);
        prop_assert_eq!(Report::decode(&bytes), Err(DecodeError::Trailing { count: more.len() }));
    }

    #[test]
    fn a_nul_in_any_string_is_refused(which in 0..3usize, at in any::<prop::sample::Index>()) {
        let mut strings = [b"/bin/program".to_vec(), b"NAME=value".to_vec(), b"/var/task".to_vec()];
        let at = at.index(strings[which].len());
        strings[which][at] = 0;
        let [argument, variable, cwd] = &strings;
        let refused = through(&execute(&[argument], &[variable], cwd));
        let field = ["argv", "env", "cwd"][which];
        prop_assert_eq!(refused, Err(DecodeError::NotText { field }));
    }
}

#[test]
fn a_program_and_a_working_directory_must_be_absolute_paths() {
    assert!(through(&execute(&[b"/p"], &[], b"/")).is_ok());
    for program in [b"".as_slice(), b"p", b"./p", b"\\p"] {
        let refused = Err(DecodeError::NotText { field: "argv" });
        assert_eq!(through(&execute(&[program], &[], b"/")), refused);
    }
    assert_eq!(through(&execute(&[], &[], b"/")), Err(DecodeError::NotText { field: "argv" }));
    for cwd in [b"".as_slice(), b"var/task", b"."] {
        let refused = Err(DecodeError::NotText { field: "cwd" });
        assert_eq!(through(&execute(&[b"/p"], &[], cwd)), refused);
    }
}

#[test]
fn as_many_strings_as_the_limit_arrive_and_no_more() {
    let many = |count| vec![b"/".as_slice(); count];
    assert!(through(&execute(&many(MAX_STRINGS), &many(MAX_STRINGS), b"/")).is_ok());
    for count in [MAX_STRINGS + 1, usize::from(u16::MAX)] {
        let length = count as u64;
        for field in ["argv", "env"] {
            let (argv, env) = if field == "argv" { (count, 0) } else { (1, count) };
            let mut bytes = execute(&many(argv), &many(env), b"/").encode();
            // The count is judged before a string is looked at: what follows it does not matter.
            bytes.truncate(64);
            let refused = DecodeError::TooLong { field, length, limit: MAX_STRINGS as u64 };
            assert_eq!(Request::decode(&bytes), Err(refused));
        }
    }
}

#[test]
fn a_datagram_may_be_as_long_as_the_limit_and_no_longer() {
    let empty = execute(&[b"/p"], &[b""], b"/").encode().len();
    let of = |length: usize| execute(&[b"/p"], &[&vec![b'x'; length - empty]], b"/").encode();
    let longest = of(MAX_MESSAGE);
    assert_eq!(longest.len(), MAX_MESSAGE);
    assert!(Request::decode(&longest).is_ok());
    let length = MAX_MESSAGE as u64 + 1;
    let refused = DecodeError::TooLong { field: "datagram", length, limit: MAX_MESSAGE as u64 };
    assert_eq!(Request::decode(&of(MAX_MESSAGE + 1)), Err(refused.clone()));
    assert_eq!(Report::decode(&[1; MAX_MESSAGE + 1]), Err(refused));
}

#[test]
fn signals_have_the_numbers_the_kernel_knows() {
    for number in 1..=64 {
        assert!(through(&Request::Signal { number }).is_ok());
    }
    for number in [0, 65, u8::MAX] {
        let value = number.into();
        let refused = DecodeError::OutOfRange { field: "number", value, min: 1, max: 64 };
        assert_eq!(through(&Request::Signal { number }), Err(refused));
    }
}

#[test]
fn tags_outside_the_closed_set_are_refused() {
    for tag in (0..=u8::MAX).filter(|tag| !(1..=2).contains(tag)) {
        let refused = Err(DecodeError::UnknownTag { what: "request", tag });
        assert_eq!(Request::decode(&[tag; 8]), refused);
    }
    for tag in (0..=u8::MAX).filter(|tag| !(1..=3).contains(tag)) {
        let refused = Err(DecodeError::UnknownTag { what: "report", tag });
        assert_eq!(Report::decode(&[tag; 5]), refused);
    }
}

// === fuzzing ===

/// Bytes the decoder set aside for strings, and entries it set aside for lists.
fn reserved(request: &Request) -> (usize, usize) {
    match request {
        Request::Execute { argv, env, cwd } => (
            argv.iter().chain(env).map(Vec::capacity).sum::<usize>() + cwd.capacity(),
            argv.capacity() + env.capacity(),
        ),
        Request::Signal { .. } => (0, 0),
    }
}

#[test]
fn no_bytes_make_the_runners_decoder_panic_or_allocate_beyond_them() {
    bolero::check!().with_max_len(4096).with_test_time(Duration::from_secs(2)).for_each(
        |bytes: &[u8]| {
            if let Ok(request) = Request::decode(bytes) {
                assert_eq!(request.encode(), bytes);
                let (text, entries) = reserved(&request);
                assert!(text <= bytes.len() && 4 * entries <= bytes.len());
            }
            if let Ok(report) = Report::decode(bytes) {
                assert_eq!(report.encode(), bytes);
            }
        },
    );
}

#[test]
fn damaged_messages_are_understood_as_spelled_or_refused() {
    let whole = execute(
        &[b"/usr/bin/python3", b"-B", b"/var/runtime/bootstrap.py"],
        &[b"_HANDLER=app.handler", b"TZ=:UTC", b""],
        b"/var/task",
    )
    .encode();
    bolero::check!().with_type::<[(u16, u8); 3]>().with_test_time(Duration::from_secs(2)).for_each(
        |damage| {
            let mut bytes = whole.clone();
            for (at, value) in damage {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *value;
            }
            if let Ok(request) = Request::decode(&bytes) {
                assert_eq!(request.encode(), bytes);
                let (text, entries) = reserved(&request);
                assert!(text <= bytes.len() && 4 * entries <= bytes.len());
            }
        },
    );
}
