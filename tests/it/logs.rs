//! What a function says and what is said about it: lines, their order, their limits.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::tools::{aws, boto3, hearth};
use crate::harness::{
    Daemon, Deployed, Function, Home, Options, Request, eventually, setup, shared,
};

#[test]
fn a_call_s_lines_stand_between_start_and_end_and_a_report_follows() {
    let daemon = shared();
    let function = Function::python(
        "
        import logging, sys
        print('at import')

        def handler(event, context):
            print('to standard output')
            print('to standard error', file=sys.stderr)
            logging.getLogger().error('through logging')
            sys.stdout.write('without an end')
        ",
    )
    .memory(192)
    .deploy(&daemon);
    let called = function.invoke(&json!({}));
    let id = called.request_id();
    let lines: Vec<&str> = called.log.lines().collect();
    let at = |begins: &str| {
        let found = lines.iter().position(|line| line.starts_with(begins));
        found.unwrap_or_else(|| panic!("no line begins with {begins:?} in\n{}", called.log))
    };
    let order = [
        at("INIT_START Runtime Version: "),
        at("at import"),
        at(&format!("START RequestId: {id} Version: $LATEST")),
        at("to standard output"),
        at("to standard error"),
        at("[ERROR]"),
        at("without an end"),
        at(&format!("END RequestId: {id}")),
        at(&format!("REPORT RequestId: {id}\tDuration: ")),
    ];
    assert!(order.is_sorted(), "{}", called.log);
    assert!(lines[order[5]].contains(id) && lines[order[5]].ends_with("through logging"));

    // Tab after tab, and one at the end: tools take these lines apart.
    let report: Vec<&str> = lines[order[8]].split('\t').collect();
    assert_eq!(report.len(), 7, "{report:?}");
    let number = |at: usize, name: &str, unit: &str| -> f64 {
        let value = report[at].strip_prefix(name).and_then(|rest| rest.strip_suffix(unit));
        value.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{:?}", report[at]))
    };
    let duration = number(1, "Duration: ", " ms");
    let billed = number(2, "Billed Duration: ", " ms");
    assert!(billed >= duration && billed.fract() == 0.0, "{report:?}");
    assert_eq!(report[3], "Memory Size: 192 MB");
    let used = number(4, "Max Memory Used: ", " MB");
    assert!((1.0..=192.0).contains(&used), "{report:?}");
    assert!(number(5, "Init Duration: ", " ms") > 0.0);
    assert_eq!(report[6], "");

    let warm = function.invoke(&json!({})).log;
    assert!(!warm.contains("INIT_START") && !warm.contains("Init Duration"), "{warm}");
}

#[test]
fn the_report_of_a_sampled_trace_names_it_in_the_same_event() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    pass\n").deploy(&daemon);
    let (root, segment) = ("1-5e34a614-10bdec5f1fb44f07bc535a1f", "07f5aeab2d1f6f85");
    let called = |sampled: u8| {
        let trace = format!("Root={root};Parent={segment};Sampled={sampled}");
        let request = Request::new("POST", &function.path("invocations")).json(&json!({}));
        function.invoke_with(request.header("x-amzn-trace-id", &trace)).log
    };
    let named = format!("XRAY TraceId: {root}\tSegmentId: {segment}\tSampled: true\t\n");
    assert!(called(1).ends_with(&named));
    assert!(!called(0).contains("XRAY"));
    let lines = function.log_until("both reports are there", |lines| {
        lines.iter().filter(|line| line.starts_with("REPORT RequestId: ")).count() == 2
    });
    let traced = lines.iter().find(|line| line.contains("XRAY")).expect("one of them");
    assert!(traced.starts_with("REPORT RequestId: ") && traced.trim_end().ends_with("true"));
}

#[test]
fn a_log_tail_is_the_last_four_kibibytes() {
    let daemon = shared();
    let function = Function::python(
        "
        def handler(event, context):
            for number in range(1000):
                print('line', number)
        ",
    )
    .deploy(&daemon);
    let tail = function.invoke(&json!({})).log;
    assert!(tail.len() <= 4096 && tail.len() > 3000, "{} bytes", tail.len());
    assert!(tail.contains("line 999\n"), "{tail}");
    assert!(!tail.contains("line 0\n"), "{tail}");
    assert!(tail.contains("REPORT RequestId: "), "{tail}");
}

#[test]
fn node_s_console_is_captured_with_time_request_and_level() {
    let daemon = shared();
    let function = Function::node(
        "export const handler = async () => {
           console.log('plain %d', 7);
           console.error('bad');
         };",
    )
    .deploy(&daemon);
    let called = function.invoke(&json!({}));
    let id = called.request_id();
    assert!(called.log.contains(&format!("\t{id}\tINFO\tplain 7\n")), "{}", called.log);
    assert!(called.log.contains(&format!("\t{id}\tERROR\tbad\n")), "{}", called.log);
}

#[test]
fn a_timeout_and_an_exit_are_in_the_log() {
    let daemon = shared();
    let source = "import os, time\ndef handler(event, context):\n    \
                  time.sleep(9) if event else os._exit(4)\n";
    let function = Function::python(source).timeout(1).deploy(&daemon);
    let called = function.invoke(&json!({"sleep": true}));
    let line = format!("{} Task timed out after 1.00 seconds\n", called.request_id());
    assert!(called.log.contains(&line), "{}", called.log);
    let called = function.invoke(&json!({}));
    assert!(called.log.contains("Runtime exited with error: exit status 4"), "{}", called.log);
    assert!(called.log.contains("Runtime.ExitError"), "{}", called.log);
}

