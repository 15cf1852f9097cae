//! What a function says to the platform: garbage, lies, too much, too slowly, for somebody else.
//!
//! Whatever it is, its own caller gets an error (or the first answer), and nobody else notices. The
//! control is the same program when it behaves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Deployed, Function, eventually, shared};

/// Writes on the link itself, behind the back of the bootstrap.
const ON_THE_LINK: &str = "
    import array, gc, os, socket, struct, time

    LINK = 3
    READY, RESPONSE, FAILED, OVERSIZE, FATAL, INVOKE = 2, 4, 5, 6, 7, 64

    def frame(kind, body=b'', sequence=None, length=None):
        link = next(one for one in gc.get_objects() if type(one).__name__ == 'Link')
        length = len(body) if length is None else length
        return struct.pack('<IB', length, kind) + (sequence or link.sequence) + body

    def write(data):
        while data:
            data = data[os.write(LINK, data):]

    def wrong_number():
        return bytes(byte ^ 0x55 for byte in frame(RESPONSE)[5:8])

    def descriptors():
        link = socket.socket(fileno=os.dup(LINK))
        ends = [end for _ in range(100) for end in socket.socketpair()]
        fds = array.array('i', [end.fileno() for end in ends])
        try:
            link.sendmsg([frame(RESPONSE, b'1')], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        except OSError:
            os._exit(1)

    def trickle():
        for byte in frame(RESPONSE, bytes(1000)):
            write(bytes([byte]))
            time.sleep(1)

    def flood(data):
        while True:
            write(data)

    TRICKS = {
        'garbage': lambda: write(os.urandom(65536)),
        'zeros': lambda: flood(bytes(65536)),
        'four gibibytes': lambda: write(frame(RESPONSE, length=0xffffffff)),
        'six mebibytes more': lambda: write(frame(RESPONSE, length=(6 << 20) + 101)),
        'an event upwards': lambda: write(frame(INVOKE, b'{}')),
        'an unknown kind': lambda: write(frame(99)),
        'ready again': lambda: flood(frame(READY, sequence=bytes(3))),
        'half a header': lambda: write(frame(RESPONSE)[:4]) or time.sleep(600),
        'half a body': lambda: write(frame(RESPONSE, b'12', length=100)) or time.sleep(600),
        'a byte a second': trickle,
        'without end': lambda: flood(frame(RESPONSE, b'[]' * 30_000)),
        'another event': lambda: write(frame(RESPONSE, b'\"stolen\"', sequence=wrong_number())),
        'no event': lambda: write(frame(RESPONSE, b'\"stolen\"', sequence=bytes(3))),
        'oversize by a lie': lambda: write(frame(OVERSIZE, bytes(9))),
        'half a number': lambda: write(frame(OVERSIZE, bytes(3))),
        'the last word': lambda: write(frame(FATAL, b'not json')),
        'hung up': lambda: os.close(LINK) or time.sleep(600),
        'shut down': lambda: socket.socket(fileno=os.dup(LINK)).shutdown(socket.SHUT_RDWR) or time.sleep(600),
        'with descriptors': descriptors,
    }

    def handler(event, context):
        if event['trick'] == 'none':
            return event
        if event['trick'] == 'twice':
            return write(frame(RESPONSE, b'\"first\"')) or 'second'
        TRICKS[event['trick']]()
        return 'done'
    ";

/// The names in `TRICKS`, whose callers must get an error.
const TRICKS: [&str; 19] = [
    "garbage",
    "zeros",
    "four gibibytes",
    "six mebibytes more",
    "an event upwards",
    "an unknown kind",
    "ready again",
    "half a header",
    "half a body",
    "a byte a second",
    "without end",
    "another event",
    "no event",
    "oversize by a lie",
    "half a number",
    "the last word",
    "hung up",
    "shut down",
    "with descriptors",
];

/// Resident memory of a process, MiB.
pub(super) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a running process") / 1024
}

fn echo(daemon: &crate::harness::Daemon) -> Deployed<'_> {
    Function::python("def handler(event, context):\n    return event\n").deploy(daemon)
}

/// Another instance takes over. One that has answered and breaks off only then may be given one more
/// event, which fails; never is that of another answered with its words.
fn serves_on(hostile: &Deployed<'_>, behaves: &Value) {
    eventually("a new instance serves on", Duration::from_secs(10), || {
        let called = hostile.invoke(behaves);
        assert!(called.error.is_some() || called.answer() == *behaves, "{:?}", called.response);
        called.error.is_none().then_some(())
    });
}

