//! Answers that come as a stream of events, as AWS's own client reads them.

use serde_json::json;

use crate::harness::tools::boto3;
use crate::harness::{Function, shared};

const CODE: &str = "
def handler(event, context):
    if event == 'fail':
        raise ValueError('no')
    return event
";

#[test]
fn boto3_reads_an_answer_as_a_stream_of_events() {
    let daemon = shared();
    let function = Function::python(CODE).deploy(&daemon);
    let said = boto3(&daemon, include_str!("clients/streaming.py"), &[&function.name]);
    assert_eq!(said["answered"], json!(true), "{said}");
    assert_eq!(said["complete"], json!({}), "{said}");
    assert_eq!(said["failed"]["ErrorCode"], "Unhandled", "{said}");
    assert_eq!(said["chunks_of_failed"], 0, "{said}");
    assert!(said["failed"]["ErrorDetails"].to_string().contains("ValueError"), "{said}");
    assert!(said["log"].to_string().contains("REPORT RequestId: "), "{said}");
}
