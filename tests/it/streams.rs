//! What a function prints to, opened by name: `/dev/stdout`, `/dev/stderr`, `/proc/self/fd/1`.
//!
//! Shell scripts do it, and loggers that are configured with a path. Behind the names is one pipe,
//! which a function may write to and not read from.

use serde_json::json;

use crate::harness::{Deployed, Function, shared};

/// Calls it; the lines between START and END.
#[track_caller]
fn printed(function: &Deployed<'_>) -> Vec<String> {
    let called = function.invoke(&json!({}));
    called.answer();
    let lines = called.log.lines().skip_while(|line| !line.starts_with("START ")).skip(1);
    lines.take_while(|line| !line.starts_with("END ")).map(str::to_owned).collect()
}

#[test]
fn what_is_printed_to_a_stream_by_its_name_is_in_the_log_in_its_place() {
    let daemon = shared();
    let python = Function::python(
        "
        import subprocess

        SCRIPT = '''
        set -e
        echo first
        echo to /dev/stderr > /dev/stderr
        echo to /dev/stdout >> /dev/stdout
        echo to descriptor one > /proc/self/fd/1
        echo to descriptor two | tee /dev/fd/2 > /dev/null
        echo last >&2
        '''

        def handler(event, context):
            subprocess.run(['/bin/sh', '-c', SCRIPT], check=True)
            for name in ('/dev/stdout', '/dev/stderr'):
                with open(name, 'w') as stream:
                    print('Python to', name, file=stream)
        ",
    )
    .deploy(&daemon);
    let lines = [
        "first",
        "to /dev/stderr",
        "to /dev/stdout",
        "to descriptor one",
        "to descriptor two",
        "last",
        "Python to /dev/stdout",
        "Python to /dev/stderr",
    ];
    assert_eq!(printed(&python), lines);

    let node = Function::node(
        "
        import { appendFileSync, writeFileSync } from 'node:fs';
        export const handler = async () => {
          writeFileSync('/dev/stdout', 'Node to /dev/stdout\\n');
          appendFileSync('/dev/stderr', 'Node to /dev/stderr\\n');
        };
        ",
    )
    .deploy(&daemon);
    assert_eq!(printed(&node), ["Node to /dev/stdout", "Node to /dev/stderr"]);

    let custom = Function::runtime_in_python(
        "
        import json
        while True:
            request, headers, event = next_event()
            with open('/dev/stderr', 'w') as stream:
                print('a runtime to /dev/stderr', file=stream)
            respond(request, json.dumps(None))
        ",
    )
    .deploy(&daemon);
    assert_eq!(printed(&custom), ["a runtime to /dev/stderr"]);
}

#[test]
fn what_was_printed_is_not_to_be_read_back() {
    let daemon = shared();
    let function = Function::python(
        "
        import errno, os

        def attempt(flags):
            try:
                os.close(os.open('/dev/stdout', flags | os.O_NONBLOCK))
                return 'opened'
            except OSError as err:
                return errno.errorcode[err.errno]

        def handler(event, context):
            return [attempt(flags) for flags in (os.O_WRONLY, os.O_RDONLY, os.O_RDWR)]
        ",
    )
    .deploy(&daemon);
    assert_eq!(function.answer(&json!({})), json!(["opened", "EACCES", "EACCES"]));
}
