//! Operations that AWS has and Hearth has not.
//!
//! Each is answered in AWS's form: first with what is wrong with the request, as AWS would, then with a
//! sentence on why there is nothing here. Nothing is accepted and then ignored.

use httpd::AwsError;
use lambda::Operation;

use crate::errors;
use crate::respond::Answer;
use crate::router::Call;

/// Refuses an operation that is not served.
pub(crate) fn answer(call: &Call<'_>, operation: Operation) -> Answer {
    call.check(operation)?;
    Err(refusal(operation))
}

fn refusal(operation: Operation) -> AwsError {
    let name = operation.row().name;
    let instead = if name.contains("CapacityProvider") || name.contains("ScalingConfig") {
        "Functions run on this server itself, which is all the capacity there is."
    } else if name.contains("Durable") {
        "Functions here run from their event to their answer; keep what must outlast that elsewhere."
    } else if name.contains("ResourcePolicy") {
        "Use AddPermission, GetPolicy and RemovePermission."
    } else {
        "The server's documentation says which operations it has."
    };
    errors::unavailable(&format!("{operation} is"), instead)
}
