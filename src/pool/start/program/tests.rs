//! What is looked for, and what is said when it is not there.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::Duration;

use images::manifest::Start;
use model::{Digest, FunctionId, FunctionName, Generation, Version};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use wire::runner::{MAX_MESSAGE, Report};

use super::*;

fn function(layers: Option<Digest>) -> Runnable {
    Runnable {
        function: FunctionId(1),
        generation: Generation(1),
        name: FunctionName::parse("f").expect("a name"),
        version: Version::Latest,
        runtime: "provided.al2023".to_owned(),
        handler: "bootstrap".to_owned(),
        code: Digest([0; 32]),
        layers,
        memory_mib: 128,
        tmp_mib: 512,
        timeout: Duration::from_secs(3),
        environment: Vec::new(),
        log_group: String::new(),
        reserved_concurrency: None,
        concurrency: 1,
    }
}

fn paths(candidates: &[Vec<String>]) -> Vec<&str> {
    candidates.iter().map(|argv| argv[0].as_str()).collect()
}

#[test]
fn only_a_custom_runtime_with_layers_may_come_from_them() {
    let (custom, python) = (Start::custom(), Start::executed(Kind::Python, vec!["/p".to_owned()]));
    let (with, without) = (function(Some(Digest([1; 32]))), function(None));
    let both = ["/var/task/bootstrap", "/opt/bootstrap"];
    assert_eq!(paths(&candidates(&custom, &with)), both);
    assert_eq!(paths(&candidates(&custom, &without)), both[..1]);
    assert_eq!(paths(&candidates(&python, &with)), ["/p"]);
}

/// What comes of two programs, of each of which the runner says this: an errno, or 0 if it runs. Beside
/// it, which it was asked for.
async fn outcome(says: &[u32]) -> (Result<(), (String, ExecuteError)>, Vec<String>) {
    let kind = SocketType::SEQPACKET;
    let pair = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
    let (ours, theirs) = pair.expect("a socket pair");
    let open = |socket| Datagrams::new(socket).expect("a socket");
    let (ours, theirs) = (open(ours), open(theirs));
    let runner = async {
        let mut asked = Vec::new();
        for errno in says {
            let mut buffer = vec![0; MAX_MESSAGE];
            let got = theirs.receive(&mut buffer).await.expect("a request");
            let request = Request::decode(&buffer[..got.length]).expect("a message");
            let Request::Execute { argv, .. } = request else { panic!("{request:?}") };
            asked.push(String::from_utf8(argv[0].clone()).expect("text"));
            let report = match errno {
                0 => Report::Executed { pid: 2 },
                errno => Report::Refused { errno: *errno },
            };
            theirs.send(&report.encode(), &[]).await.expect("sent");
        }
        asked
    };
    let candidates = ["/one", "/two"].map(|path| vec![path.to_owned()]).to_vec();
    let null = File::open("/dev/null").expect("there");
    let descriptors = [null.as_fd()];
    tokio::join!(execute(&ours, candidates, Vec::new(), &descriptors), runner)
}

fn refused(outcome: Result<(), (String, ExecuteError)>) -> (String, u32) {
    match outcome {
        Err((path, ExecuteError::Refused { errno })) => (path, errno),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_that_is_there_is_executed_and_no_other() {
    let (done, asked) = outcome(&[0]).await;
    assert!(done.is_ok());
    assert_eq!(asked, ["/one"]);
    let (done, asked) = outcome(&[libc::ENOENT as u32, 0]).await;
    assert!(done.is_ok());
    assert_eq!(asked, ["/one", "/two"]);
}

#[tokio::test]
async fn what_cannot_be_executed_is_named_and_of_what_is_not_there_the_first() {
    let (absent, denied) = (libc::ENOENT as u32, libc::EACCES as u32);
    let one = |errno| ("/one".to_owned(), errno);
    assert_eq!(refused(outcome(&[denied]).await.0), one(denied));
    assert_eq!(refused(outcome(&[absent, absent]).await.0), one(absent));
    assert_eq!(refused(outcome(&[absent, denied]).await.0), ("/two".to_owned(), denied));
}
