//! What is promised about error responses.

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use model::RequestId;

use super::{AwsError, Fault, MessageKey};

fn json(error: &AwsError) -> String {
    String::from_utf8(error.to_json()).unwrap()
}

#[test]
fn each_shape_spells_its_message_as_aws_does() {
    for (code, key) in [
        ("ResourceNotFoundException", MessageKey::Capital),
        ("ServiceException", MessageKey::Capital),
        ("SnapStartNotReadyException", MessageKey::Capital),
        ("KMSAccessDeniedException", MessageKey::Capital),
        ("EFSIOException", MessageKey::Capital),
        ("InvalidParameterValueException", MessageKey::Lower),
        ("ResourceConflictException", MessageKey::Lower),
        ("TooManyRequestsException", MessageKey::Lower),
        ("PreconditionFailedException", MessageKey::Lower),
        ("RequestTooLargeException", MessageKey::Lower),
        ("ProvisionedConcurrencyConfigNotFoundException", MessageKey::Lower),
        ("ValidationException", MessageKey::Lower),
        ("UnrecognizedClientException", MessageKey::Lower),
    ] {
        assert_eq!(AwsError::new(StatusCode::BAD_REQUEST, code, "x").key, key, "{code}");
    }
}

#[test]
fn a_throttle_reads_as_recorded() {
    let error =
        AwsError::user(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.")
            .member("Reason", "ReservedFunctionConcurrentInvocationLimitExceeded")
            .header(RETRY_AFTER, HeaderValue::from_static("1"));
    assert_eq!(
        json(&error),
        r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}"#
    );
    let id = RequestId::random();
    let response = error.into_response(&id);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["x-amzn-errortype"], "TooManyRequestsException");
    assert_eq!(response.headers()["x-amzn-requestid"], id.as_str());
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["retry-after"], "1");
}

#[test]
fn a_schema_violation_has_no_type_and_a_null_message_is_null() {
    let mut error = AwsError::new(StatusCode::BAD_REQUEST, "ValidationException", "a \"b\"");
    assert_eq!(error.fault, None);
    assert_eq!(json(&error), r#"{"message":"a \"b\""}"#);
    error.message = None;
    assert_eq!(json(&error), r#"{"message":null}"#);
}

#[test]
fn what_is_our_fault_says_so() {
    let error = AwsError::service("An error occurred.");
    assert_eq!(
        (error.status, error.fault),
        (StatusCode::INTERNAL_SERVER_ERROR, Some(Fault::Service))
    );
    assert_eq!(json(&error), r#"{"Message":"An error occurred.","Type":"Service"}"#);
    assert_eq!(AwsError::unknown_operation().status, 404);
}
