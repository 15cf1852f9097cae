//! Every number an operator can watch, in one list.
//!
//! [`METRICS`] is process-wide: counting must not need a reference threaded through six crates, and
//! a process is one daemon. A metric is one relaxed atomic addition; nothing is sampled, and nothing
//! is labelled by function or request, so the set of series never grows; what is known of one function
//! is a list of its own, for whoever names that function ([`function`]).
//!
//! The text is Prometheus' exposition format 0.0.4. A client library was not taken: what is used of
//! one is these few types, and a static list cannot be registered twice or forgotten.

pub mod function;
mod kinds;
mod labels;

pub use function::{FunctionStarts, Quantiles, RungStarts};
pub use kinds::{Counter, Family, Gauge, Histogram};
pub use labels::{
    AsyncAttempt, AsyncDrop, Compilation, Door, ErrorClass, InstanceState, Interpreter, Label,
    Refill, Start, Throttle,
};

/// What `Content-Type` the answer with [`Metrics::render`] has.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of this process.
pub static METRICS: Metrics = Metrics::new();

/// Declares the list once: the fields, their names, their help and the order they are printed in.
macro_rules! metrics {
    ($($field:ident: $kind:ty, $name:literal, $help:literal;)*) => {
        /// Everything that is counted.
        #[derive(Debug)]
        pub struct Metrics {
            $(
                #[doc = $help]
                pub $field: $kind,
            )*
        }

        impl Metrics {
            /// Every name, in the order of the text.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// All zero.
            pub const fn new() -> Self {
                Self { $($field: <$kind>::new()),* }
            }

            /// The text a scrape gets.
            pub fn render(&self) -> String {
                // 5 KiB with every family at its start; more only as numbers grow.
                let mut out = String::with_capacity(8 * 1024);
                $(kinds::expose($name, $help, &self.$field, &mut out);)*
                out
            }
        }
    };
}

metrics! {
    invocations: Counter, "hearth_invocations_total",
        "Invocations that were delivered to a function.";
    errors: Family<ErrorClass, Counter, 7>, "hearth_invocation_errors_total",
        "Invocations that ended in an error, by what went wrong.";
    throttles: Family<Throttle, Counter, 4>, "hearth_throttles_total",
        "Invocations that were refused for want of room, by whose room was full.";
    starts: Family<Start, Counter, 5>, "hearth_starts_total",
        "Instances that were started, by what stood ready.";
    duration: Histogram, "hearth_invocation_duration_seconds",
        "From the delivery of an event to its answer.";
    queue_wait: Histogram, "hearth_queue_wait_seconds",
        "From the acceptance of an event to its delivery.";
    init_duration: Histogram, "hearth_init_duration_seconds",
        "From the assignment of a sandbox to a handler that can be called.";
    instances: Family<InstanceState, Gauge, 5>, "hearth_instances",
        "Instances there are, by state.";
    events_waiting: Gauge, "hearth_events_waiting",
        "Events that were admitted and wait for an instance.";
    events_async_accepted: Counter, "hearth_events_async_accepted_total",
        "Asynchronous events that were accepted from callers.";
    events_async_queued: Gauge, "hearth_events_async_queued",
        "Asynchronous events on the disk, those being delivered among them.";
    events_async_oldest: Gauge, "hearth_events_async_oldest_age_seconds",
        "Age of the oldest asynchronous event on the disk, as of the last ten seconds.";
    events_async_attempts: Family<AsyncAttempt, Counter, 4>, "hearth_events_async_attempts_total",
        "Attempts to deliver an asynchronous event, by what they came to.";
    events_async_destinations: Counter, "hearth_events_async_destinations_total",
        "Records of asynchronous events that were queued for a destination.";
    events_async_dropped: Family<AsyncDrop, Counter, 7>, "hearth_events_async_dropped_total",
        "Accepted events, and records for destinations, that went no further, by why.";
    cells_ready: Gauge, "hearth_cells_ready",
        "Empty sandboxes made ahead of time.";
    spares_ready: Family<Interpreter, Gauge, 2>, "hearth_spares_ready",
        "Sandboxes made ahead of time with a warm interpreter in them, by runtime.";
    templates: Gauge, "hearth_templates",
        "Processes that interpreters are forked from.";
    spares_lost: Counter, "hearth_spares_lost_total",
        "Interpreters made ahead of time that ended before a function had them.";
    refill_failures: Family<Refill, Counter, 3>, "hearth_refill_failures_total",
        "What could not be made ahead of time, by what it was.";
    compilations: Family<Compilation, Counter, 2>, "hearth_compilations_total",
        "Packages that were compiled when they were taken in, by what came of it.";
    cells_quarantined: Gauge, "hearth_cells_quarantined",
        "Sandboxes that were killed and do not end; their uids and control groups are kept from reuse.";
    log_lines: Counter, "hearth_log_lines_total",
        "Log lines that were written.";
    log_lines_dropped: Counter, "hearth_log_lines_dropped_total",
        "Log lines that were dropped: the queue or the disk was full, or writing failed.";
    http_requests: Family<Door, Counter, 3>, "hearth_http_requests_total",
        "HTTP requests that were read, by listener.";
    http_failures: Family<Door, Counter, 3>, "hearth_http_failures_total",
        "HTTP requests that were answered with a status of 500 or above, by listener.";
    http_refused: Family<Door, Counter, 3>, "hearth_http_refused_total",
        "Connections and requests that were refused by a limit, by listener.";
    http_connections: Family<Door, Gauge, 3>, "hearth_http_connections",
        "Open connections, by listener.";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
