//! What is wrong, in AWS's sentences.
//!
//! One function per sentence that more than one operation says; sentences of one operation stand in
//! its own file.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use httpd::AwsError;
use lambda::Unreadable;
use model::name::AliasName;
use store::{ChangeError, Refusal, StorageError};

type Text = Cow<'static, str>;

/// The machine, and this process, may open no more files (`asm-generic/errno-base.h`).
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Lambda cannot do that with these values.
pub(crate) fn invalid(message: impl Into<Text>) -> AwsError {
    AwsError::user(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
}

/// The request does not have the shape of its operation.
pub(crate) fn validation(message: impl Into<Text>) -> AwsError {
    AwsError::new(StatusCode::BAD_REQUEST, "ValidationException", message)
}

/// The request is not what the operation's model says.
pub(crate) fn unreadable(err: Unreadable) -> AwsError {
    match err {
        Unreadable::NotJson(err) => {
            content(format!("Could not parse request body into json: {err}"))
        }
        Unreadable::Mistyped(sentence) => {
            AwsError::new(StatusCode::BAD_REQUEST, "SerializationException", sentence)
        }
        Unreadable::Invalid(found) => violated(&found),
    }
}

/// Everything about a request that breaks its model; there is something.
pub(crate) fn violated(found: &[String]) -> AwsError {
    let errors = match found.len() {
        1 => "1 validation error detected".to_owned(),
        more => format!("{more} validation errors detected"),
    };
    validation(format!("{errors}: {}", found.join("; ")))
}

/// The body is not what the operation reads.
pub(crate) fn content(message: impl Into<Text>) -> AwsError {
    AwsError::user(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
}

/// There is none.
pub(crate) fn not_found(message: impl Into<Text>) -> AwsError {
    AwsError::user(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

/// There is one already, or something stands in the way.
pub(crate) fn conflict(message: impl Into<Text>) -> AwsError {
    AwsError::user(StatusCode::CONFLICT, "ResourceConflictException", message)
}

/// The caller has seen another revision; `api` is what shows the current one.
pub(crate) fn stale(api: &str) -> AwsError {
    let message = format!(
        "The Revision Id provided does not match the latest Revision Id. Call the {api} API to \
         retrieve the latest Revision Id"
    );
    AwsError::user(StatusCode::PRECONDITION_FAILED, "PreconditionFailedException", message)
}

/// Too many bytes.
pub(crate) fn too_large(message: impl Into<Text>) -> AwsError {
    AwsError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", message)
}

/// There is no function of that name; `arn` says which.
pub(crate) fn function_not_found(arn: &str) -> AwsError {
    not_found(format!("Function not found: {arn}"))
}

/// A function, not one of its versions, is meant.
pub(crate) fn unqualified_only() -> AwsError {
    invalid(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support \
         this operation. Please specify either a function name or an unqualified function ARN.",
    )
}

/// The function is in a state in which this cannot be done.
pub(crate) fn wrong_state(state: &str) -> AwsError {
    conflict(format!(
        "The operation cannot be performed at this time. The function is currently in the \
         following state: {state}"
    ))
}

/// Something AWS has and Hearth has not; `what` begins the sentence, `instead` is another one.
pub(crate) fn unavailable(what: &str, instead: &str) -> AwsError {
    invalid(format!("{what} not available on this server. {instead}"))
}

/// AWS's answer to a caller that has to wait.
pub(crate) fn throttled(reason: &'static str) -> AwsError {
    let status = StatusCode::TOO_MANY_REQUESTS;
    AwsError::user(status, "TooManyRequestsException", "Rate Exceeded.")
        .member("Reason", reason)
        // SDKs wait with an increasing delay of their own; a second is what curl users are told.
        .header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// The machine is short of something that a change needs, such as room on its disk. AWS has no word
/// for that; its word for too many requests makes clients do the right thing, which is to try again.
pub(crate) fn short() -> AwsError {
    throttled("CallerRateLimitExceeded")
}

/// Whether an error, or what is behind it, is that something of the machine's is short.
pub(crate) fn is_shortage(err: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind as Kind;
    let chain = std::iter::successors(Some(err), |err| (*err).source());
    chain.filter_map(|err| err.downcast_ref::<io::Error>()).any(|err| {
        let short = [Kind::StorageFull, Kind::QuotaExceeded, Kind::OutOfMemory, Kind::WouldBlock];
        // A process, or the machine, that may open no more files has no kind of its own.
        short.contains(&err.kind()) || matches!(err.raw_os_error(), Some(ENFILE | EMFILE))
    })
}

/// Our fault; the details are in the log.
pub(crate) fn internal() -> AwsError {
    AwsError::service("An internal error occurred; the server's log says more.")
}

/// What stood against a change of the function `arn`. Refusals that only one operation meets are
/// that operation's to put into words, before it comes here.
pub(crate) fn refused(err: ChangeError, arn: &str) -> AwsError {
    match err {
        ChangeError::Storage(err) => storage(&err),
        ChangeError::Refused(refusal) => refusal_words(&refusal, arn),
    }
}

fn refusal_words(refusal: &Refusal, arn: &str) -> AwsError {
    match refusal {
        Refusal::NoFunction | Refusal::NoVersion => function_not_found(arn),
        Refusal::NoAlias => not_found(format!("Cannot find alias arn: {arn}")),
        Refusal::VersionMissing { version } => function_not_found(&format!("{arn}:{version}")),
        Refusal::AliasExists => conflict(format!("Alias already exists: {arn}")),
        Refusal::VersionRepeated { version } => invalid(format!(
            "Invalid function version {version}. Function version {version} is already included in \
             routing configuration."
        )),
        Refusal::LatestWeighted => AwsError::new(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        Refusal::RolesDiffer => {
            invalid("Specified versions must be associated with the same execution role")
        }
        Refusal::VersionAliased { aliases } => {
            let names: Vec<&str> = aliases.iter().map(AliasName::as_str).collect();
            conflict(format!(
                "Unable to delete version because the following aliases reference it: [{}]",
                names.join(", ")
            ))
        }
        Refusal::FunctionExists => {
            let name = arn.rsplit(':').next().unwrap_or_default();
            conflict(format!("Function already exist: {name}"))
        }
        Refusal::FunctionRevision => stale("GetFunction/GetAlias"),
        Refusal::PolicyRevision => stale("GetPolicy"),
        Refusal::UpdateInProgress => conflict(format!(
            "The operation cannot be performed at this time. An update is in progress for \
             resource: {arn}"
        )),
        Refusal::NotActive { state } => wrong_state(state),
        Refusal::TooManyTags => invalid("Number of tags exceeds resource tag limit."),
        Refusal::Unreserved { minimum } => AwsError::new(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            format!(
                "Specified ReservedConcurrentExecutions for function decreases account's \
                 UnreservedConcurrentExecution below its minimum value of [{minimum}]."
            ),
        ),
        // Two blanks and no subject: AWS's own sentence.
        Refusal::BelowProvisioned { reserved, provisioned } => AwsError::new(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            format!(
                " ReservedConcurrentExecutions  {reserved} should not be lower than function's \
                 total provisioned concurrency [{provisioned}]."
            ),
        ),
        Refusal::BeyondReserved => invalid(
            "Requested Provisioned Concurrency should not be greater than the \
             reservedConcurrentExecution for function",
        ),
        Refusal::BeyondUnreserved { left } => AwsError::new(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            format!(
                "Specified ConcurrentExecutions for function is greater than account's unreserved \
                 concurrency [{left}]."
            ),
        ),
        Refusal::Unprovisioned { minimum } => AwsError::new(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            format!(
                "Specified ConcurrentExecutions for function decreases account's \
                 UnreservedConcurrentExecution below its minimum value of [{minimum}]."
            ),
        ),
        Refusal::Unpublished => invalid(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        ),
        Refusal::AliasWeighted => {
            invalid("Alias with weights can not be used with Provisioned Concurrency")
        }
        Refusal::VersionProvisioned => conflict(
            "Alias can't be used for Provisioned Concurrency configuration on an already \
             Provisioned version",
        ),
        Refusal::AliasProvisioned => {
            conflict("Version is pointed by a Provisioned Concurrency alias")
        }
        Refusal::SnapStartProvisioned => {
            invalid("Provisioned Concurrency is not supported for SnapStart enabled functions.")
        }
        Refusal::NoLayer { name, version } => {
            // The function's ARN says where we are.
            let place = arn.split(":function:").next().unwrap_or_default();
            invalid(format!("Layer version {place}:layer:{name}:{version} does not exist."))
        }
        Refusal::UrlExists => conflict(format!(
            "Failed to create function url config for [functionArn = {arn}]. Error message:  \
             FunctionUrlConfig exists for this Lambda function"
        )),
        Refusal::NoUrl => not_found("The resource you requested does not exist."),
        Refusal::PolicyTooLong { bytes } => AwsError::user(
            StatusCode::BAD_REQUEST,
            "PolicyLengthExceededException",
            format!("The final policy size ({bytes}) is bigger than the limit (20480)."),
        ),
        // The services that schedules belong to have words of their own.
        Refusal::Schedule(refusal) => invalid(refusal.to_string()),
        Refusal::NoSigning => crate::code_signing::not_found(arn),
        Refusal::SigningUsed => conflict(format!(
            "Cannot delete the code signing configuration {arn} while functions refer to it."
        )),
        Refusal::NoEventInvoke
        | Refusal::OtherCode { .. }
        | Refusal::StatementExists
        | Refusal::NoStatement
        | Refusal::NoLayerVersion => invalid(refusal.to_string()),
    }
}

fn storage(err: &StorageError) -> AwsError {
    tracing::error!(%err, "a change was not written");
    if *err == StorageError::Full { short() } else { internal() }
}
