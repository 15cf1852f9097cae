//! What operators see: function logs, the platform's own lines in them, and metrics.
//!
//! Everything here is synchronous and cheap to call from an asynchronous task: a log line is copied
//! into a bounded queue, a metric is one atomic addition. Diagnostics of Hearth itself go through
//! `tracing`, whose subscriber belongs to the binary.

pub mod logs;
pub mod metrics;
pub mod platform;

pub use logs::LogStore;
pub use metrics::METRICS;
