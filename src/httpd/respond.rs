//! Errors into responses, in the form AWS's clients read.
//!
//! The code is in `x-amzn-ErrorType`, the text in the body under `message` or `Message`: which of
//! the two is part of each error's shape, and strict clients look for that one alone.

use std::borrow::Cow;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use model::RequestId;
use serde_json::{Map, Value};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Errors whose shape spells the member `Message`; all others spell it `message`. The API's tests hold
/// this against the service model.
const CAPITAL: [&str; 18] = [
    "AccessDeniedException",
    "CallbackTimeoutException",
    "CodeSigningConfigNotFoundException",
    "CodeVerificationFailedException",
    "DurableExecutionAlreadyStartedException",
    "InvalidCodeSignatureException",
    "InvalidRuntimeException",
    "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException",
    "InvalidZipFileException",
    "NoPublishedVersionException",
    "PublicPolicyException",
    "RecursiveInvocationException",
    "ResourceInUseException",
    "ResourceNotFoundException",
    "ServiceException",
    "ServiceQuotaExceededException",
    "SubnetIPAddressLimitReachedException",
];

/// Families of errors that spell it `Message`, by the beginning of their names.
const CAPITAL_FAMILIES: [&str; 6] = ["EC2", "EFS", "ENI", "KMS", "S3Files", "SnapStart"];

/// Whose fault an error is: the member `Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller's.
    User,
    /// Ours.
    Service,
}

/// How the text's member is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKey {
    /// `message`
    Lower,
    /// `Message`
    Capital,
}

/// An error as AWS answers it.
#[derive(Debug, Clone)]
pub struct AwsError {
    /// HTTP status.
    pub status: StatusCode,
    /// Name of the error's shape, such as `ResourceNotFoundException`.
    pub code: Cow<'static, str>,
    /// What the user reads; `None` is JSON's `null`, which AWS answers in places.
    pub message: Option<Cow<'static, str>>,
    /// Member `Type`, if the body has one.
    pub fault: Option<Fault>,
    /// How the text's member is spelled.
    pub key: MessageKey,
    /// Further members, such as `Reason`.
    pub members: Vec<(&'static str, Value)>,
    /// Further headers, such as `Retry-After`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

// === impl AwsError ===

impl AwsError {
    /// An error without `Type`, its text spelled as the shape of that name spells it.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let code = code.into();
        let capital = CAPITAL.contains(&code.as_ref())
            || CAPITAL_FAMILIES.iter().any(|family| code.starts_with(family));
        Self {
            status,
            code,
            message: Some(message.into()),
            fault: None,
            key: if capital { MessageKey::Capital } else { MessageKey::Lower },
            members: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The caller's fault.
    pub fn user(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { fault: Some(Fault::User), ..Self::new(status, code, message) }
    }

    /// Our fault: status 500, `ServiceException`. The text is for strangers; details belong in the
    /// log.
    pub fn service(message: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { fault: Some(Fault::Service), ..Self::new(status, "ServiceException", message) }
    }

    /// No operation has this method and path.
    pub fn unknown_operation() -> Self {
        let text = "The requested operation is not recognized by the service.";
        Self::new(StatusCode::NOT_FOUND, "UnknownOperationException", text)
    }

    /// With a further member.
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// With a further header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The body.
    pub fn to_json(&self) -> Vec<u8> {
        let mut body = Map::new();
        for (name, value) in &self.members {
            body.insert((*name).to_owned(), value.clone());
        }
        if let Some(fault) = self.fault {
            let fault = match fault {
                Fault::User => "User",
                Fault::Service => "Service",
            };
            body.insert("Type".to_owned(), fault.into());
        }
        let key = match self.key {
            MessageKey::Lower => "message",
            MessageKey::Capital => "Message",
        };
        let message = self.message.as_deref().map_or(Value::Null, Value::from);
        body.insert(key.to_owned(), message);
        Value::Object(body).to_string().into_bytes()
    }

    /// The response to the request of this id.
    pub fn into_response(self, request_id: &RequestId) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A code is an identifier and a request id hexadecimal: both are always fit for a header.
        for (name, text) in [(ERROR_TYPE, &*self.code), (REQUEST_ID, request_id.as_str())] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        headers.extend(self.headers);
        response
    }
}

#[cfg(test)]
mod tests;
