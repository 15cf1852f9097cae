//! The AWS Lambda REST API: management and invocation.
