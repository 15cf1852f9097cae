//! Asynchronous invocation: accepted is delivered, whatever dies in between.
//!
//! What becomes of single events, attempt by attempt, is shown by the crate `events` with a clock of
//! its own; here are AWS's clients, and a daemon that is killed.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::signature::Signer;
use crate::harness::tools::{aws, boto3, hearth};
use crate::harness::{Daemon, Function, Home, Options, Request, Response, eventually, shared};

/// Says what it was called with; fails or holds its only place if it is told to.
const SAYS: &str = "
    import json, time

    def handler(event, context):
        if 'block' in event:
            print('blocked')
            time.sleep(event['block'])
        if 'requestContext' in event:
            print('record', event['requestContext']['condition'], event['requestContext']['requestId'])
        elif event.get('fail'):
            raise ValueError('no')
        else:
            print('event', context.aws_request_id, json.dumps(event))
        return {'said': event}
    ";

/// Events that wait when the daemon is killed.
const EVENTS: usize = 1000;
/// Callers at the same time.
const CALLERS: usize = 8;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);

fn path(name: &str, what: &str) -> String {
    format!("/2015-03-31/functions/{name}/{what}")
}

/// Sends what is signed; `None` if the daemon goes away meanwhile.
fn try_send(to: SocketAddr, request: &Request) -> Option<Response> {
    let mut stream = std::net::TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len()));
    stream.write_all(text.as_bytes()).ok()?;
    stream.write_all(&request.body).ok()?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).ok()?;
    Response::parse(&answer)
}

/// Lines of a function's log that begin with a word.
fn lines(daemon: &Daemon, name: &str, word: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut body =
            json!({"logGroupName": format!("/aws/lambda/{name}"), "filterPattern": word});
        if !token.is_null() {
            body["nextToken"] = token;
        }
        let request = Request::new("POST", "/")
            .header("x-amz-target", "Logs_20140328.FilterLogEvents")
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.to_string());
        let signer = Signer { service: "logs".to_owned(), ..daemon.signer() };
        let page = signer.sign(request, &daemon.api.to_string()).send(daemon.api).json();
        let messages = page["events"].as_array().into_iter().flatten();
        let messages = messages.filter_map(|event| event["message"].as_str());
        found.extend(messages.filter(|line| line.starts_with(word)).map(str::to_owned));
        token = page["nextToken"].clone();
        if token.is_null() {
            return found;
        }
    }
}

/// Gives a function one place, and holds it until the daemon ends or the time is over.
fn block(daemon: &Daemon, name: &str) -> JoinHandle<()> {
    let limit = path(name, "concurrency").replace("2015-03-31", "2017-10-31");
    daemon.api("PUT", &limit, &json!({"ReservedConcurrentExecutions": 1})).expect(200);
    let request = Request::new("POST", &path(name, "invocations")).json(&json!({"block": 600}));
    let before = lines(daemon, name, "blocked").len();
    let (api, signer) = (daemon.api, daemon.signer());
    let blocker = thread::spawn(move || {
        // Events may be in its place when it comes.
        while let Some(answer) = try_send(api, &signer.sign(request.clone(), &api.to_string())) {
            assert_eq!(answer.status, 429, "{answer:?}");
            thread::yield_now();
        }
    });
    eventually("the function's only place is taken", PATIENCE, || {
        (lines(daemon, name, "blocked").len() > before).then_some(())
    });
    blocker
}

/// Calls a function from many places until nobody answers; gives the ids of what was accepted.
fn accept_until_it_dies(
    daemon: &Daemon,
    name: &str,
    accepted: &Arc<AtomicUsize>,
) -> Vec<JoinHandle<Vec<String>>> {
    let callers = (0..CALLERS).map(|_| {
        let (api, signer, accepted) = (daemon.api, daemon.signer(), Arc::clone(accepted));
        let request = Request::new("POST", &path(name, "invocations")).json(&json!({"n": 1}));
        let request = request.header("x-amz-invocation-type", "Event");
        let request = signer.sign(request, &api.to_string());
        thread::spawn(move || {
            let mut ids = Vec::new();
            while let Some(answer) = try_send(api, &request) {
                assert_eq!(answer.status, 202, "{answer:?}");
                ids.push(answer.header("x-amzn-requestid").expect("an id").to_owned());
                accepted.fetch_add(1, Ordering::Relaxed);
            }
            ids
        })
    });
    callers.collect()
}

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let text = daemon.api("GET", "/metrics", &Value::Null).expect(200).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("it is counted").parse().expect("a number")
}

fn kill(mut daemon: Daemon) {
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
}

#[test]
fn boto3_invokes_asynchronously_and_destinations_are_told() {
    let daemon = shared();
    let (first, second) =
        (Function::python(SAYS).deploy(&daemon), Function::python(SAYS).deploy(&daemon));
    let script = include_str!("clients/asynchronous.py");
    let said = boto3(&daemon, script, &[&first.name, &second.name]);
    let id = |name: &str| said[name].as_str().expect("an id").to_owned();
    let told = [
        format!("record Success {}", id("success")),
        format!("record RetriesExhausted {}", id("failure")),
        format!("record ZeroReservedConcurrency {}", id("closed")),
    ];
    eventually("the destination was told of all three", PATIENCE, || {
        let lines = lines(&daemon, &second.name, "record");
        told.iter().all(|line| lines.iter().any(|other| other.trim() == line)).then_some(())
    });
    let own = lines(&daemon, &first.name, "event");
    assert!(own.iter().any(|line| line.contains(&id("success"))), "{own:?}");
    assert!(own.iter().any(|line| line.contains(&id("by_another_name"))), "{own:?}");
    assert_eq!(said["itself"], "You can't specify the function as a destination for itself.");
    assert_eq!(said["gone"], "ResourceNotFoundException");
}

