//! What is said of functions beside their configuration, as AWS's own client says it.

use serde_json::json;

use crate::harness::tools::boto3;
use crate::harness::{Function, shared};

#[test]
fn boto3_keeps_what_is_said_of_functions_beside_their_configuration() {
    let daemon = shared();
    let function = Function::python("def handler(event, context):\n    return 1\n").deploy(&daemon);
    let said = boto3(&daemon, include_str!("clients/settings.py"), &[&function.name]);
    assert_eq!(said["unsigned"], "CodeVerificationFailedException", "{said}");
    assert_eq!(said["used"], "ResourceConflictException", "{said}");
    assert_eq!(said["gone"], json!(["ResourceNotFoundException", 404]), "{said}");
    assert_eq!(said["other_version"], "InvalidParameterValueException", "{said}");
    assert_eq!(said["wrong_loop"], "ValidationException", "{said}");
}
