//! Which operation a method and a path mean.
//!
//! The paths of Lambda's operations are those of AWS's model, each with the date it was given; a slash
//! at the end is accepted where older models had one. What is not in the model, and none of the few
//! paths beside it, is no operation.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use httpd::Segments;
use lambda::Operation as Lambda;
use lambda::operation::Labels;

use crate::patterns::{self, Pattern};
use crate::{rules, scheduler};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An operation of Lambda's, whether it is served or not.
    Lambda(Lambda),
    /// `POST /` with `X-Amz-Target`: CloudWatch Logs.
    Logs,
    /// The same: EventBridge's rules.
    Rules,
    /// An operation of EventBridge Scheduler.
    Scheduler(scheduler::Operation),
    /// Prometheus' metrics.
    Metrics,
    /// None of them.
    Unknown,
}

/// An operation, and what its path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    /// Which.
    pub(crate) operation: Operation,
    /// What the path names: most often the function first.
    pub(crate) labels: Labels<'a>,
}

/// What operations that carry a package read at most; AWS's number, which is 50 MB in base64 with
/// some room.
const WITH_PACKAGE: usize = 70_167_211 - 1;
/// What all others read at most: several times the largest configuration there can be.
const WITHOUT_PACKAGE: usize = 1024 * 1024;

// === impl Operation ===

impl Operation {
    /// AWS's name, as IAM has it: permissions and refusals print it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lambda(Lambda::Invoke | Lambda::InvokeWithResponseStream) => "InvokeFunction",
            Self::Lambda(operation) => operation.row().name,
            Self::Logs => "Logs",
            Self::Rules => "Rules",
            Self::Scheduler(operation) => operation.name(),
            Self::Metrics => "Metrics",
            Self::Unknown => "Unknown",
        }
    }

    /// The service that a request for it is signed for.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Rules => "events",
            Self::Scheduler(_) => "scheduler",
            Self::Lambda(_) | Self::Metrics | Self::Unknown => "lambda",
        }
    }

    /// Whether its function name is a `NamespacedFunctionName`: longer, and with dots.
    pub(crate) fn is_namespaced(self) -> bool {
        self.shape_of("FunctionName") == Some("NamespacedFunctionName")
    }

    /// What its `Qualifier` may be; `None` where it takes none.
    pub(crate) fn qualifier(self) -> Option<Pattern> {
        match self.shape_of("Qualifier")? {
            "FunctionUrlQualifier" => Some(patterns::URL_QUALIFIER),
            _ => Some(patterns::QUALIFIER),
        }
    }

    /// Whether its body is an event that a function answers at once.
    pub(crate) fn is_invocation(self) -> bool {
        matches!(self, Self::Lambda(Lambda::Invoke | Lambda::InvokeWithResponseStream))
    }

    /// Bytes of body it reads at most.
    pub(crate) fn body_limit(self) -> usize {
        match self {
            _ if self.is_invocation() => crate::payload::MAX,
            Self::Lambda(
                Lambda::CreateFunction | Lambda::UpdateFunctionCode | Lambda::PublishLayerVersion,
            ) => WITH_PACKAGE,
            _ => WITHOUT_PACKAGE,
        }
    }

    fn shape_of(self, member: &str) -> Option<&'static str> {
        match self {
            Self::Lambda(operation) => Some(operation.row().input.member(member)?.shape.name),
            _ => None,
        }
    }
}

// === impl Route ===

impl<'a> Route<'a> {
    /// Reads a method, a raw path, and what stands behind its `?`, which tells some operations apart.
    pub(crate) fn parse(method: &Method, path: &'a str, query: Option<&str>) -> Self {
        // What every invocation begins with, without a list of segments.
        if let Some(name) = path
            .strip_prefix("/2015-03-31/functions/")
            .and_then(|rest| rest.strip_suffix("/invocations"))
            && method == Method::POST
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':'))
        {
            let labels = Labels::one("FunctionName", Cow::Borrowed(name));
            return Self { operation: Operation::Lambda(Lambda::Invoke), labels };
        }
        let Ok(segments) = Segments::parse(path) else { return Self::of(Operation::Unknown) };
        let segments = match segments.as_slice() {
            // `/functions/` of older models.
            [rest @ .., last] if last.is_empty() => rest,
            all => all,
        };
        match segments {
            [] if method == Method::POST => return Self::of(Operation::Logs),
            [one] if one == "metrics" && method == Method::GET => {
                return Self::of(Operation::Metrics);
            }
            _ => {}
        }
        if let Some((operation, name)) = scheduler::Operation::find(method, segments) {
            let labels = Labels::one("Name", name);
            return Self { operation: Operation::Scheduler(operation), labels };
        }
        match Lambda::find(method.as_str(), segments, query) {
            Some((operation, labels)) => Self { operation: Operation::Lambda(operation), labels },
            None => Self::of(Operation::Unknown),
        }
    }

    /// The same with what a request says in its head: of the services that share `POST /`, which.
    pub(crate) fn told(mut self, headers: &HeaderMap) -> Self {
        if self.operation == Operation::Logs && rules::is_meant(headers) {
            self.operation = Operation::Rules;
        }
        self
    }

    fn of(operation: Operation) -> Self {
        Self { operation, labels: Labels::default() }
    }
}