#[test]
fn the_aws_cli_and_ours_invoke_asynchronously() {
    let daemon = shared();
    let function = Function::python(SAYS).deploy(&daemon);
    let out = ["lambda", "invoke", "--function-name", &function.name];
    let more = ["--invocation-type", "Event", "--payload", "{\"by\": \"aws\"}"];
    let format = ["/dev/null", "--output", "json"];
    let ran = aws(&daemon, &[&out[..], &more, &format].concat()).succeeded();
    assert_eq!(ran.json()["StatusCode"], 202);
    let ran = hearth(&daemon, &["invoke", &function.name, "--async", "-d", "{\"by\": 2}"], "");
    let ran = ran.succeeded();
    assert_eq!(ran.stdout, "", "nothing is known yet that could be printed");
    let id = ran.stderr.split_whitespace().last().expect("an id").to_owned();
    eventually("both were delivered", PATIENCE, || {
        let lines = lines(&daemon, &function.name, "event");
        let aws = lines.iter().any(|line| line.contains("{\"by\": \"aws\"}"));
        let own = lines.iter().any(|line| line.contains(&id) && line.contains("{\"by\": 2}"));
        (aws && own).then_some(())
    });
}

#[test]
fn kill_nine_while_events_are_accepted_and_while_they_are_delivered_loses_none_of_them() {
    let home = Home::new();
    // In its first life, events are accepted and cannot be delivered.
    let daemon = Daemon::start_in(&home, &Options::default());
    let [first, second] =
        [(), ()].map(|()| Function::python(SAYS).timeout(900).deploy(&daemon).keep());
    let to = json!({"DestinationConfig": {"OnSuccess": {"Destination":
        format!("arn:aws:lambda:us-east-1:000000000000:function:{second}")}}});
    let config = format!("/2019-09-25/functions/{first}/event-invoke-config");
    daemon.api("PUT", &config, &to).expect(200);
    let blocker = block(&daemon, &first);
    let count = Arc::new(AtomicUsize::new(0));
    let callers = accept_until_it_dies(&daemon, &first, &count);
    eventually("a thousand were accepted", PATIENCE, || {
        (count.load(Ordering::Relaxed) >= EVENTS).then_some(())
    });
    kill(daemon);
    let accepted: BTreeSet<String> =
        callers.into_iter().flat_map(|caller| caller.join().expect("it ran")).collect();
    blocker.join().expect("it ran");

    // In its second, they are delivered, and who is told of it cannot be.
    let daemon = Daemon::start_in(&home, &Options::default());
    let queued = metric(&daemon, "hearth_events_async_queued");
    assert!(queued + 200 >= accepted.len() as u64, "{queued} of {} wait", accepted.len());
    let blocker = block(&daemon, &second);
    let limit = path(&first, "concurrency").replace("2015-03-31", "2017-10-31");
    daemon.api("DELETE", &limit, &Value::Null).expect(204);
    let success = "hearth_events_async_attempts_total{outcome=\"success\"}";
    eventually("some were delivered", PATIENCE, || {
        (metric(&daemon, success) >= EVENTS as u64 / 4).then_some(())
    });
    kill(daemon);
    blocker.join().expect("it ran");

    // In its third, nothing stands in the way of anything.
    let daemon = Daemon::start_in(&home, &Options::default());
    let limit = path(&second, "concurrency").replace("2015-03-31", "2017-10-31");
    daemon.api("DELETE", &limit, &Value::Null).expect(204);
    eventually("nothing waits any more", PATIENCE, || {
        (metric(&daemon, "hearth_events_async_queued") == 0).then_some(())
    });
    let told = eventually("its lines are written", PATIENCE, || {
        let lines = lines(&daemon, &second, "record");
        let told: BTreeSet<String> = lines
            .iter()
            .filter_map(|line| line.trim().strip_prefix("record Success ").map(str::to_owned))
            .collect();
        accepted.is_subset(&told).then_some(told)
    });
    // What was under way when its caller lost the daemon may have been accepted, too.
    assert!(told.len() <= accepted.len() + 2 * CALLERS, "{} of {}", told.len(), accepted.len());
    daemon.stop();
}

#[test]
fn events_of_a_deleted_function_are_dropped_and_counted() {
    let daemon = Daemon::start();
    let function = Function::python(SAYS).timeout(900).deploy(&daemon);
    let name = function.keep();
    let blocker = block(&daemon, &name);
    for _ in 0..20 {
        let request = Request::new("POST", &path(&name, "invocations")).json(&json!({}));
        daemon.send(request.header("x-amz-invocation-type", "Event")).expect(202);
    }
    assert_eq!(metric(&daemon, "hearth_events_async_queued"), 20);
    daemon.api("DELETE", &format!("/2015-03-31/functions/{name}"), &Value::Null).expect(204);
    let dropped = "hearth_events_async_dropped_total{reason=\"function_deleted\"}";
    eventually("they are dropped", PATIENCE, || {
        let left = metric(&daemon, "hearth_events_async_queued");
        (left == 0 && metric(&daemon, dropped) == 20).then_some(())
    });
    assert_eq!(metric(&daemon, "hearth_events_async_accepted_total"), 20);
    kill(daemon);
    blocker.join().expect("it ran");
}