/// Waits until the lines of so many calls are on disk.
fn written(function: &Deployed<'_>, calls: usize) {
    function.log_until("the reports are written", |lines| {
        lines.iter().filter(|line| line.starts_with("REPORT RequestId: ")).count() >= calls
    });
}

#[test]
fn boto3_reads_the_log_group_of_a_function() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    print('marked', event)\n")
        .deploy(&daemon);
    for number in 0..3 {
        function.answer(&json!(number));
    }
    written(&function, 3);
    let script = "
        import json, sys
        import boto3

        logs = boto3.client('logs')
        group = f'/aws/lambda/{sys.argv[1]}'
        groups = logs.describe_log_groups(logGroupNamePrefix=group)['logGroups']
        streams = logs.describe_log_streams(logGroupName=group)['logStreams']
        pages = logs.get_paginator('filter_log_events').paginate(
            logGroupName=group, filterPattern='marked'
        )
        found = [event['message'] for page in pages for event in page['events']]
        stream = streams[0]['logStreamName']
        events = logs.get_log_events(
            logGroupName=group, logStreamName=stream, startFromHead=True
        )['events']
        try:
            logs.filter_log_events(logGroupName='/aws/lambda/does-not-exist')
            missing = None
        except logs.exceptions.ResourceNotFoundException as error:
            missing = error.response['Error']['Message']
        print(json.dumps({
            'groups': [one['logGroupName'] for one in groups],
            'stream': stream,
            'found': found,
            'first': events[0]['message'],
            'times': [event['timestamp'] for event in events],
            'missing': missing,
        }))
        ";
    let seen = boto3(&daemon, script, &[&function.name]);
    assert_eq!(seen["groups"], json!([format!("/aws/lambda/{}", function.name)]));
    assert_eq!(seen["found"], json!(["marked 0\n", "marked 1\n", "marked 2\n"]));
    assert!(seen["stream"].as_str().is_some_and(|name| name.contains("/[$LATEST]")), "{seen}");
    assert!(seen["first"].as_str().is_some_and(|line| line.starts_with("INIT_START")), "{seen}");
    let times: Vec<u64> = serde_json::from_value(seen["times"].clone()).expect("milliseconds");
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(seen["missing"], "The specified log group does not exist.");
}

#[test]
fn the_aws_cli_reads_the_lines_of_a_function() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    print('marked', event)\n")
        .deploy(&daemon);
    function.answer(&json!("by the CLI"));
    written(&function, 1);
    let group = format!("/aws/lambda/{}", function.name);
    let arguments = ["logs", "filter-log-events", "--log-group-name", &group, "--output", "json"];
    let seen = aws(&daemon, &arguments).json();
    let events = seen["events"].as_array().expect("a list");
    assert!(events.iter().any(|event| event["message"] == "marked by the CLI\n"), "{seen}");
}

#[test]
fn lines_of_a_function_survive_a_restart() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &Options::default());
    let function =
        Function::python("def handler(event, context):\n    print('before')\n").deploy(&daemon);
    function.answer(&json!({}));
    let name = function.keep();
    daemon.stop();
    let daemon = Daemon::start_in(&home, &Options::default());
    let ran = hearth(&daemon, &["logs", &name, "--since", "1h"], "").succeeded();
    assert!(ran.stdout.contains("before"), "{ran:#?}");
}

/// Bytes of all files below a folder.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => size_of(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Resident memory of a process, MiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a running process") / 1024
}

#[test]
fn a_flood_of_lines_fills_neither_memory_nor_disk_and_hides_no_other_function() {
    let config = "log_total_mib = 32\nlog_function_mib = 8\n".to_owned();
    let options = Options { config: Some(config), ..Options::default() };
    let daemon = Daemon::start_in(&Home::new(), &options);
    let quiet = Function::python("def handler(event, context):\n    print('quiet', event)\n")
        .deploy(&daemon);
    quiet.answer(&json!("before"));
    let before = resident(daemon.pid);

    // Lines, and one line that never ends.
    let flood = Function::python(
        "
        import os

        def handler(event, context):
            piece = (b'x' * 99 + b'\\n') * 655 if event['lines'] else b'y' * 65536
            for _ in range(event['mib'] * 16):
                os.write(1, piece)
        ",
    )
    .timeout(120)
    .deploy(&daemon);
    flood.answer(&json!({"lines": true, "mib": 128}));
    flood.answer(&json!({"lines": false, "mib": 64}));

    let grown = resident(daemon.pid).saturating_sub(before);
    assert!(grown < 128, "{grown} MiB more after a flood of 192 MiB");
    eventually("the log is within its limit", Duration::from_secs(20), || {
        (size_of(&daemon.home().data().join("logs")) <= 40 << 20).then_some(())
    });
    quiet.answer(&json!("after"));
    written(&quiet, 2);
    let ran = hearth(&daemon, &["logs", &quiet.name, "--since", "1h"], "").succeeded();
    assert!(ran.stdout.contains("quiet before") && ran.stdout.contains("quiet after"), "{ran:#?}");
}

#[test]
fn a_function_that_prints_without_end_is_ended_at_its_timeout() {
    let daemon = shared();
    let source = "def handler(event, context):\n    while True:\n        print('more')\n";
    let function = Function::python(source).timeout(2).deploy(&daemon);
    let failure = function.invoke(&json!({})).failure();
    assert_eq!(failure["errorType"], "Sandbox.Timedout", "{failure}");
    assert!(setup::folder().exists(), "and the machine goes on");
    daemon.api("GET", "/2015-03-31/functions", &Value::Null).expect(200);
}
