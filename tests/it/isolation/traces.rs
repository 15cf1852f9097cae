//! What one function leaves behind, another does not find.

use serde_json::json;

use super::Probe;
use crate::harness::{Function, Request, shared};

/// One that must also be free on the host for the moment of the control.
const PORT: u16 = 18_391;

#[test]
fn what_a_function_leaves_only_it_finds_again() {
    let daemon = shared();
    let probe = Probe::new(include_str!("probes/traces.py"));
    let (one, other) = (probe.function().deploy(&daemon), probe.function().deploy(&daemon));
    let event = |what: &str| json!({"do": what, "marker": "left-behind", "port": PORT});
    let left = one.answer(&event("leave"));
    // The control: the same look finds it all in the same instance, which is Lambda's contract.
    let all = json!([
        "/tmp/left-behind",
        "abstract socket",
        "environment",
        "listener",
        "message queue",
        "process",
        "semaphore",
        "shared memory"
    ]);
    assert_eq!(left, all);
    assert_eq!(one.answer(&event("find")), all);
    assert_eq!(other.answer(&event("find")), json!([]), "another function finds nothing");

    // Nor does another version of the same function, nor the next one after a change.
    daemon.api("POST", &one.path("versions"), &json!({})).expect(201);
    let version = Request::new("POST", &format!("{}?Qualifier=1", one.path("invocations")));
    assert_eq!(one.invoke_with(version.json(&event("find"))).answer(), json!([]));
    daemon.api("PUT", &one.path("configuration"), &json!({"Timeout": 19})).expect(200);
    one.settle();
    let found = one.answer(&event("find"));
    assert_eq!(found, json!([]), "what ran before a change never serves after it");
}

/// Nor does the host keep anything of it, once it is gone.
#[test]
fn what_a_function_leaves_is_gone_with_its_instance() {
    let daemon = shared();
    let source = "
        import os

        def handler(event, context):
            fresh = not os.path.exists('/tmp/mine')
            open('/tmp/mine', 'w').close()
            if event == 'end':
                os._exit(0)
            return fresh
        ";
    let function = Function::python(source).deploy(&daemon);
    assert_eq!(function.answer(&json!("stay")), true);
    // The control: what stays is there again as long as the instance lives.
    assert_eq!(function.answer(&json!("stay")), false);
    assert_eq!(function.invoke(&json!("end")).error.as_deref(), Some("Unhandled"));
    assert_eq!(function.answer(&json!("stay")), true);
}