#[test]
fn whatever_a_function_writes_on_its_link_is_an_error_of_its_own_caller_only() {
    let daemon = shared();
    let neighbour = echo(&daemon);
    let hostile = Function::python(ON_THE_LINK).timeout(2).deploy(&daemon);
    let behaves = json!({"trick": "none", "n": 7});
    assert_eq!(hostile.answer(&behaves), behaves, "the control: it works while it behaves");
    let before = resident(daemon.pid);
    for (number, trick) in TRICKS.into_iter().enumerate() {
        let begin = Instant::now();
        let called = hostile.invoke(&json!({"trick": trick}));
        assert_eq!(called.response.status, 200, "{trick}: {:?}", called.response);
        // The first of many answers is one; descriptors beside one are refused where the kernel can,
        // and dropped elsewhere.
        let may_answer = ["without end", "with descriptors"].contains(&trick);
        assert!(called.error.is_some() || may_answer, "{trick}: {:?}", called.response);
        assert!(!called.response.text().contains("stolen"), "{trick}: {:?}", called.response);
        assert!(begin.elapsed() < Duration::from_secs(20), "{trick}: {:?}", begin.elapsed());
        assert_eq!(neighbour.answer(&json!(number)), number, "{trick}");
        serves_on(&hostile, &behaves);
    }
    let grown = resident(daemon.pid).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more");
}

#[test]
fn an_answer_given_twice_is_given_once_and_never_to_the_next_caller() {
    let daemon = shared();
    let hostile = Function::python(ON_THE_LINK).timeout(2).deploy(&daemon);
    for number in 0..20 {
        assert_eq!(hostile.answer(&json!({"trick": "twice"})), "first");
        // The second was found before the next event was sent, or after: then that is an error.
        let next = json!({"trick": "none", "n": number});
        let called = hostile.invoke(&next);
        let said = called.response.text();
        assert!(!said.contains("second") && !said.contains("first"), "{said}");
        match called.error {
            None => assert_eq!(called.answer(), next),
            Some(_) => assert!(said.contains("an answer to another event"), "{said}"),
        }
    }
}

/// The same through the Runtime API, by connections of its own.
const THROUGH_THE_API: &str = r"
    import json, os, socket, threading, time

    host, port = api.split(':')
    PATH = '/2018-06-01/runtime/invocation/%s/response'

    def connection():
        return socket.create_connection((host, int(port)))

    def head(request, length):
        path = PATH % request
        return f'POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n'.encode()

    def garbage(request):
        for _ in range(20):
            try:
                connection().sendall(os.urandom(65536))
            except OSError:
                pass

    def trickle(request):
        one = connection()
        one.sendall(head(request, 1000))
        for _ in range(1000):
            one.sendall(b'1')
            time.sleep(1)

    def without_end(request):
        one = connection()
        path = PATH % request
        one.sendall(f'POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'.encode())
        chunk = b'10000\r\n' + bytes(65536) + b'\r\n'
        # Ten gibibytes, if somebody takes them.
        for _ in range(160 * 1024):
            one.sendall(chunk)

    def gibibytes(request):
        one = connection()
        one.sendall(head(request, 10 << 30))
        for _ in range(160 * 1024):
            one.sendall(bytes(65536))

    def cut(request):
        one = connection()
        one.sendall(head(request, 1000) + b'12345')
        one.close()
        time.sleep(600)

    def headers(request):
        one = connection()
        one.sendall(f'POST {PATH % request} HTTP/1.1\r\n'.encode())
        for number in range(1_000_000):
            one.sendall(b'X-Filler-%d: %s\r\n' % (number, b'x' * 1000))

    def others(request):
        seen = set()
        for number in range(200):
            other = '%08x-0000-4000-8000-%012x' % (number, number)
            seen.add(respond(other, b'stolen')[0])
        os._exit(0 if seen == {400} else 1)

    def errors(request):
        call('POST', '/2018-06-01/runtime/init/error', b'{}', {})
        time.sleep(600)

    TRICKS = {'garbage': garbage, 'a byte a second': trickle, 'without end': without_end,
              'ten gibibytes': gibibytes, 'cut': cut, 'headers': headers,
              'other requests': others, 'the wrong error': errors}

    while True:
        request, _, event = next_event()
        trick = json.loads(event)['trick']
        if trick == 'none':
            respond(request, event)
            continue
        try:
            TRICKS[trick](request)
        except OSError:
            pass
        os._exit(1)
    ";

#[test]
fn whatever_a_runtime_says_to_the_runtime_api_is_an_error_of_its_own_caller_only() {
    let daemon = shared();
    let neighbour = echo(&daemon);
    let hostile = Function::runtime_in_python(THROUGH_THE_API).timeout(3).deploy(&daemon);
    let behaves: Value = json!({"trick": "none"});
    assert_eq!(hostile.answer(&behaves), behaves, "the control: it works while it behaves");
    let before = resident(daemon.pid);
    for trick in [
        "garbage",
        "a byte a second",
        "without end",
        "ten gibibytes",
        "cut",
        "headers",
        "other requests",
        "the wrong error",
    ] {
        let begin = Instant::now();
        let called = hostile.invoke(&json!({"trick": trick}));
        assert!(called.error.is_some(), "{trick}: {:?}", called.response);
        let said = called.response.text();
        assert!(!said.contains("stolen") && said.len() < 4096, "{trick}: {said}");
        assert!(begin.elapsed() < Duration::from_secs(30), "{trick}: {:?}", begin.elapsed());
        assert_eq!(neighbour.answer(&json!(trick)), trick);
        serves_on(&hostile, &behaves);
    }
    let grown = resident(daemon.pid).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more");
}
